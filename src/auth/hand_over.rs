//! Handing a user over to an app on another host: by a ticket, for which the app's host gets a session of its
//! own.
//!
//! A ticket is good once, within a minute, at one host, and in the browser that has asked for it: that one
//! keeps an [`AppLoginToken`], of which the ticket knows the digest. So who gets hold of a ticket can do
//! nothing with it, and nobody can slip their own session under another's browser.

use std::time::Duration;

use super::Auth;
use super::audit;
use super::error::{Error, Result};
use super::writes::uninterrupted;
use crate::clock::UnixTime;
use crate::db::{NewAppSession, NewTicket, Period, StoredTicket, TicketOutcome};
use crate::protected_app::AppHost;
use crate::source::Source;
use crate::token::{AppLoginState, AppLoginToken, AppSessionId, SessionId, Ticket};

/// A ticket can be used for this long, which a browser takes for two redirects.
const TICKET_LIFETIME: Duration = Duration::from_mins(1);

/// So many tickets a session can have issued in [`TICKET_LIFETIME`]: as many apps as people open at once, and
/// an end to a browser that is sent round in circles.
const MAX_TICKETS: u32 = 30;

/// So many sessions at apps a session can have, of all apps together; the oldest goes when another begins, and
/// another takes its place unseen when the app is used again.
const MAX_APP_SESSIONS: u32 = 50;

/// How long a browser that is sent to log in has time to do so, until it is to begin anew.
pub const APP_LOGIN_LIFETIME: Duration = Duration::from_mins(10);

impl Auth {
    /// What a browser is to keep that is sent to log in for an app. Nothing is stored.
    pub fn new_app_login(&self) -> AppLoginToken {
        AppLoginToken::new(&*self.tokens)
    }

    /// Issues a ticket for the user of this session, who goes on to this path of the app at this host.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotAllowed`]; [`Error::UnknownApp`] also for the service's own host;
    /// [`Error::Throttled`].
    pub async fn issue_ticket(
        &self,
        session_id: &SessionId,
        host: &AppHost,
        state: AppLoginState,
        next: &str,
        source: Source,
    ) -> Result<Ticket> {
        let app = self.find_app(host)?;
        if self.apps().is_own_host(host) {
            return Err(Error::UnknownApp);
        }
        let user = self.get_app_user(app, session_id).await?;
        let now = self.clock.now();
        let ticket = Ticket::new(&*self.tokens);
        let new = NewTicket {
            digest: ticket.digest(),
            app: host.clone(),
            state,
            next: next.to_owned(),
            now,
            counted_after: now.before(TICKET_LIFETIME),
            max_tickets: MAX_TICKETS,
        };
        let acting = self.acting_session(session_id.digest(), user.id);
        let auth = self.clone();
        uninterrupted(async move {
            match auth.db.app_sessions.issue(acting, &new).await? {
                TicketOutcome::Issued => Ok(ticket),
                TicketOutcome::NoSession => Err(Error::NoSession),
                TicketOutcome::TooMany => {
                    let limit = audit::TICKETS_OF_SESSION;
                    Err(auth.audit.throttled(source, limit, TICKET_LIFETIME))
                }
            }
        })
        .await
    }

    /// Uses up a ticket that is presented at this host, and begins a session at the app there. Returns it with
    /// the path to go on to.
    ///
    /// # Errors
    ///
    /// [`Error::BadTicket`]. A ticket that was good, and is presented at another host or by another browser, is
    /// good no more.
    pub async fn redeem_ticket(
        &self,
        ticket: &Ticket,
        host: &AppHost,
        login: Option<&AppLoginToken>,
        source: Source,
    ) -> Result<(AppSessionId, String)> {
        let digest = ticket.digest();
        let now = self.clock.now();
        let found = self.db.app_sessions.find_ticket(digest).await?;
        let found = found.filter(|ticket| {
            let issued = Period::of_valid(now, TICKET_LIFETIME);
            issued.contains(ticket.created_at) && !ticket.is_used
        });
        let found = found.ok_or(Error::BadTicket)?;
        let is_ours = found.app == *host && login.map(AppLoginToken::digest) == Some(found.state);
        let StoredTicket {
            session,
            user,
            app,
            next,
            ..
        } = found;
        let app_session = AppSessionId::new(&*self.tokens);
        let begun = is_ours.then(|| NewAppSession {
            digest: app_session.digest(),
            acting: self.acting_session(session, user),
            app,
            now,
            max_app_sessions: MAX_APP_SESSIONS,
        });
        let auth = self.clone();
        uninterrupted(async move {
            let tickets = &auth.db.app_sessions;
            let is_used_up = tickets.use_up(digest, now, begun.as_ref()).await?;
            match begun.filter(|_| is_used_up) {
                Some(begun) => {
                    auth.audit.log_app_login(source, user, &begun.app);
                    Ok((app_session, next))
                }
                None => Err(Error::BadTicket),
            }
        })
        .await
    }

    /// When a ticket was issued that has expired now.
    pub(super) fn tickets_issued_before(&self) -> UnixTime {
        self.clock.now().before(TICKET_LIFETIME)
    }
}
