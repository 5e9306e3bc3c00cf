//! What rate limits count: tokens in buckets, and the sources that are familiar to a user.

use std::sync::Arc;

use sqlx::AnyConnection;

use super::batch::Batcher;
use super::connection::Connections;
use super::error::Result;
use super::outbox::LoginNotice;
use super::validity::Period;
use crate::clock::UnixTime;
use crate::user::{User, UserId};

pub(super) mod buckets;
pub(super) mod familiar_sources;

pub use buckets::{Outcome, TokenBucket};
pub use familiar_sources::Proof;

use buckets::{Job, TokenWorker};
use familiar_sources::FamiliarSource;

/// The tables of token buckets and of familiar sources.
#[derive(Clone)]
pub struct RateLimitCounts {
    connections: Connections,
    jobs: Arc<Batcher<Job, Result<Outcome>>>,
}

impl RateLimitCounts {
    pub(super) fn new(connections: Connections) -> Self {
        Self {
            jobs: Arc::new(Batcher::start(TokenWorker(connections.clone()))),
            connections,
        }
    }

    pub(super) async fn close(&self) {
        self.jobs.close().await;
    }

    /// Takes a token of each bucket, or none of any.
    pub async fn take_tokens(&self, buckets: Vec<TokenBucket>, now: UnixTime) -> Result<Outcome> {
        self.jobs.ask(Job::Take { buckets, now }).await?
    }

    /// Refunds a token to each bucket, and adds the source from which this user, as they were read, has
    /// proved that the account is theirs, and the news of it: all or nothing.
    pub async fn refund_tokens(
        &self,
        buckets: Vec<TokenBucket>,
        proof: Option<(&User, Proof)>,
        notice: Option<LoginNotice>,
    ) -> Result<()> {
        let familiar = proof.map(|(user, proof)| FamiliarSource::of(user, proof));
        let job = Job::Refund {
            buckets,
            familiar,
            notice,
        };
        self.jobs.ask(job).await?.map(drop)
    }

    /// Whether a proof with this digest was given within this period, and not by an earlier password.
    pub async fn has_proof(&self, digest: [u8; 32], given: Period) -> Result<bool> {
        familiar_sources::has_proof(&self.connections, digest, given).await
    }

    /// Deletes the buckets that are full again and the proofs given at `proved_before` or earlier,
    /// a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, now: UnixTime, proved_before: UnixTime) -> Result<u64> {
        let buckets = buckets::purge(&self.connections, now).await?;
        Ok(buckets + familiar_sources::purge(&self.connections, proved_before).await?)
    }
}

/// Adds the source from which a user of this password version has given this proof.
pub async fn add_familiar_source(
    connection: &mut AnyConnection,
    user: UserId,
    password_version: i64,
    proof: Proof,
) -> sqlx::Result<()> {
    let source = FamiliarSource {
        user,
        password_version,
        proof,
    };
    source.add(connection).await
}

/// Deletes the familiar sources of a user.
pub async fn delete_familiar_sources(
    connection: &mut AnyConnection,
    user: UserId,
) -> sqlx::Result<()> {
    familiar_sources::delete_of_user(connection, user).await
}
