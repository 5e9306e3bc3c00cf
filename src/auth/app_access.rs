//! Who may use an app in front of which a proxy asks.
//!
//! What decides is the session, the host and the rule of the app; nothing else of a request gets here.

use std::sync::Arc;

use super::Auth;
use super::error::{Error, Result};
use crate::db::SessionKey;
use crate::email::Email;
use crate::protected_app::{AppHost, ProtectedApp, ProtectedApps};
use crate::token::SessionId;
use crate::user::{GroupList, UserId};

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
        self.app_user(app, SessionKey::WithGroups(session_id.digest()))
            .await
    }

    async fn app_user(&self, app: &ProtectedApp, key: SessionKey) -> Result<AppUser> {
        let session = self.use_session(key).await?.session;
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
}
