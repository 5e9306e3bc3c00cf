//! What every handler can reach.

use std::sync::Arc;

use tower_http::cors::CorsLayer;

use super::pages::Theme;
use super::settings::{Settings, cors_layer};
use crate::auth::Auth;
use crate::metrics::RequestMetrics;

/// The rules, how the service is reached, and what its pages look like.
pub struct AppState {
    pub auth: Auth,
    pub settings: Settings,
    pub theme: Arc<Theme>,
    /// Lets scripts of other origins read answers; `None` if there are no such origins.
    pub cors: Option<CorsLayer>,
    /// Measures requests; `None` if nobody reads how long they take.
    pub metrics: Option<Arc<RequestMetrics>>,
}

impl AppState {
    pub fn new(auth: Auth, settings: Settings) -> Self {
        Self {
            theme: Arc::new(Theme::new(&settings.brand)),
            cors: cors_layer(&settings.allowed_origins),
            auth,
            settings,
            metrics: None,
        }
    }

    /// How many characters a new password needs; `None` if any number will do.
    pub fn min_password_characters(&self) -> Option<usize> {
        Some(self.auth.password_rule()?.min_characters())
    }
}
