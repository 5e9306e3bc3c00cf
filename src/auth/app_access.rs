//! Who may use an app in front of which a proxy asks.
//!
//! What decides is the session, the host and the rule of the app; nothing else of a request gets here.
//!
//! On the service's own host the session is the account's. That never goes to another host, whose server would
//! read it and could be the user everywhere: an app there gets a session of its own (see `hand_over`), which is
//! good for this host alone and ends with the account's.

use std::sync::Arc;

use super::Auth;
use super::error::{Error, Result};
use crate::db::SessionKey;
use crate::email::Email;
use crate::protected_app::{AppHost, ProtectedApp, ProtectedApps};
use crate::token::{AppSessionId, SessionId};
use crate::user::{GroupList, SessionUser, UserId};

/// A user who may use an app, as the app is told of them.
#[derive(Clone, Debug)]
pub struct AppUser {
    /// The number of the account, which never changes.
    pub id: UserId,
    /// The address that the user logs in with.
    pub email: Email,
    /// The groups of the user.
    pub groups: GroupList,
}

impl Auth {
    /// Lets a proxy ask who may use these apps. Without this there are none.
    pub fn with_apps(self, apps: ProtectedApps) -> Self {
        Self {
            apps: Arc::new(apps),
            ..self
        }
    }

    /// The apps that a proxy may ask about.
    pub fn apps(&self) -> &ProtectedApps {
        &self.apps
    }

    /// The app at this host.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownApp`].
    pub fn find_app(&self, host: &AppHost) -> Result<&ProtectedApp> {
        self.apps.find(host).ok_or(Error::UnknownApp)
    }

    /// The user of an account's session, who may use this app. Notes that the session is in use.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotAllowed`].
    pub async fn get_app_user(
        &self,
        app: &ProtectedApp,
        session_id: &SessionId,
    ) -> Result<AppUser> {
        let key = SessionKey::WithGroups(session_id.digest());
        self.app_user(app, key, None).await
    }

    /// The user of a session at the app at this host, who may use it. Notes that the session of the account is
    /// in use.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], also for a session at another host; [`Error::NotAllowed`].
    pub async fn get_user_at_app(
        &self,
        app: &ProtectedApp,
        host: &AppHost,
        session_id: &AppSessionId,
    ) -> Result<AppUser> {
        let key = SessionKey::App(session_id.digest());
        self.app_user(app, key, Some(host)).await
    }

    async fn app_user(
        &self,
        app: &ProtectedApp,
        key: SessionKey,
        host: Option<&AppHost>,
    ) -> Result<AppUser> {
        let session = self.use_session(key, host).await?.session;
        let user = AppUser {
            id: session.user.id,
            email: session.user.email,
            // Looked up with each of these keys.
            groups: session.groups.ok_or(Error::NotAllowed)?,
        };
        if app.allows(&user.email, &user.groups) {
            Ok(user)
        } else {
            Err(Error::NotAllowed)
        }
    }

    /// The hosts of the apps that a user may use, of those that are at one host each.
    pub async fn apps_of(&self, user: &SessionUser) -> Result<Vec<&AppHost>> {
        if self.apps.with_hosts().next().is_none() {
            return Ok(Vec::new());
        }
        let names = self.db.groups.of_user(user.id).await?;
        let groups = names.iter().filter_map(|name| name.parse().ok());
        let groups = GroupList::with_everyone(groups.collect());
        let apps = self.apps.with_hosts();
        let apps = apps.filter(|(_, app)| app.allows(&user.email, &groups));
        Ok(apps.map(|(host, _)| host).collect())
    }
}
