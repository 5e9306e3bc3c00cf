//! What is limited, and how often it may happen.

use sha2::{Digest, Sha256};

use super::rate::Rate;
use crate::db::TokenBucket;

/// How much more often than one source a whole network may try.
///
/// Four sources that use up all they have are more than an office or a household in one network
/// mistypes, and a provider that gives out 48 bits of IPv6 gives out no more tries than four IPv4
/// addresses have, instead of 65,536 times those of one.
const NETWORK_MULTIPLE: u32 = 4;

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Failed logins to one address, registered or not: by all strangers together, and again by each
    /// familiar source.
    pub logins_per_account: Rate,
    /// Failed logins from one source, to whatever addresses.
    pub logins_per_source: Rate,
    /// Logins from one source that succeed, to whatever accounts.
    pub successful_logins_per_source: Rate,
    /// Sign-ups from one source, whether or not they succeed.
    pub sign_ups_per_source: Rate,
    /// Requests to sign up by a mail to one address, registered or not.
    pub sign_ups_per_address: Rate,
    /// Reset requests for one address, registered or not: by all strangers together, and again by
    /// each familiar source. And requests by one account to change its address.
    pub resets_per_address: Rate,
    /// Reset requests from one source, for whatever addresses; apart from them, requests to change an
    /// address.
    pub resets_per_source: Rate,
}

impl RateLimits {
    /// For clients on this machine. They all come from one source and may speak for all who
    /// uses them, so only accounts have limits, wide enough for thousands who log in to one at the
    /// same moment.
    pub const fn local() -> Self {
        Self {
            logins_per_account: Rate::per_hour(10_000),
            logins_per_source: Rate::OFF,
            successful_logins_per_source: Rate::OFF,
            sign_ups_per_source: Rate::OFF,
            sign_ups_per_address: Rate::per_hour(1_000),
            resets_per_address: Rate::per_hour(1_000),
            resets_per_source: Rate::OFF,
        }
    }

    /// For the open internet.
    ///
    /// - 10 wrong passwords an hour to an account: more than a forgetful owner types. The 100 in a
    ///   row that NIST SP 800-63B, 3.2.2, sets as the most take nine hours, and a whole year has
    ///   fewer guesses than there are words in a dictionary.
    /// - 100 an hour from a source, behind which may be a whole office or school.
    /// - 1,000 logins an hour that succeed from a source: all of such a school at eight in the morning,
    ///   and no accounts of one's own with which to keep the hashing threads busy without end.
    /// - 30 sign-ups an hour from a source: a school class, and no more hashes than seconds.
    /// - 5 sign-ups and 5 reset requests an hour for an address: each may be a mail.
    /// - 30 an hour from a source, behind which are fewer who forget than who mistype.
    pub const fn public() -> Self {
        Self {
            logins_per_account: Rate::per_hour(10),
            logins_per_source: Rate::per_hour(100),
            successful_logins_per_source: Rate::per_hour(1000),
            sign_ups_per_source: Rate::per_hour(30),
            sign_ups_per_address: Rate::per_hour(5),
            resets_per_address: Rate::per_hour(5),
            resets_per_source: Rate::per_hour(30),
        }
    }

    /// The rate of this limit.
    pub fn rate(&self, limit: Limit) -> Rate {
        match limit {
            Limit::LoginsPerSource => self.logins_per_source,
            Limit::LoginsPerNetwork => self.logins_per_source.times(NETWORK_MULTIPLE),
            Limit::SuccessfulLoginsPerSource => self.successful_logins_per_source,
            Limit::SuccessfulLoginsPerNetwork => {
                self.successful_logins_per_source.times(NETWORK_MULTIPLE)
            }
            Limit::SignUpsPerSource => self.sign_ups_per_source,
            Limit::SignUpsPerNetwork => self.sign_ups_per_source.times(NETWORK_MULTIPLE),
            Limit::ResetsPerSource | Limit::AddressChangesPerSource => self.resets_per_source,
            Limit::ResetsPerNetwork | Limit::AddressChangesPerNetwork => {
                self.resets_per_source.times(NETWORK_MULTIPLE)
            }
            Limit::LoginsPerAccount => self.logins_per_account,
            Limit::ResetsPerAddress | Limit::AddressChangesPerAccount => self.resets_per_address,
            Limit::SignUpsPerAddress => self.sign_ups_per_address,
        }
    }

    /// Whether it makes any difference that a source is familiar.
    pub fn know_sources(&self) -> bool {
        let that_do = [
            self.logins_per_account,
            self.logins_per_source,
            self.resets_per_address,
            self.resets_per_source,
        ];
        that_do.iter().any(|rate| *rate != Rate::OFF)
    }
}

/// What is limited. Declared in the order in which tokens are taken: of the source first, so that a
/// source without any left takes none from its network, and of the address last, so that neither takes
/// one from an account.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    LoginsPerSource,
    SuccessfulLoginsPerSource,
    SignUpsPerSource,
    ResetsPerSource,
    AddressChangesPerSource,
    LoginsPerNetwork,
    SuccessfulLoginsPerNetwork,
    SignUpsPerNetwork,
    ResetsPerNetwork,
    AddressChangesPerNetwork,
    LoginsPerAccount,
    ResetsPerAddress,
    SignUpsPerAddress,
    AddressChangesPerAccount,
}

impl Limit {
    pub const ALL: [Self; 14] = [
        Self::LoginsPerSource,
        Self::SuccessfulLoginsPerSource,
        Self::SignUpsPerSource,
        Self::ResetsPerSource,
        Self::AddressChangesPerSource,
        Self::LoginsPerNetwork,
        Self::SuccessfulLoginsPerNetwork,
        Self::SignUpsPerNetwork,
        Self::ResetsPerNetwork,
        Self::AddressChangesPerNetwork,
        Self::LoginsPerAccount,
        Self::ResetsPerAddress,
        Self::SignUpsPerAddress,
        Self::AddressChangesPerAccount,
    ];

    /// Part of the stored digests, so never changed.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoginsPerSource => "logins per source",
            Self::SuccessfulLoginsPerSource => "successful logins per source",
            Self::SignUpsPerSource => "sign-ups per source",
            Self::ResetsPerSource => "resets per source",
            Self::LoginsPerNetwork => "logins per network",
            Self::SuccessfulLoginsPerNetwork => "successful logins per network",
            Self::SignUpsPerNetwork => "sign-ups per network",
            Self::ResetsPerNetwork => "resets per network",
            Self::LoginsPerAccount => "logins per account",
            Self::ResetsPerAddress => "resets per address",
            Self::SignUpsPerAddress => "sign-ups per address",
            Self::AddressChangesPerSource => "address changes per source",
            Self::AddressChangesPerNetwork => "address changes per network",
            Self::AddressChangesPerAccount => "address changes per account",
        }
    }

    /// The bucket of a subject; `None` without limit.
    pub fn bucket(self, rate: Rate, subject: &[&str]) -> Option<TokenBucket> {
        let (tokens, refill) = rate.tokens()?;
        Some(TokenBucket {
            rank: self as u8,
            digest: digest(self.name(), subject),
            tokens,
            refill,
        })
    }
}

/// The SHA-256 of texts that contain no NUL, each ended by one.
pub fn digest(kind: &str, subject: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in [&[kind], subject].concat() {
        digest.update(text);
        digest.update([0]);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_found_by_its_rank() {
        for (rank, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, rank);
        }
    }

    #[test]
    fn a_network_may_try_four_times_as_often_as_a_source() {
        let limits = RateLimits::public();
        for (network, source) in [
            (Limit::LoginsPerNetwork, limits.logins_per_source),
            (
                Limit::SuccessfulLoginsPerNetwork,
                limits.successful_logins_per_source,
            ),
            (Limit::SignUpsPerNetwork, limits.sign_ups_per_source),
            (Limit::ResetsPerNetwork, limits.resets_per_source),
            (Limit::AddressChangesPerNetwork, limits.resets_per_source),
        ] {
            assert_eq!(limits.rate(network), source.times(4));
            assert_eq!(RateLimits::local().rate(network), Rate::OFF);
        }
    }
}
