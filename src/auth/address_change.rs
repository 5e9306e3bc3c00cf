//! Changing the address of an account, by a token that goes to the new one and is used in a session of the
//! account: neither who happens on the mail nor who has only a session completes anything.
//!
//! The answer to a request does not depend on whether the new address is taken. A mail to it has the token of
//! all accounts that ask for it at that moment, and each of them can use it in a session of its own. So nobody
//! who asks for the address of another's choice makes their link useless: whoever's request a mail answers,
//! it is a link for all.

use super::Auth;
use super::address_lifetimes::{EMAIL_TOKEN_LIFETIME, undo_period};
use super::audit::Event;
use super::error::{Error, Result};
use super::outbox::{GIVE_UP_AFTER, MAIL_PAUSE};
use super::writes::{briefly, uninterrupted};
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::db::{
    AddressChange, AddressChangeOutcome, AddressRequest, AddressRequestOutcome, AskedAddress,
    MailKind, Period, TokenWay, UndoTokenWay,
};
use crate::email::Email;
use crate::language::Language;
use crate::source::Source;
use crate::token::{EmailToken, SessionId, UndoToken};
use crate::user::SessionUser;

/// The answer to a request to change an address.
#[derive(Debug)]
pub enum AddressChangeAsked {
    /// The token itself.
    Token(EmailToken),
    /// A mail to the new address. Who asks does not learn whether it has an account.
    ByMail,
}

/// A change that a user has asked for and can still confirm.
#[derive(Clone, Debug)]
pub struct PendingAddress {
    /// The address to be.
    pub email: Email,
    /// Whether its token goes to it by mail.
    pub is_mailed: bool,
}

/// What changing an address takes.
#[derive(Debug)]
pub struct ChangeAddress<'a> {
    /// The session of the user.
    pub session_id: &'a SessionId,
    /// The token that went to the new address.
    pub token: &'a EmailToken,
    /// The language in which the old address is told by mail.
    pub language: Language,
    /// What asks.
    pub client: Option<ClientName>,
}

/// A change of an address that was made.
#[derive(Debug)]
pub struct AddressChanged {
    /// The address that the user has now.
    pub email: Email,
    /// The session in place of the one that asked.
    pub session_id: SessionId,
    /// What undoes the change; `None` where it goes to the old address by mail, and if the user has an address
    /// again that they had: nothing undoes that.
    pub undo_token: Option<UndoToken>,
}

impl Auth {
    /// Lets the user of this session, which must be fresh, have this address if they read its mail: with mail
    /// set up, by a mail in this language; else by the token that is returned. Takes the place of what they
    /// have asked for before. Their address stays the same for now.
    ///
    /// With mail, the same is done whether or not the address has an account.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`], [`Error::Throttled`]; [`Error::OwnAddress`] if it is theirs
    /// already; [`Error::EmailTaken`] if it is another's, but only where no mail is set up.
    pub async fn ask_for_address_change(
        &self,
        session_id: &SessionId,
        email: &Email,
        language: Language,
        source: Source,
    ) -> Result<AddressChangeAsked> {
        let user = self.get_fresh_user(session_id).await?;
        if user.email == *email {
            return Err(Error::OwnAddress);
        }
        let allowed = self.rate_limiter.ask_address_change(user.id, source).await;
        allowed.map_err(|error| self.audit.refusal(error, source))?;
        let now = self.clock.now();
        let (asked, way) = if self.mails.is_some() {
            let last_after = now.before(MAIL_PAUSE);
            (AddressChangeAsked::ByMail, TokenWay::Mail { last_after })
        } else {
            let given_up = undo_period(now);
            if self.db.users.is_taken_for(user.id, email, given_up).await? {
                return Err(Error::EmailTaken);
            }
            let token = EmailToken::new(&*self.tokens);
            let way = TokenWay::Answer(token.digest());
            (AddressChangeAsked::Token(token), way)
        };
        if let Some(mails) = &self.mails {
            self.ensure_mails_are_taken(mails, source)?;
        }
        let acting = self.fresh_acting_session(session_id.digest(), user.id);
        let (auth, email) = (self.clone(), email.clone());
        uninterrupted(async move {
            let kind = MailKind::ChangeAddress;
            let by_mail = auth.mails.is_some();
            let request = AddressRequest {
                acting,
                email: &email,
                way,
                mail: by_mail.then(|| auth.mail_request(kind, &email, language, source)),
                now,
            };
            match auth.db.users.ask_for_address(&request).await? {
                AddressRequestOutcome::Accepted => {}
                AddressRequestOutcome::NoSession => return Err(Error::NoSession),
                AddressRequestOutcome::TooManyWait => {
                    return Err(auth.too_many_mails_of_network(source));
                }
            }
            let user = Some(user.id);
            auth.audit.log(Event::AddressChangeAsked, source, user);
            auth.wake_mail_worker();
            Ok(asked)
        })
        .await
    }

    /// The address that a user has asked for and can still confirm; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn get_pending_address(&self, user: &SessionUser) -> Result<Option<PendingAddress>> {
        let pending = self.db.pending_addresses.of_user(user.id).await?;
        let issued = self.email_token_period();
        let pending = pending.filter(|pending| {
            let issued_at = pending.issued_at;
            issued_at.is_none_or(|time| issued.contains(time))
        });
        Ok(pending.map(|pending| PendingAddress {
            email: pending.email,
            is_mailed: pending.is_mailed,
        }))
    }

    /// The user of this session, and the address that they can have by this token. Uses nothing up.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::BadEmailToken`].
    pub async fn check_email_token(
        &self,
        session_id: &SessionId,
        token: Option<&EmailToken>,
    ) -> Result<(SessionUser, Email)> {
        let user = self.get_user_from_session_id(session_id).await?;
        let token = token.ok_or(Error::BadEmailToken)?;
        let asked = self.find_asked_address(&user, token).await?;
        Ok((user, asked.email))
    }

    /// Gives the user of a session the address that a token is for, and begins another session in place of
    /// this one. Ends every other session and every reset token. The old address is told, and can take the
    /// account back for some days; not if the new one was the user's before it, and could take the account back
    /// itself.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::BadEmailToken`], [`Error::EmailTaken`], with nothing changed.
    pub async fn change_address(
        &self,
        change: ChangeAddress<'_>,
        source: Source,
    ) -> Result<AddressChanged> {
        let user = self.get_user_from_session_id(change.session_id).await?;
        // Looked at first to know the address; what decides is looked at again in the transaction.
        let asked = self.find_asked_address(&user, change.token).await?;
        let account = self.find_user(Some(&user.email)).await?;
        let account = account.filter(|account| account.id == user.id);
        let account = account.ok_or(Error::NoSession)?;
        let undo_token = match self.mails {
            Some(_) => None,
            None => Some(UndoToken::new(&*self.tokens)),
        };
        let session_id = SessionId::new(&*self.tokens);
        let mut session = self.new_session(&account, &session_id, change.client, source);
        session.password_version += 1;
        let change = AddressChange {
            acting: self.acting_session(change.session_id.digest(), user.id),
            token: change.token.digest(),
            issued: self.email_token_period(),
            undo: match &undo_token {
                Some(token) => UndoTokenWay::Answer(token.digest()),
                None => UndoTokenWay::Mail,
            },
            given_up: undo_period(session.now),
            told_by_mail: self.sends_mails().then_some(change.language),
            proof: self.rate_limiter.proof(&asked.email, source),
            email: user.email,
            new_email: asked.email,
            session,
        };
        let auth = self.clone();
        uninterrupted(async move {
            let undo_token = match auth.db.users.change_address(&change).await? {
                AddressChangeOutcome::Changed => undo_token,
                AddressChangeOutcome::WentBack => None,
                AddressChangeOutcome::NoSession => return Err(Error::NoSession),
                AddressChangeOutcome::BadToken => return Err(Error::BadEmailToken),
                AddressChangeOutcome::EmailTaken => return Err(Error::EmailTaken),
            };
            auth.audit.log(Event::AddressChanged, source, Some(user.id));
            auth.wake_mail_worker();
            Ok(AddressChanged {
                email: change.new_email,
                session_id,
                undo_token,
            })
        })
        .await
    }

    /// Calls off the change of the address that the user of this session has asked for, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub async fn call_off_address_change(&self, session_id: &SessionId) -> Result<()> {
        let user = self.get_user_from_session_id(session_id).await?;
        // Spares a commit where there is nothing to call off, so that a session cannot cause many.
        if self.db.pending_addresses.of_user(user.id).await?.is_none() {
            return Ok(());
        }
        let acting = self.acting_session(session_id.digest(), user.id);
        if self.db.pending_addresses.call_off(acting).await? {
            Ok(())
        } else {
            Err(Error::NoSession)
        }
    }

    /// Finds what a valid token of this user is for. An expired one is deleted, so that it stays refused if
    /// the clock is turned back.
    async fn find_asked_address(
        &self,
        user: &SessionUser,
        token: &EmailToken,
    ) -> Result<AskedAddress> {
        let (id, digest) = (user.id, token.digest());
        let issued = self.email_token_period();
        let asked = self.db.pending_addresses.find(id, digest).await?;
        let asked = asked.ok_or(Error::BadEmailToken)?;
        if issued.contains(asked.issued_at) {
            return Ok(asked);
        }
        let db = self.db.clone();
        let delete = async move {
            db.pending_addresses
                .delete_expired(id, digest, issued)
                .await
        };
        briefly(
            "delete an expired token of a new address",
            uninterrupted(delete),
        )
        .await;
        Err(Error::BadEmailToken)
    }

    fn email_token_period(&self) -> Period {
        Period::of_valid(self.clock.now(), EMAIL_TOKEN_LIFETIME)
    }

    /// Deletes the requests whose token has expired, even if its mail was sent a day after it was asked for. A
    /// mail that is still tried then is not sent. Returns how many.
    pub(super) async fn purge_pending_addresses(&self, now: UnixTime) -> Result<u64> {
        let asked_before = now.before(GIVE_UP_AFTER + EMAIL_TOKEN_LIFETIME);
        Ok(self.db.pending_addresses.purge(asked_before).await?)
    }
}
