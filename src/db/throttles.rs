//! Buckets of tokens, taken from and given back to by many at once.
//!
//! A bucket is one number: the moment at which it will be full again. A token taken moves it on by
//! the time that a token takes to come back, and is refused if that would move it beyond the time
//! that a whole bucket takes. This is the generic cell rate algorithm of ITU-T I.371, which calls the
//! number the theoretical arrival time.

use std::time::Duration;

use sqlx::{AnyConnection, Connection, Row};

use super::batch::Worker;
use super::familiar_sources::FamiliarSource;
use super::loan::{Pool, lend};
use super::{Result, sql};
use crate::clock::UnixTime;

/// A bucket of tokens. It comes into being full, when it is first taken from.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Where it stands among the buckets of a request: tokens of a lower rank are taken first, and
    /// who is refused one takes none of a higher rank.
    pub rank: u8,
    /// What it is known by.
    pub digest: [u8; 32],
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

    /// All batches go through the buckets in this order, so that no two of them wait for each other.
    fn order(&self) -> (u8, [u8; 32]) {
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
}

/// Runs all errands that wait in one transaction with one durable commit.
pub(super) struct Keeper {
    pub(super) writer: Pool,
}

impl Keeper {
    async fn run(&self, errands: &[Errand]) -> Result<Vec<Taken>> {
        lend(&self.writer, async |connection| {
            run(connection, errands).await
        })
        .await
    }
}

/// Runs errands in one transaction.
async fn run(connection: &mut AnyConnection, errands: &[Errand]) -> sqlx::Result<Vec<Taken>> {
    let mut outcomes = vec![Taken::All; errands.len()];
    let mut steps: Vec<(usize, &Bucket)> = Vec::new();
    for (number, errand) in errands.iter().enumerate() {
        steps.extend(errand.buckets().iter().map(|bucket| (number, bucket)));
    }
    // What comes back is there for whoever takes in the same batch.
    steps.sort_by_key(|(number, bucket)| {
        let takes = matches!(errands[*number], Errand::Take { .. });
        (bucket.order(), takes)
    });

    let mut transaction = connection.begin().await?;
    for (number, bucket) in steps {
        match &errands[number] {
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
            for bucket in buckets {
                let wait = time_to_token(&mut transaction, bucket, *now).await?;
                *retry_after = wait.max(*retry_after);
            }
        }
    }
    transaction.commit().await?;
    Ok(outcomes)
}

impl Worker<Errand, Result<Taken>> for Keeper {
    async fn work(&mut self, errands: &[Errand]) -> Vec<Result<Taken>> {
        let outcomes = match self.run(errands).await {
            // With the purge, which takes its rows as they come; or a user was deleted while a source
            // of theirs was added.
            Err(error) if error.is_deadlock() || error.is_foreign_key_violation() => {
                self.run(errands).await
            }
            outcomes => outcomes,
        };
        match outcomes {
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

/// How long until a bucket has a token.
async fn time_to_token(
    connection: &mut AnyConnection,
    bucket: &Bucket,
    now: UnixTime,
) -> sqlx::Result<Duration> {
    let find = sqlx::query(sql::FIND_THROTTLE).bind(bucket.digest.to_vec());
    let Some(row) = find.fetch_optional(connection).await? else {
        return Ok(Duration::ZERO);
    };
    let full_at: i64 = row.try_get("full_at")?;
    let now = unix_micros(now);
    if full_at > bucket.implausible_after(now) {
        return Ok(Duration::ZERO);
    }
    let missing = full_at + bucket.refill_micros() - now - bucket.size_micros();
    Ok(Duration::from_micros(missing.try_into().unwrap_or(0)))
}

pub(super) fn unix_micros(moment: UnixTime) -> i64 {
    moment.0.saturating_mul(1_000_000)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
