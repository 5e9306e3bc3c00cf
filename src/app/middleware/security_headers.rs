//! The header fields that every response has, whatever its status.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use tower::util::MapResponseLayer;

use crate::app::pages::IsPage;
use crate::app::state::AppState;
use crate::protected_app::ProtectedApps;

/// What a response says unless a handler has said otherwise.
static ALWAYS: [(HeaderName, HeaderValue); 6] = [
    // Every answer is about one user or none (OWASP ASVS 5.0, 14.3.2). Refusals too: a cache
    // between two users must not answer the one with what the other was told.
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, NOTHING),
    // What we say is JSON is JSON (3.4.4).
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // A link in a mail has a token in it, which no other site gets to see (3.4.5). Not
    // `no-referrer`: with that, browsers send `Origin: null` along with the forms of our own pages
    // (Fetch, "append a request `Origin` header"), as if they came from elsewhere.
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    // No other site can load an answer as if it were a picture, to observe it: a
    // site under the same registered domain comes with the user's cookie, as `SameSite` lets it.
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // A page that opens one of ours in a window cannot watch it (3.4.8).
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What a page says besides: our own style sheet and pictures, our own forms, and nothing else; no script
/// at all, and no frame of another site around it (3.4.3 and 3.4.6).
///
/// The forms lead on to the apps on other hosts, where there are any: browsers hold the redirects after a form
/// against this too, and logging in ends at the app (CSP Level 3, 6.4.2).
fn page_policy(apps: &ProtectedApps) -> HeaderValue {
    let forms = ["'self'".to_owned()]
        .into_iter()
        .chain(apps.other_origins());
    let forms: Vec<String> = forms.collect();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action {}; frame-ancestors 'none'; \
         base-uri 'none'",
        forms.join(" ")
    );
    // The names of hosts have no letter that a header field cannot have.
    HeaderValue::try_from(policy).unwrap_or(NOTHING)
}

/// Nothing is loaded, run or shown in a frame of another page (3.4.3, 3.4.6).
const NOTHING: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// What a page says that holds a token: `Referer` then tells no path. Not `no-referrer`, as above.
static TOKEN_PAGE_REFERRERS: HeaderValue = HeaderValue::from_static("strict-origin");

/// Browsers come back over TLS only, for two years, which the next visit begins anew (3.4.1 asks for
/// one at least). Without `includeSubDomains`: the names below ours may be another operator's.
static OVER_TLS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Adds the header fields that a response lacks.
pub fn layer(state: &AppState) -> MapResponseLayer<impl Fn(Response) -> Response + Clone + use<>> {
    let is_over_tls = state.settings.is_over_tls();
    let page_policy = page_policy(state.auth.apps());
    MapResponseLayer::new(move |response| add(response, is_over_tls, &page_policy))
}

fn add(mut response: Response, is_over_tls: bool, page_policy: &HeaderValue) -> Response {
    let page = response.extensions().get::<IsPage>().copied();
    let headers = response.headers_mut();
    if let Some(page) = page {
        headers.insert(CONTENT_SECURITY_POLICY, page_policy.clone());
        if page.holds_token {
            headers.insert(REFERRER_POLICY, TOKEN_PAGE_REFERRERS.clone());
        }
    }
    for (name, value) in &ALWAYS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if is_over_tls {
        headers
            .entry(STRICT_TRANSPORT_SECURITY)
            .or_insert_with(|| OVER_TLS.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn what_a_response_says_itself_stands() {
        let response = [(CACHE_CONTROL, "max-age=60")].into_response();
        let response = add(response, true, &NOTHING);
        let said: Vec<_> = response.headers().get_all(CACHE_CONTROL).iter().collect();
        assert_eq!(said, ["max-age=60"]);
        assert_eq!(response.headers()[REFERRER_POLICY], "same-origin");
    }
}
