//! HTTP: the routes, what stands around them, and who reads JSON and who a page.
//!
//! ```text
//! app.rs            the route table and the layers (this file)
//!   routes/         a file for each path
//!   middleware/     the layers: log, header fields, checks
//!   refusal.rs      a refusal becomes JSON or a page
//!   request/        what a request is taken apart into
//!   response.rs     parts of responses
//!   state.rs        what handlers can reach
//!   settings.rs     how the service is reached
//!   pages/          what pages are made of, rendered from data
//!   error.rs        every refusal: status, text, header fields
//!   openapi.rs      the document that describes all this to programs
//! ```
//!
//! Each imports only from those below it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::http::header::VARY;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::Auth;
use crate::metrics::RequestMetrics;

mod error;
mod middleware;
mod openapi;
mod pages;
mod refusal;
mod request;
mod response;
/// A file for each path: what a request for it takes, what it asks [`Auth`], and how it is answered, in
/// JSON for programs and by a page for people.
///
/// Handlers decide nothing. Those named `…_page` and `…_form` answer people: a page is shown, a form was
/// posted. After a form has done its work, the answer is a redirect.
mod routes {
    pub mod account;
    pub mod address;
    pub mod app_login;
    pub mod forward_auth;
    pub mod home;
    pub mod password;
    pub mod profile;
    pub mod reset_password;
    pub mod session_list;
    pub mod sessions;
    pub mod undo_address;
    pub mod users;
}
mod settings;
mod state;

use error::Error;
use middleware::{access_log, cors, request_check, security_headers};
use pages::View;
use refusal::represent;
use request::accept;
use request::other_origin::{self, OtherOrigin};
use routes::{
    account, address, app_login, forward_auth, home, password, profile, reset_password,
    session_list, sessions, undo_address, users,
};
use state::AppState;

pub use error::MAX_BODY_BYTES;
pub use openapi::openapi;
pub use pages::{
    Brand, BrandColor, InvalidBrandColor, InvalidLogo, InvalidSiteName, Logo, SiteName,
};
pub use settings::{
    AllowedOrigin, InvalidAllowedOrigin, InvalidTrustedProxy, SessionCookie, Settings,
    TrustedProxy, is_proxy,
};

/// The service as a router. Binds nothing: [`serve`](crate::server::serve) puts it on a socket.
pub fn app(auth: Auth, settings: Settings) -> Router {
    router_of(AppState::new(auth, settings))
}

/// The same, with how long its requests take.
pub fn measured_app(auth: Auth, settings: Settings) -> (Router, Arc<RequestMetrics>) {
    let paths = served_routes(&auth).into_iter().map(|(path, ..)| path);
    let metrics = Arc::new(RequestMetrics::new(paths));
    let state = AppState {
        metrics: Some(Arc::clone(&metrics)),
        ..AppState::new(auth, settings)
    };
    (router_of(state), metrics)
}

fn router_of(state: AppState) -> Router {
    let state = Arc::new(state);
    // A request passes these from the first to the last, its response from the last to the first.
    let around_routes = ServiceBuilder::new()
        .layer(security_headers::layer(&state))
        .layer(from_fn_with_state(Arc::clone(&state), negotiate))
        .layer(CatchPanicLayer::custom(error::panicked));
    // Files are the same for every client and every site.
    let around_assets = ServiceBuilder::new()
        .layer(security_headers::layer(&state))
        .layer(from_fn_with_state(Arc::clone(&state), refuse_in_json));
    routes(&state)
        .layer(around_routes)
        .merge(assets(&state).layer(around_assets))
}

/// A path, with its methods for programs, which read JSON, and for people, who read pages.
type Route = (
    &'static str,
    MethodRouter<Arc<AppState>>,
    MethodRouter<Arc<AppState>>,
);

/// Each path, once. What is for programs is described in `openapi.json`.
fn route_table() -> Vec<Route> {
    vec![
        ("/", get(home::greet), get(home::home_page)),
        (
            "/users",
            post(users::sign_up)
                .put(users::finish_sign_up)
                .delete(account::delete),
            get(users::sign_up_page)
                .post(users::sign_up_form)
                .put(users::finish_sign_up_form)
                .delete(account::delete_form),
        ),
        (
            "/users/me",
            get(account::account),
            get(account::delete_page),
        ),
        (
            "/sessions",
            get(session_list::sessions)
                .post(sessions::log_in)
                .delete(sessions::log_out),
            get(session_list::sessions_page)
                .post(sessions::log_in_form)
                .delete(sessions::log_out_form),
        ),
        (
            "/sessions/others",
            delete(session_list::end_others),
            delete(session_list::end_others_form),
        ),
        (
            "/sessions/{id}",
            delete(session_list::end),
            delete(session_list::end_form),
        ),
        (
            "/profile",
            get(profile::profile),
            get(profile::profile_page),
        ),
        (
            "/profile/password",
            put(password::change),
            get(password::change_page).put(password::change_form),
        ),
        (
            "/profile/email",
            post(address::ask)
                .put(address::change)
                .delete(address::call_off),
            get(address::address_page)
                .post(address::ask_form)
                .put(address::change_form)
                .delete(address::call_off_form),
        ),
        (
            "/undo_email_change",
            put(undo_address::undo),
            get(undo_address::undo_page).put(undo_address::undo_form),
        ),
        (
            password::WELL_KNOWN,
            get(password::to_change),
            get(password::to_change_page),
        ),
        (
            "/reset_password",
            post(reset_password::ask_for_reset).put(reset_password::update_password),
            get(reset_password::reset_password_page)
                .post(reset_password::ask_for_reset_form)
                .put(reset_password::update_password_form),
        ),
        (
            forward_auth::FORWARD_AUTH,
            get(forward_auth::forward_auth),
            get(forward_auth::forward_auth),
        ),
        (
            forward_auth::AUTH_REQUEST,
            get(forward_auth::auth_request),
            get(forward_auth::auth_request),
        ),
        (
            app_login::LOG_IN,
            get(app_login::log_in),
            get(app_login::log_in),
        ),
        (
            app_login::AUTHORIZE,
            get(app_login::authorize),
            get(app_login::authorize),
        ),
        (
            app_login::CALL_BACK,
            get(app_login::call_back),
            get(app_login::call_back),
        ),
    ]
}

/// Whether a path is there only if there are apps in front of which a proxy asks.
fn is_for_apps(path: &str) -> bool {
    path.starts_with("/_bienvenue/")
}

/// Whether a proxy asks there whether a request for an app may pass.
fn is_app_check(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    [forward_auth::FORWARD_AUTH, forward_auth::AUTH_REQUEST].contains(&path)
}

/// What of the route table is served.
fn served_routes(auth: &Auth) -> Vec<Route> {
    let mut routes = route_table();
    routes.retain(|(path, ..)| !is_for_apps(path) || !auth.apps().is_empty());
    routes
}

/// The route table as a router.
fn routes(state: &Arc<AppState>) -> Router {
    let router = served_routes(&state.auth)
        .into_iter()
        .fold(Router::new(), |router, (path, programs, people)| {
            add_route(router, path, [programs, people], state)
        });
    router.fallback(async || Error::NotFound)
}

/// Adds a path, with and without a slash at its end, as most of the original services serve it.
fn add_route(
    router: Router,
    path: &str,
    methods: [MethodRouter<Arc<AppState>>; 2],
    state: &Arc<AppState>,
) -> Router {
    let [programs, people] = methods.map(|methods| {
        let methods = methods.fallback(async || Error::MethodNotAllowed);
        methods.with_state(Arc::clone(state))
    });
    let methods = Arc::new((programs, people));
    let service = service_fn(move |request: Request| {
        let (programs, people) = &*methods;
        let view = View::of(request.extensions());
        view.map_or(programs, |_| people).clone().call(request)
    });
    let router = router.route_service(path, service.clone());
    if path.ends_with('/') {
        router
    } else {
        router.route_service(&format!("{path}/"), service)
    }
}

/// The files of the pages.
fn assets(state: &AppState) -> Router {
    let router = state.theme.assets().fold(Router::new(), |router, asset| {
        let file = asset.clone();
        router.route(asset.path(), get(async move || file))
    });
    router.method_not_allowed_fallback(async || Error::MethodNotAllowed)
}

/// Chooses between JSON and pages, and in which language those are: the view in the extensions of a
/// request is for a person, its absence for a program. Refusals are represented accordingly.
///
/// Scripts of other origins are programs whatever they accept.
async fn negotiate(
    State(state): State<Arc<AppState>>,
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let other_origin = other_origin::of(&request, &state.settings.allowed_origins);
    if let Some(origin) = other_origin {
        request.extensions_mut().insert(origin);
    }
    let mut response = if other_origin.is_none() && accept::prefers_html(request.headers()) {
        let language = accept::language(request.headers());
        let offers_sign_up = state.auth.ensure_sign_up_is_open().is_ok();
        let view = View::new(language, Arc::clone(&state.theme), offers_sign_up);
        request.extensions_mut().insert(view.clone());
        // Boxed, so that the futures of programs' requests have no room for it.
        let response = Box::pin(log_and_check(&state, route, request, next)).await;
        represent(response, Some(&view), &method)
    } else {
        let response = log_and_check(&state, route, request, next).await;
        let mut response = represent(response, None, &method);
        let by_accept = HeaderValue::from_static("accept");
        response.headers_mut().append(VARY, by_accept);
        response
    };
    if state.cors.is_some() {
        let by_origin = HeaderValue::from_static("origin");
        response.headers_mut().append(VARY, by_origin);
    }
    response
}

/// Logs the request and its response, and passes it on if the checks are passed; counts what proxies are told
/// about requests for apps. One function, since each `from_fn` takes a good part of a microsecond.
async fn log_and_check(
    state: &Arc<AppState>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let is_of_other_origin = request.extensions().get::<OtherOrigin>().is_some();
    let path = route.as_ref().map(MatchedPath::as_str);
    let metrics = state.metrics.as_ref();
    let metrics = metrics.filter(|_| path.is_some_and(is_app_check));
    let response = access_log::log(state, route, request, async |request| match &state.cors {
        Some(cors) if is_of_other_origin => {
            let state = Arc::clone(state);
            let checked = service_fn(move |request| {
                let (state, next) = (Arc::clone(&state), next.clone());
                async move { Ok::<_, Infallible>(check(&state, request, next).await) }
            });
            // Boxed, as for pages.
            Box::pin(cors::share(cors, request, checked)).await
        }
        _ => check(state, request, next).await,
    })
    .await;
    if let Some(metrics) = metrics
        && let Some(outcome) = forward_auth::outcome(&response)
    {
        metrics.app_checks().add(outcome);
    }
    response
}

/// Passes a request on if the checks are passed.
async fn check(state: &AppState, request: Request, next: Next) -> Response {
    match request_check::check(state, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

/// The same for a file.
async fn refuse_in_json(
    State(state): State<Arc<AppState>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let response =
        access_log::log(
            &state,
            route,
            request,
            async |request| match request_check::refuse_for_file(&request) {
                None => next.run(request).await,
                Some(refusal) => refusal,
            },
        );
    represent(response.await, None, &method)
}
