//! Token buckets, from which many requests take, and to which they refund, in one transaction.
//!
//! A bucket is one number: the moment at which it will be full again. A token taken moves it on by
//! the time that a token takes to come back, and is refused if that would move it beyond the time
//! that a whole bucket takes. This is the generic cell rate algorithm of ITU-T I.371, which calls the
//! number the theoretical arrival time.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::{AnyConnection, Connection, Row};

use super::familiar_sources::FamiliarSource;
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::batch::{MAX_BATCH, Worker};
use crate::db::connection::Connections;
use crate::db::error::Result;
use crate::db::outbox::LoginNotice;
use crate::db::sessions::cache::Touched;
use crate::db::statement::{Widths, statements};

statements! {
    /// `$1` digest, `$2` now, `$3` and `$4` when a bucket is full again of which one token and all
    /// tokens were just taken. No row if no token is left.
    ///
    /// A bucket that will not be full before `$5`, later than any can be by clocks that are right, was taken
    /// from by a clock that has been turned back since, or under a slower rate. It counts as empty,
    /// from now on: no client waits until a wrong clock is right. Up to there, clocks that differ from
    /// machine to machine cannot be played off against each other.
    TAKE_TOKEN = "
        INSERT INTO throttles (digest, full_at) VALUES ($1, $3)
        ON CONFLICT (digest) DO UPDATE SET full_at = CASE
            WHEN throttles.full_at <= $2 THEN excluded.full_at
            WHEN throttles.full_at <= $4 THEN throttles.full_at + excluded.full_at - $2
            ELSE $4 END
        WHERE throttles.full_at + excluded.full_at - $2 <= $4 OR throttles.full_at > $5";

    /// `$1` digest, `$2` the microseconds that a token takes to come back.
    REFUND_TOKEN = "
        UPDATE throttles SET full_at = full_at - $2 WHERE digest = $1";

    /// At most `$2` buckets that are full at `$1`.
    PURGE = "
        DELETE FROM throttles WHERE full_at <= $1 AND digest IN (
            SELECT digest FROM throttles WHERE full_at <= $1 LIMIT $2)";
}

/// `$1`, … digests.
pub static FIND: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |digests| {
        format!("SELECT digest, full_at FROM throttles WHERE digest IN ({digests})")
    })
});

type Digest = [u8; 32];

/// A bucket of tokens. It comes into being full, when it is first taken from.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
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

impl TokenBucket {
    fn refill_micros(&self) -> i64 {
        micros(self.refill)
    }

    fn size_micros(&self) -> i64 {
        self.refill_micros().saturating_mul(self.tokens.into())
    }

    /// One that will not be full before this is a wrong clock's doing or a slower rate's, and the next one may
    /// take from it (see [`TAKE_TOKEN`]).
    fn implausible_after(&self, now: i64) -> i64 {
        let size = self.size_micros();
        now + size + size.min(micros(CLOCK_TOLERANCE))
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

/// Whether tokens were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A token of each bucket.
    Taken,
    /// No token of any bucket.
    Refused {
        /// The rank of the bucket that had none.
        rank: u8,
        /// When all buckets have one, if no other request takes it.
        retry_after: Duration,
    },
}

/// What to do with some buckets.
pub enum Job {
    /// Take a token of each, or none of any.
    Take {
        buckets: Vec<TokenBucket>,
        now: UnixTime,
    },
    /// Refund a token to each, add a familiar source, and tell its user of it.
    Refund {
        buckets: Vec<TokenBucket>,
        familiar: Option<FamiliarSource>,
        notice: Option<LoginNotice>,
    },
}

impl Job {
    fn buckets(&self) -> &[TokenBucket] {
        match self {
            Self::Take { buckets, .. } | Self::Refund { buckets, .. } => buckets,
        }
    }

    /// The buckets that tokens are taken of, and when; `None` if none are.
    fn takes(&self) -> Option<(&[TokenBucket], UnixTime)> {
        match self {
            Self::Take { buckets, now } => Some((buckets, *now)),
            Self::Refund { .. } => None,
        }
    }
}

/// Refuses the jobs whose buckets it reads to be empty, which writes nothing, and runs the rest in one
/// transaction with one durable commit.
pub struct TokenWorker(pub Connections);

impl TokenWorker {
    /// The outcomes of those jobs that are refused for certain; `None` for the others, of which the
    /// transaction decides.
    async fn refuse(&self, jobs: &[Job]) -> Result<Vec<Option<Outcome>>> {
        let taken_from = jobs.iter().filter_map(Job::takes).flat_map(|take| take.0);
        let mut digests: Vec<Digest> = taken_from.map(|bucket| bucket.digest).collect();
        if digests.is_empty() {
            return Ok(vec![None; jobs.len()]);
        }
        digests.sort_unstable();
        digests.dedup();
        let find = self
            .0
            .read(async |connection| find_full_at(connection, &digests).await);
        let mut full_at = find.await?;
        // What is refunded can be taken in the same batch.
        for job in jobs {
            if let Job::Refund { buckets, .. } = job {
                for bucket in buckets {
                    full_at.remove(&bucket.digest);
                }
            }
        }
        let refusal = |job: &Job| {
            let (buckets, now) = job.takes()?;
            refusal(buckets, now, &full_at)
        };
        Ok(jobs.iter().map(refusal).collect())
    }

    /// Runs jobs in one transaction. It is done again if a user was deleted while a source of theirs was
    /// added: of whom it is then told that there is none.
    async fn run(&self, jobs: &[&Job]) -> Result<Vec<Outcome>> {
        let run = async || {
            let run = async |connection: &mut AnyConnection| run(connection, jobs).await;
            self.0.write(Touched::None, run).await
        };
        match run().await {
            Err(error) if error.is_foreign_key_violation() => run().await,
            outcomes => outcomes,
        }
    }

    async fn refuse_or_run(&self, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let refusals = self.refuse(jobs).await?;
        let rest = jobs.iter().zip(&refusals);
        let rest: Vec<&Job> = rest
            .filter_map(|(job, refusal)| refusal.is_none().then_some(job))
            .collect();
        let run = if rest.is_empty() {
            Vec::new()
        } else {
            self.run(&rest).await?
        };
        let mut run = run.into_iter();
        let outcomes = refusals
            .into_iter()
            .map(|refusal| refusal.or_else(|| run.next()));
        Ok(outcomes.flatten().collect())
    }
}

/// Runs jobs in one transaction.
async fn run(connection: &mut AnyConnection, jobs: &[&Job]) -> sqlx::Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Taken; jobs.len()];
    let mut steps: Vec<(usize, &TokenBucket)> = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        steps.extend(job.buckets().iter().map(|bucket| (number, bucket)));
    }
    // What is refunded can be taken in the same batch.
    steps.sort_by_key(|(number, bucket)| (bucket.order(), jobs[*number].takes().is_some()));

    let mut transaction = connection.begin().await?;
    for (number, bucket) in steps {
        match jobs[number] {
            Job::Refund { .. } => refund(&mut transaction, bucket).await?,
            Job::Take { buckets, now } => {
                let is_refused = outcomes[number] != Outcome::Taken;
                if is_refused || take(&mut transaction, bucket, *now).await? {
                    continue;
                }
                for taken in buckets {
                    if taken.order() < bucket.order() {
                        refund(&mut transaction, taken).await?;
                    }
                }
                outcomes[number] = Outcome::Refused {
                    rank: bucket.rank,
                    retry_after: Duration::ZERO,
                };
            }
        }
    }
    // Before the sources: a change of the password locks the rows in this order too.
    let notices = jobs.iter().filter_map(|job| match job {
        Job::Refund { notice, .. } => notice.as_ref(),
        Job::Take { .. } => None,
    });
    let mut notices: Vec<&LoginNotice> = notices.collect();
    notices.sort_unstable_by_key(|notice| notice.email.as_str());
    for notice in notices {
        notice.add(&mut transaction).await?;
    }
    let familiar = jobs.iter().filter_map(|job| match job {
        Job::Refund { familiar, .. } => *familiar,
        Job::Take { .. } => None,
    });
    let mut familiar: Vec<FamiliarSource> = familiar.collect();
    familiar.sort_unstable_by_key(|source| (source.user.0, source.proof.digest));
    for source in familiar {
        source.add(&mut transaction).await?;
    }
    for (job, outcome) in jobs.iter().zip(&mut outcomes) {
        if let (Job::Take { buckets, now }, Outcome::Refused { retry_after, .. }) = (job, outcome) {
            let digests: Vec<Digest> = buckets.iter().map(|bucket| bucket.digest).collect();
            let full_at = find_full_at(&mut transaction, &digests).await?;
            *retry_after = time_to_tokens(buckets, *now, &full_at);
        }
    }
    transaction.commit().await?;
    Ok(outcomes)
}

impl Worker<Job, Result<Outcome>> for TokenWorker {
    async fn work(&mut self, jobs: &[Job]) -> Vec<Result<Outcome>> {
        match self.refuse_or_run(jobs).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // Each alone would fail too.
            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn finish(self) {}
}

/// Takes a token; false if there is none.
async fn take(
    connection: &mut AnyConnection,
    bucket: &TokenBucket,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let now = unix_micros(now);
    let take = sqlx::query(TAKE_TOKEN)
        .bind(bucket.digest.to_vec())
        .bind(now)
        .bind(now + bucket.refill_micros())
        .bind(now + bucket.size_micros())
        .bind(bucket.implausible_after(now));
    Ok(take.execute(connection).await?.rows_affected() > 0)
}

async fn refund(connection: &mut AnyConnection, bucket: &TokenBucket) -> sqlx::Result<()> {
    let refund = sqlx::query(REFUND_TOKEN)
        .bind(bucket.digest.to_vec())
        .bind(bucket.refill_micros());
    refund.execute(connection).await?;
    Ok(())
}

/// When these buckets are full again. One that is not found is full.
async fn find_full_at(
    connection: &mut AnyConnection,
    digests: &[Digest],
) -> sqlx::Result<HashMap<Digest, i64>> {
    let mut found = HashMap::with_capacity(digests.len());
    for digests in digests.chunks(MAX_BATCH) {
        let (text, width) = FIND.for_keys(digests.len());
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
fn refusal(
    buckets: &[TokenBucket],
    now: UnixTime,
    full_at: &HashMap<Digest, i64>,
) -> Option<Outcome> {
    let empty = buckets
        .iter()
        .filter(|bucket| bucket.time_to_token(now, full_at) > Duration::ZERO);
    Some(Outcome::Refused {
        rank: empty.map(|bucket| bucket.rank).min()?,
        retry_after: time_to_tokens(buckets, now, full_at),
    })
}

/// How long until all buckets have a token.
fn time_to_tokens(
    buckets: &[TokenBucket],
    now: UnixTime,
    full_at: &HashMap<Digest, i64>,
) -> Duration {
    let waits = buckets
        .iter()
        .map(|bucket| bucket.time_to_token(now, full_at));
    waits.max().unwrap_or_default()
}

/// Deletes the buckets that are full again, a few at a time. Returns how many.
pub async fn purge(connections: &Connections, now: UnixTime) -> Result<u64> {
    let bounds = [unix_micros(now)];
    connections.purge(Touched::None, PURGE, bounds).await
}

fn unix_micros(moment: UnixTime) -> i64 {
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

    fn bucket(rank: u8) -> TokenBucket {
        TokenBucket {
            rank,
            digest: [rank; 32],
            tokens: 1,
            refill: Duration::from_mins(1),
        }
    }

    fn take(buckets: &[TokenBucket]) -> Job {
        let buckets = buckets.to_vec();
        Job::Take { buckets, now: NOW }
    }

    #[tokio::test]
    async fn a_batch_refuses_what_is_empty_and_takes_what_comes_back_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("b.db").display());
        let db = Db::open(&url.parse::<DatabaseUrl>().unwrap())
            .await
            .unwrap();
        let mut worker = TokenWorker(db.connections.clone());
        let mut outcomes = async |jobs: &[Job]| -> Vec<Outcome> {
            let outcomes = worker.work(jobs).await;
            outcomes.into_iter().map(Result::unwrap).collect()
        };
        let refused = |rank| Outcome::Refused {
            rank,
            retry_after: Duration::from_mins(1),
        };
        let all = outcomes(&[take(&[bucket(1)]), take(&[bucket(3)])]).await;
        assert_eq!(all, [Outcome::Taken, Outcome::Taken]);
        let refund = Job::Refund {
            buckets: vec![bucket(1)],
            familiar: None,
            notice: None,
        };
        let jobs = [
            take(&[bucket(0), bucket(3)]),
            take(&[bucket(1)]),
            take(&[bucket(1), bucket(3)]),
            refund,
            take(&[bucket(1)]),
            take(&[bucket(0)]),
            take(&[bucket(2)]),
        ];
        assert_eq!(
            outcomes(&jobs).await,
            [
                refused(3),
                Outcome::Taken,
                refused(3),
                Outcome::Taken,
                refused(1),
                // The one that was refused before it has taken nothing.
                Outcome::Taken,
                Outcome::Taken,
            ]
        );
        db.close().await;
    }
}
