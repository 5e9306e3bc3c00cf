//! Users: finding, adding, locking and deleting them, and ways to a password.

use super::audit::Change;
use super::{Administration, Error, NewPasswords, Result};
use crate::auth::address_lifetimes::undo_period;
use crate::auth::outbox::mail_pause;
use crate::db::{AccountFilter, AccountPage, NewUser};
use crate::email::Email;
use crate::language::Language;
use crate::password::Password;
use crate::token::ResetToken;
use crate::user::{Account, UserId, UserKey};

/// A user, with what is theirs.
#[derive(Clone, Debug)]
pub struct AccountDetails {
    /// The user.
    pub account: Account,
    /// The names of the groups that the user is in.
    pub groups: Vec<String>,
    /// How many sessions the user has.
    pub sessions: usize,
}

/// A token by which a user chooses a password.
#[derive(Debug)]
pub struct IssuedToken {
    /// Whose it is.
    pub user: UserId,
    /// The address that goes with it.
    pub email: Email,
    /// The token.
    pub token: ResetToken,
}

impl Administration {
    /// Lists users after this one, in the order of their numbers, a page at a time.
    pub async fn list(
        &self,
        after: UserId,
        filter: &AccountFilter,
        most: u64,
    ) -> Result<AccountPage> {
        Ok(self.db.users.list(after, filter, most).await?)
    }

    /// Finds a user and what is theirs.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn details(&self, user: &UserKey) -> Result<AccountDetails> {
        let account = self.find(user).await?;
        Ok(AccountDetails {
            groups: self.db.groups.of_user(account.id).await?,
            sessions: self.db.sessions.of_user(account.id).await?.len(),
            account,
        })
    }

    /// Adds a user with a password.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`], [`Error::AddressKept`], [`Error::WeakPassword`].
    pub async fn add_user(
        &self,
        email: &Email,
        password: &Password,
        passwords: &NewPasswords,
    ) -> Result<UserId> {
        let hashed_password = passwords.hash(password, email).await?;
        let now = self.clock.now();
        let new = NewUser {
            email,
            hashed_password: &hashed_password,
            now,
            is_confirmed: false,
        };
        let added = self.db.users.add(&new, undo_period(now), None).await?;
        let user = self.added(email, added.map(|user| user.id)).await?;
        self.actor.log(Change::Added, user);
        Ok(user)
    }

    /// Adds a user without a password, who chooses one by the token.
    ///
    /// # Errors
    ///
    /// [`Error::EmailTaken`], [`Error::AddressKept`].
    pub async fn add_user_with_token(&self, email: &Email) -> Result<IssuedToken> {
        let token = ResetToken::new(&*self.tokens);
        let (digest, now) = (token.digest(), self.clock.now());
        let given_up = undo_period(now);
        let added = self
            .db
            .users
            .add_without_password(email, digest, now, given_up);
        let user = self.added(email, added.await?).await?;
        self.actor.log(Change::Added, user);
        Ok(IssuedToken {
            user,
            email: email.clone(),
            token,
        })
    }

    /// The user who was added, or why none was.
    async fn added(&self, email: &Email, added: Option<UserId>) -> Result<UserId> {
        if let Some(user) = added {
            return Ok(user);
        }
        let key = UserKey::Address(email.clone());
        match self.db.users.find_account(&key).await? {
            Some(_) => Err(Error::EmailTaken),
            None => Err(Error::AddressKept),
        }
    }

    /// Makes a token that lets its holder set the password of this user, once. Any earlier one is void.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`], [`Error::Locked`], [`Error::BadAddress`].
    pub async fn make_reset_token(&self, user: &UserKey) -> Result<IssuedToken> {
        let (id, email) = self.find_to_reset(user).await?;
        let gone = || Error::NoSuchUser(user.clone());
        let user = self
            .db
            .users
            .find_by_email(&email)
            .await?
            .ok_or_else(gone)?;
        // With the version of the password that the token will carry, so a lock from now on voids it.
        if user.is_locked {
            return Err(Error::Locked(id));
        }
        let token = ResetToken::new(&*self.tokens);
        let (digest, now) = (token.digest(), self.clock.now());
        let is_made = user.id == id && self.db.reset_tokens.set(&user, digest, now).await?;
        self.made(Change::ResetLinkMade, id, is_made)?;
        Ok(IssuedToken {
            user: id,
            email,
            token,
        })
    }

    /// Has the service mail a reset link to a user. It makes the token when it sends the mail, so an
    /// earlier one is valid until then.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`], [`Error::Locked`], [`Error::BadAddress`].
    pub async fn mail_reset_link(&self, user: &UserKey) -> Result<()> {
        let (id, email) = self.find_to_reset(user).await?;
        // Nothing tells which language the user reads.
        let (language, now) = (Language::ALL[0], self.clock.now());
        self.db.outbox.add_reset_link(&email, language, now).await?;
        self.actor.log(Change::ResetLinkMade, id);
        Ok(())
    }

    /// A user who can be given a reset link.
    async fn find_to_reset(&self, user: &UserKey) -> Result<(UserId, Email)> {
        let account = self.find(user).await?;
        if account.locked_at.is_some() {
            return Err(Error::Locked(account.id));
        }
        Ok((account.id, address_of(&account)?))
    }

    /// Sets the password of a user, and ends all their sessions and reset tokens.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`], [`Error::WeakPassword`], [`Error::BadAddress`].
    pub async fn set_password(
        &self,
        user: &UserKey,
        password: &Password,
        passwords: &NewPasswords,
    ) -> Result<UserId> {
        let account = self.find(user).await?;
        let email = address_of(&account)?;
        let hashed_password = passwords.hash(password, &email).await?;
        let set = self.db.users.replace_password(account.id, &hashed_password);
        self.made(Change::PasswordSet, account.id, set.await?)?;
        Ok(account.id)
    }

    /// Keeps a user from logging in, and ends all their sessions and reset tokens. False if they were
    /// locked before.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn lock(&self, user: &UserKey) -> Result<bool> {
        let id = self.find(user).await?.id;
        let is_made = self.db.users.lock(id, self.clock.now()).await?;
        Ok(self.made_if_due(Change::Locked, id, is_made))
    }

    /// Lets a user log in again. What the lock has ended stays ended. False if they were not locked.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn unlock(&self, user: &UserKey) -> Result<bool> {
        let id = self.find(user).await?.id;
        let is_made = self.db.users.unlock(id).await?;
        Ok(self.made_if_due(Change::Unlocked, id, is_made))
    }

    /// Notes that the address is the user's. False if that was noted before.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn confirm_email(&self, user: &UserKey) -> Result<bool> {
        let id = self.find(user).await?.id;
        let is_made = self.db.users.confirm_email(id, self.clock.now()).await?;
        Ok(self.made_if_due(Change::AddressConfirmed, id, is_made))
    }

    /// Deletes a user with all that is theirs. Nobody is given the number again.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn delete(&self, user: UserId) -> Result<()> {
        let is_made = self
            .db
            .users
            .delete(user, mail_pause(self.clock.now()))
            .await?;
        self.made(Change::Deleted, user, is_made)
    }
}

/// The address of a user, which must be one that can be logged in with.
fn address_of(account: &Account) -> Result<Email> {
    let email = account.email.parse::<Email>();
    let email = email.ok().filter(|email| email.as_str() == account.email);
    email.ok_or(Error::BadAddress(account.id))
}
