//! The cost of a hash.

use std::fmt;

/// bcrypt's cost: a hash takes 2 to the power of it rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(pub u32);

impl Cost {
    /// The least that bcrypt knows. Good for tests alone.
    pub const MIN: Self = Self(4);
    /// A quarter of a second on a core of 2026.
    pub const DEFAULT: Self = Self(12);
    /// Four seconds on a core of 2026. A stored hash that claims a higher cost is taken for
    /// malformed: checking one of cost 31 would hold a core for a day and a half.
    pub const MAX: Self = Self(16);
    /// The least that OWASP's Password Storage Cheat Sheet allows.
    pub const RECOMMENDED_MIN: Self = Self(10);

    /// The cost of this number; `None` outside of [`Cost::MIN`] to [`Cost::MAX`].
    pub fn new(cost: u32) -> Option<Self> {
        let cost = Self(cost);
        (Self::MIN..=Self::MAX).contains(&cost).then_some(cost)
    }

    /// How many rounds a hash takes.
    pub fn rounds(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
