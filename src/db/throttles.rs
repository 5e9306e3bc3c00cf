//! Buckets of tokens, taken from and given back to by many at once.
//!
//! A bucket is one number: the moment at which it will be full again. A token taken moves it on by
//! the time that a token takes to come back, and is refused if that would move it beyond the time
//! that a whole bucket takes. This is the generic cell rate algorithm of ITU-T I.371, which calls the
//! number the theoretical arrival time.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{AnyConnection, Connection, Row};

use super::batch::{MAX_BATCH, Worker};
use super::familiar_sources::FamiliarSource;
use super::loan::{Pool, lend};
use super::{Result, sql};
use crate::clock::UnixTime;

type Digest = [u8; 32];

/// A bucket of tokens. It comes into being full, when it is first taken from.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Where it stands among the buckets of a request: tokens of a lower rank are taken first, and
    /// who is refused one takes none of a higher rank.
    pub rank: u8,
    /// What it is known by.
    pub digest: Digest,
    /// How many tokens it holds.
    pub tokens: u32,
    /// How long each takes to come back.
    pub refill: Duration,
}

impl Bucket {
    fn refill_micros(&self) -> i64 {
        micros(self.refill)
    }

    fn size_micros(&self) -> i64 {
        self.refill_micros().saturating_mul(self.tokens.into())
    }

    /// One that will not be full before this, a whole bucket later than any can be, is a wrong clock's
    /// doing or a slower rate's, and the next one may take from it (see [`sql::TAKE_TOKEN`]).
    fn implausible_after(&self, now: i64) -> i64 {
        now + 2 * self.size_micros()
    }

    /// How long until it has a token.
    fn time_to_token(&self, now: UnixTime, full_at: &HashMap<Digest, i64>) -> Duration {
        let now = unix_micros(now);
        match full_at.get(&self.digest) {
            Some(full_at) if *full_at <= self.implausible_after(now) => {
                let missing = full_at + self.refill_micros() - now - self.size_micros();
                Duration::from_micros(missing.try_into().unwrap_or(0))
            }
            _ => Duration::ZERO,
        }
    }

    /// All batches go through the buckets in this order, so that no two of them wait for each other.
    fn order(&self) -> (u8, Digest) {
        (self.rank, self.digest)
    }
}

/// What came of taking tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A token of each bucket.
    All,
    /// No token of any bucket.
    None {
        /// The rank of the bucket that had none.
        rank: u8,
        /// When all buckets have one, if nobody else takes it.
        retry_after: Duration,
    },
}

/// Something to do with some buckets.
pub(super) enum Errand {
    /// Take a token of each, or none of any.
    Take { buckets: Vec<Bucket>, now: UnixTime },
    /// Give a token back to each, and remember a source.
    GiveBack {
        buckets: Vec<Bucket>,
        familiar: Option<FamiliarSource>,
    },
}

impl Errand {
    fn buckets(&self) -> &[Bucket] {
        match self {
            Self::Take { buckets, .. } | Self::GiveBack { buckets, .. } => buckets,
        }
    }

    /// The buckets that tokens are taken of, and when; `None` if none are.
    fn takes(&self) -> Option<(&[Bucket], UnixTime)> {
        match self {
            Self::Take { buckets, now } => Some((buckets, *now)),
            Self::GiveBack { .. } => None,
        }
    }
}

/// Refuses what has no token by what it reads, and runs the rest of the errands that wait in one
/// transaction with one durable commit. A refusal writes nothing.
pub(super) struct Keeper {
    pub(super) readers: Pool,
    pub(super) writer: Pool,
}

impl Keeper {
    /// The outcomes of those errands that are refused for certain; `None` for the others, of which the
    /// transaction decides.
    async fn refuse(&self, errands: &[Errand]) -> Result<Vec<Option<Taken>>> {
        let taken_from = errands
            .iter()
            .filter_map(Errand::takes)
            .flat_map(|take| take.0);
        let mut digests: Vec<Digest> = taken_from.map(|bucket| bucket.digest).collect();
        if digests.is_empty() {
            return Ok(vec![None; errands.len()]);
        }
        let mut full_at = lend(&self.readers, async |connection| {
            find_full_at(connection, &mut digests).await
        })
        .await?;
        // What comes back is there for whoever takes in the same batch.
        for errand in errands {
            if let Errand::GiveBack { buckets, .. } = errand {
                for bucket in buckets {
                    full_at.remove(&bucket.digest);
                }
            }
        }
        let refusal = |errand: &Errand| {
            let (buckets, now) = errand.takes()?;
            refusal(buckets, now, &full_at)
        };
        Ok(errands.iter().map(refusal).collect())
    }

    /// Runs errands in one transaction.
    async fn run(&self, errands: &[&Errand]) -> Result<Vec<Taken>> {
        lend(&self.writer, async |connection| {
            run(connection, errands).await
        })
        .await
    }

    async fn refuse_or_run(&self, errands: &[Errand]) -> Result<Vec<Taken>> {
        let refusals = self.refuse(errands).await?;
        let rest = errands.iter().zip(&refusals);
        let rest: Vec<&Errand> = rest
            .filter_map(|(errand, refusal)| refusal.is_none().then_some(errand))
            .collect();
        let run = if rest.is_empty() {
            Vec::new()
        } else {
            match self.run(&rest).await {
                // With the purge, which takes its rows as they come; or a user was deleted while a
                // source of theirs was added.
                Err(error) if error.is_deadlock() || error.is_foreign_key_violation() => {
                    self.run(&rest).await?
                }
                outcomes => outcomes?,
            }
        };
        let mut run = run.into_iter();
        let outcomes = refusals
            .into_iter()
            .map(|refusal| refusal.or_else(|| run.next()));
        Ok(outcomes.flatten().collect())
    }
}

/// Runs errands in one transaction.
async fn run(connection: &mut AnyConnection, errands: &[&Errand]) -> sqlx::Result<Vec<Taken>> {
    let mut outcomes = vec![Taken::All; errands.len()];
    let mut steps: Vec<(usize, &Bucket)> = Vec::new();
    for (number, errand) in errands.iter().enumerate() {
        steps.extend(errand.buckets().iter().map(|bucket| (number, bucket)));
    }
    // What comes back is there for whoever takes in the same batch.
    steps.sort_by_key(|(number, bucket)| (bucket.order(), errands[*number].takes().is_some()));

    let mut transaction = connection.begin().await?;
    for (number, bucket) in steps {
        match errands[number] {
            Errand::GiveBack { .. } => give_back(&mut transaction, bucket).await?,
            Errand::Take { buckets, now } => {
                let is_refused = outcomes[number] != Taken::All;
                if is_refused || take(&mut transaction, bucket, *now).await? {
                    continue;
                }
                for taken in buckets {
                    if taken.order() < bucket.order() {
                        give_back(&mut transaction, taken).await?;
                    }
                }
                outcomes[number] = Taken::None {
                    rank: bucket.rank,
                    retry_after: Duration::ZERO,
                };
            }
        }
    }
    let familiar = errands.iter().filter_map(|errand| match errand {
        Errand::GiveBack { familiar, .. } => *familiar,
        Errand::Take { .. } => None,
    });
    let mut familiar: Vec<FamiliarSource> = familiar.collect();
    familiar.sort_unstable_by_key(|source| (source.user.0, source.proof.digest));
    for source in familiar {
        source.remember(&mut transaction).await?;
    }
    for (errand, outcome) in errands.iter().zip(&mut outcomes) {
        if let (Errand::Take { buckets, now }, Taken::None { retry_after, .. }) = (errand, outcome)
        {
            let mut digests = buckets.iter().map(|bucket| bucket.digest).collect();
            let full_at = find_full_at(&mut transaction, &mut digests).await?;
            *retry_after = time_to_tokens(buckets, *now, &full_at);
        }
    }
    transaction.commit().await?;
    Ok(outcomes)
}

impl Worker<Errand, Result<Taken>> for Keeper {
    async fn work(&mut self, errands: &[Errand]) -> Vec<Result<Taken>> {
        match self.refuse_or_run(errands).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // No errand can spoil it for another: the database is at fault.
            Err(error) => errands.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn finish(self) {}
}

/// Takes a token; false if there is none.
async fn take(
    connection: &mut AnyConnection,
    bucket: &Bucket,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let now = unix_micros(now);
    let take = sqlx::query(sql::TAKE_TOKEN)
        .bind(bucket.digest.to_vec())
        .bind(now)
        .bind(now + bucket.refill_micros())
        .bind(now + bucket.size_micros())
        .bind(bucket.implausible_after(now));
    Ok(take.execute(connection).await?.rows_affected() > 0)
}

async fn give_back(connection: &mut AnyConnection, bucket: &Bucket) -> sqlx::Result<()> {
    let give_back = sqlx::query(sql::GIVE_TOKEN_BACK)
        .bind(bucket.digest.to_vec())
        .bind(bucket.refill_micros());
    give_back.execute(connection).await?;
    Ok(())
}

/// When these buckets are full again. One that is not found is full.
async fn find_full_at(
    connection: &mut AnyConnection,
    digests: &mut Vec<Digest>,
) -> sqlx::Result<HashMap<Digest, i64>> {
    digests.sort_unstable();
    digests.dedup();
    let mut found = HashMap::with_capacity(digests.len());
    for digests in digests.chunks(MAX_BATCH) {
        let (text, width) = sql::find_throttles(digests.len());
        let mut find = sqlx::query(text);
        for number in 0..width {
            find = find.bind(digests[number.min(digests.len() - 1)].to_vec());
        }
        for row in find.fetch_all(&mut *connection).await? {
            let digest: &[u8] = row.try_get("digest")?;
            if let Ok(digest) = digest.try_into() {
                found.insert(digest, row.try_get("full_at")?);
            }
        }
    }
    Ok(found)
}

/// The refusal of a request for a token of each of these buckets; `None` if all have one.
fn refusal(buckets: &[Bucket], now: UnixTime, full_at: &HashMap<Digest, i64>) -> Option<Taken> {
    let empty = buckets
        .iter()
        .filter(|bucket| bucket.time_to_token(now, full_at) > Duration::ZERO);
    Some(Taken::None {
        rank: empty.map(|bucket| bucket.rank).min()?,
        retry_after: time_to_tokens(buckets, now, full_at),
    })
}

/// How long until all buckets have a token.
fn time_to_tokens(buckets: &[Bucket], now: UnixTime, full_at: &HashMap<Digest, i64>) -> Duration {
    let waits = buckets
        .iter()
        .map(|bucket| bucket.time_to_token(now, full_at));
    waits.max().unwrap_or_default()
}

pub(super) fn unix_micros(moment: UnixTime) -> i64 {
    moment.0.saturating_mul(1_000_000)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DatabaseUrl, Db};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn bucket(rank: u8) -> Bucket {
        Bucket {
            rank,
            digest: [rank; 32],
            tokens: 1,
            refill: Duration::from_mins(1),
        }
    }

    fn take(buckets: &[Bucket]) -> Errand {
        let buckets = buckets.to_vec();
        Errand::Take { buckets, now: NOW }
    }

    #[tokio::test]
    async fn a_batch_refuses_what_is_empty_and_takes_what_comes_back_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("b.db").display());
        let db = Db::open(&url.parse::<DatabaseUrl>().unwrap())
            .await
            .unwrap();
        let mut keeper = Keeper {
            readers: db.readers.clone(),
            writer: db.writer.clone(),
        };
        let mut outcomes = async |errands: &[Errand]| -> Vec<Taken> {
            let outcomes = keeper.work(errands).await;
            outcomes.into_iter().map(Result::unwrap).collect()
        };
        let refused = |rank| Taken::None {
            rank,
            retry_after: Duration::from_mins(1),
        };
        let all = outcomes(&[take(&[bucket(1)]), take(&[bucket(3)])]).await;
        assert_eq!(all, [Taken::All, Taken::All]);
        let give_back = Errand::GiveBack {
            buckets: vec![bucket(1)],
            familiar: None,
        };
        let errands = [
            take(&[bucket(0), bucket(3)]),
            take(&[bucket(1)]),
            take(&[bucket(1), bucket(3)]),
            give_back,
            take(&[bucket(1)]),
            take(&[bucket(0)]),
            take(&[bucket(2)]),
        ];
        assert_eq!(
            outcomes(&errands).await,
            [
                refused(3),
                Taken::All,
                refused(3),
                Taken::All,
                refused(1),
                // The one that was refused before it has taken nothing.
                Taken::All,
                Taken::All,
            ]
        );
        db.close().await;
    }
}
