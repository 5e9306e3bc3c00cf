//! Adding a user by a sign-up token.

use sqlx::{AnyConnection, Connection};

use super::{NewUser, Users, insert};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::rate_limits::{self, Proof};
use crate::db::sessions::cache::Touched;
use crate::db::sign_ups::{self, SignUp};
use crate::db::validity::Period;
use crate::token::SignUpTokenDigest;
use crate::user::{HashedPassword, User};

/// A user to be added by a sign-up token.
#[derive(Clone, Debug)]
pub struct SignedUp {
    /// What the token is for, as it was found. If the token was mailed, the address is the user's.
    pub sign_up: SignUp,
    /// The token.
    pub token: SignUpTokenDigest,
    /// When the token must have been issued.
    pub issued: Period,
    /// When another account must have given the address up to keep it from this user.
    pub given_up: Period,
    /// The password.
    pub hashed_password: HashedPassword,
    /// When the user is added.
    pub now: UnixTime,
    /// The source, which is familiar to the user from then on.
    pub proof: Option<Proof>,
}

/// What came of adding a user by a sign-up token.
#[derive(Clone, Debug)]
pub enum SignUpOutcome {
    /// The user was added, and the token used up.
    Added(User),
    /// The token is not valid.
    BadToken,
    /// The address is taken, and the token was not used up.
    EmailTaken,
}

impl Users {
    /// Adds a user if the token is valid, which it is no more by this, and the address not taken.
    pub async fn add_by_token(&self, new: &SignedUp) -> Result<SignUpOutcome> {
        self.connections
            .write(Touched::None, async |connection| {
                add_by_token(connection, new).await
            })
            .await
    }
}

async fn add_by_token(
    connection: &mut AnyConnection,
    new: &SignedUp,
) -> sqlx::Result<SignUpOutcome> {
    let SignUp { email, is_mailed } = &new.sign_up;
    let mut transaction = connection.begin().await?;
    if !sign_ups::use_up(&mut transaction, email, new.token, new.issued).await? {
        transaction.rollback().await?;
        return Ok(SignUpOutcome::BadToken);
    }
    let user = NewUser {
        email,
        hashed_password: &new.hashed_password,
        now: new.now,
        is_confirmed: *is_mailed,
    };
    let Some(user) = insert(&mut transaction, &user, new.given_up).await? else {
        transaction.rollback().await?;
        return Ok(SignUpOutcome::EmailTaken);
    };
    if let Some(proof) = new.proof {
        let (id, version) = (user.id, user.password_version);
        rate_limits::add_familiar_source(&mut transaction, id, version, proof).await?;
    }
    transaction.commit().await?;
    Ok(SignUpOutcome::Added(user))
}
