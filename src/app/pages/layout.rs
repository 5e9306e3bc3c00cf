//! What is around every page: the frame that people see, and the header fields that browsers obey.

use std::sync::Arc;

use axum::http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, VARY};
use axum::http::{Extensions, HeaderValue};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::theme::Theme;
use crate::language::{Language, Text, Translated, text};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The link that leads on from pages without another.
pub const TO_HOME: Text = text("Go to the home page", "Aller à l’accueil");

/// What every page is rendered with.
#[derive(Clone)]
pub struct View {
    language: Language,
    theme: Arc<Theme>,
    offers_sign_up: bool,
}

impl View {
    pub fn new(language: Language, theme: Arc<Theme>, offers_sign_up: bool) -> Self {
        Self {
            language,
            theme,
            offers_sign_up,
        }
    }

    /// The view that was chosen for a request; `None` if its client reads JSON.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    pub fn language(&self) -> Language {
        self.language
    }

    /// Whether people can sign up, so that pages lead there.
    pub fn offers_sign_up(&self) -> bool {
        self.offers_sign_up
    }

    /// The text in the language of the page.
    pub fn text<T: Copy>(&self, text: Translated<T>) -> T {
        text.in_language(self.language)
    }

    /// A page with this title in its head, around this content.
    pub fn page(&self, title: &str, content: &Markup) -> Page {
        let theme = &self.theme;
        let site_name = theme.site_name();
        let markup = html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · " (site_name) }
                    link rel="stylesheet" href=(theme.style_path());
                    link rel="icon" href=(theme.icon_path());
                }
                body {
                    header {
                        a href="/" {
                            @if let Some(logo) = theme.logo_path() {
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
            language: self.language.tag(),
            holds_token: false,
            markup,
        }
    }
}

/// A whole page.
#[derive(Clone)]
pub struct Page {
    language: &'static str,
    holds_token: bool,
    markup: Markup,
}

impl Page {
    /// The same page, known to hold a token or to have one in its address: no other site must
    /// learn it from a `Referer`.
    pub fn holding_token(self) -> Self {
        Self {
            holds_token: true,
            ..self
        }
    }
}

/// Marks the response that is a page, for what adds the header fields of pages.
#[derive(Clone, Copy)]
pub struct IsPage {
    /// Whether the page or its address holds a token.
    pub holds_token: bool,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, HTML),
            (CONTENT_LANGUAGE, HeaderValue::from_static(self.language)),
            (VARY, HeaderValue::from_static("accept, accept-language")),
        ];
        let mut response = (headers, self.markup.into_string()).into_response();
        response.extensions_mut().insert(IsPage {
            holds_token: self.holds_token,
        });
        response
    }
}
