//! What the pages look like, and the files that make it so.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::routing::{MethodRouter, get};
use maud::{Markup, display, html};
use sha2::{Digest, Sha256};

use super::palette;
use crate::app::brand::LogoKind;
use crate::app::error::Error;
use crate::app::{Brand, SiteName};

const SVG: &str = "image/svg+xml";

/// The content of such a file is in its name, so it never changes (RFC 8246).
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// A picture or a style sheet, opened as a page of its own: runs nothing and loads nothing. An SVG
/// may bring its own styles.
const INERT: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// The looks of every page.
pub(in crate::app) struct Look {
    pub(super) site_name: SiteName,
    style: File,
    logo: Option<File>,
    icon: File,
}

/// A file that browsers fetch once.
struct File {
    path: String,
    content_type: &'static str,
    bytes: Bytes,
}

impl Look {
    pub(in crate::app) fn new(brand: &Brand) -> Self {
        let style = palette::custom_properties(brand.color) + include_str!("style.css");
        let logo = brand.logo.as_ref().map(|logo| {
            let (extension, content_type) = match logo.kind {
                LogoKind::Svg => ("svg", SVG),
                LogoKind::Png => ("png", "image/png"),
            };
            File::new("logo", extension, content_type, logo.bytes.clone())
        });
        Self {
            site_name: brand.site_name.clone(),
            style: File::new("style", "css", "text/css; charset=utf-8", style.into()),
            logo,
            icon: File::new("icon", "svg", SVG, icon(brand).into_string().into()),
        }
    }

    /// The path of the style sheet.
    pub(super) fn style_path(&self) -> &str {
        &self.style.path
    }

    /// The path of the logo; `None` if the name stands for it.
    pub(super) fn logo_path(&self) -> Option<&str> {
        Some(&self.logo.as_ref()?.path)
    }

    /// The path of the picture that browsers show beside the title.
    pub(super) fn icon_path(&self) -> &str {
        self.logo_path().unwrap_or(&self.icon.path)
    }

    /// Routes to the files.
    pub(in crate::app) fn files<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        [&self.style, &self.icon]
            .into_iter()
            .chain(&self.logo)
            .fold(Router::new(), |router, file| {
                router.route(&file.path, file.serve())
            })
            .method_not_allowed_fallback(async || Error::MethodNotAllowed)
    }
}

/// The first letter of the name on the operator's colour.
fn icon(brand: &Brand) -> Markup {
    let name = brand.site_name.as_str();
    let initial = name.chars().next().unwrap_or_default();
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" {
            rect width="16" height="16" rx="4" fill=(display(brand.color)) {}
            text x="8" y="12" fill=(display(palette::on(brand.color))) text-anchor="middle"
                font-family="sans-serif" font-size="11" font-weight="700" { (initial) }
        }
    }
}

impl File {
    fn new(name: &str, extension: &str, content_type: &'static str, bytes: Bytes) -> Self {
        let digest = format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(&bytes)));
        Self {
            path: format!("/{name}-{}.{extension}", &digest[..16]),
            content_type,
            bytes,
        }
    }

    fn serve<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        let headers: [(HeaderName, &'static str); 4] = [
            (CONTENT_TYPE, self.content_type),
            (CACHE_CONTROL, FOR_EVER),
            (CONTENT_SECURITY_POLICY, INERT),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let bytes = self.bytes.clone();
        get(async move || (headers, bytes))
    }
}
