//! The session of a request.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::other_origin::OtherOrigin;
use crate::app::error::Error;
use crate::app::settings::SessionCookie;
use crate::app::state::AppState;
use crate::auth;
use crate::token::SessionId;
use crate::user::SessionUser;

/// The session id of a request, good or not.
pub struct PresentedSession(pub SessionId);

impl FromRequestParts<Arc<AppState>> for PresentedSession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        let presented = state.settings.session_cookie.presented(&parts.headers);
        Ok(Self(presented.ok_or(auth::Error::NoSession)?))
    }
}

/// `None` where there is none to be taken for one of ours.
impl OptionalFromRequestParts<Arc<AppState>> for PresentedSession {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Option<Self>, Infallible> {
        let presented = state.settings.session_cookie.presented(&parts.headers);
        Ok(presented.map(Self))
    }
}

/// How the browser that sends a request keeps a session.
impl FromRequestParts<Arc<AppState>> for SessionCookie {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, Infallible> {
        let cookie = state.settings.session_cookie;
        let origin = parts.extensions.get::<OtherOrigin>();
        Ok(if origin.is_some_and(|origin| origin.is_other_site) {
            cookie.for_other_site()
        } else {
            cookie
        })
    }
}

/// The user whose session a request presents. As an argument of a handler it means: only when
/// logged in.
pub struct CurrentUser(pub SessionUser);

impl FromRequestParts<Arc<AppState>> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        let PresentedSession(session_id) =
            <PresentedSession as FromRequestParts<_>>::from_request_parts(parts, state).await?;
        Ok(Self(
            state.auth.get_user_from_session_id(&session_id).await?,
        ))
    }
}

/// `None` if the client is not logged in.
impl OptionalFromRequestParts<Arc<AppState>> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Option<Self>, Error> {
        match <Self as FromRequestParts<_>>::from_request_parts(parts, state).await {
            Ok(user) => Ok(Some(user)),
            Err(Error::Auth(auth::Error::NoSession)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
