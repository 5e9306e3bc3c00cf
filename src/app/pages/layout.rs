//! What is around every page: the frame that people see, and the headers that browsers obey.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::errors::Refusal;
use super::texts::{LANGUAGES, Texts};
use crate::app::Edge;
use crate::app::error::Error;
use crate::app::negotiation;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Our own style sheet and pictures, our own forms, and nothing else; no script at all, and no frame
/// of another site around it (OWASP ASVS 3.4.3 and 3.4.6).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'",
);

/// Who is looking: in which language, at whose pages.
pub(super) struct View {
    edge: Arc<Edge>,
    pub(super) texts: &'static Texts,
}

impl View {
    pub(super) fn new(edge: Arc<Edge>, headers: &HeaderMap) -> Self {
        let texts = negotiation::in_preferred_language(headers, &LANGUAGES, |texts| texts.tag);
        Self { edge, texts }
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// A page with this title in its head, around this content.
    pub(super) fn page(&self, title: &str, content: &Markup) -> Page {
        let look = &self.edge.look;
        let site_name = look.site_name.as_str();
        let markup = html! {
            (DOCTYPE)
            html lang=(self.texts.tag) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · " (site_name) }
                    link rel="stylesheet" href=(look.style_path());
                    link rel="icon" href=(look.icon_path());
                }
                body {
                    header {
                        a href="/" {
                            @if let Some(logo) = look.logo_path() {
                                img src=(logo) alt=(site_name);
                            } @else {
                                (site_name)
                            }
                        }
                    }
                    main { (content) }
                }
            }
        };
        Page {
            status: StatusCode::OK,
            language: self.texts.tag,
            holds_token: false,
            markup,
        }
    }

    /// A refusal as the page that shows it.
    pub(super) fn refuse(&self, error: Error, page: impl FnOnce(&Refusal) -> Page) -> Response {
        let refusal = Refusal::new(&error, self.texts);
        page(&refusal).in_place_of(error.into_response())
    }
}

impl FromRequestParts<Arc<Edge>> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, edge: &Arc<Edge>) -> Result<Self, Infallible> {
        Ok(Self::new(Arc::clone(edge), &parts.headers))
    }
}

/// A whole page.
pub(super) struct Page {
    status: StatusCode,
    language: &'static str,
    holds_token: bool,
    markup: Markup,
}

impl Page {
    /// The same page, known to hold a reset token or to have one in its address: no other site must
    /// learn it from a `Referer`.
    pub(super) fn holding_token(self) -> Self {
        Self {
            holds_token: true,
            ..self
        }
    }

    /// The page with the status and the headers of a response, which said the same to programs.
    pub(super) fn in_place_of(self, response: Response) -> Response {
        let mut page = Self {
            status: response.status(),
            ..self
        }
        .into_response();
        for (name, value) in response.headers() {
            // These tell of the body, which is another now.
            if name != CONTENT_TYPE && name != CONTENT_LENGTH {
                page.headers_mut().insert(name, value.clone());
            }
        }
        *page.extensions_mut() = response.into_parts().0.extensions;
        page
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        // Without one at all, browsers would not say either from which site a form is sent.
        let referrers = if self.holds_token {
            "no-referrer"
        } else {
            "same-origin"
        };
        let headers = [
            (CONTENT_TYPE, HTML),
            (CONTENT_LANGUAGE, HeaderValue::from_static(self.language)),
            (VARY, HeaderValue::from_static("accept, accept-language")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, HeaderValue::from_static(referrers)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (self.status, headers, self.markup.into_string()).into_response()
    }
}

/// Whether a response is a page already.
pub(super) fn is_page(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE) == Some(&HTML)
}
