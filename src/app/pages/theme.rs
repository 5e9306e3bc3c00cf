//! What the pages look like: the site's name, the style sheet and the pictures.

use axum::body::Bytes;
use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use maud::{Markup, display, html};
use sha2::{Digest, Sha256};

mod brand;
mod palette;

use brand::LogoKind;

pub use brand::{
    Brand, BrandColor, InvalidBrandColor, InvalidLogo, InvalidSiteName, Logo, SiteName,
};

const SVG: &str = "image/svg+xml";

/// What the paths of files begin with: on the host of an app too, a proxy passes these to the service.
const FILES: &str = "/_bienvenue/";

/// The name of a file contains the digest of its content, so it never changes (RFC 8246).
const FOREVER: &str = "public, max-age=31536000, immutable";

/// A picture or a style sheet that is opened as a page of its own runs nothing and loads nothing. An
/// SVG may contain its own styles.
const ISOLATED: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// The looks of every page.
pub struct Theme {
    site_name: SiteName,
    style: Asset,
    logo: Option<Asset>,
    icon: Asset,
}

/// A file that browsers fetch once.
#[derive(Clone)]
pub struct Asset {
    path: String,
    content_type: &'static str,
    bytes: Bytes,
}

impl Theme {
    pub fn new(brand: &Brand) -> Self {
        let style = palette::custom_properties(brand.color) + include_str!("theme/style.css");
        let logo = brand.logo.as_ref().map(|logo| {
            let (extension, content_type) = match logo.kind {
                LogoKind::Svg => ("svg", SVG),
                LogoKind::Png => ("png", "image/png"),
            };
            Asset::new("logo", extension, content_type, logo.bytes.clone())
        });
        Self {
            site_name: brand.site_name.clone(),
            style: Asset::new("style", "css", "text/css; charset=utf-8", style.into()),
            logo,
            icon: Asset::new("icon", "svg", SVG, icon(brand).into_string().into()),
        }
    }

    /// The name of the site.
    pub fn site_name(&self) -> &str {
        self.site_name.as_str()
    }

    /// The path of the style sheet.
    pub fn style_path(&self) -> &str {
        &self.style.path
    }

    /// The path of the logo; `None` if the name stands for it.
    pub fn logo_path(&self) -> Option<&str> {
        Some(&self.logo.as_ref()?.path)
    }

    /// The path of the picture that browsers show beside the title.
    pub fn icon_path(&self) -> &str {
        self.logo_path().unwrap_or(&self.icon.path)
    }

    /// The files to be served.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        [&self.style, &self.icon].into_iter().chain(&self.logo)
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

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, bytes: Bytes) -> Self {
        let digest = format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(&bytes)));
        Self {
            path: format!("{FILES}{name}-{}.{extension}", &digest[..16]),
            content_type,
            bytes,
        }
    }

    /// Where it is served.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        let headers: [(HeaderName, &'static str); 4] = [
            (CONTENT_TYPE, self.content_type),
            (CACHE_CONTROL, FOREVER),
            (CONTENT_SECURITY_POLICY, ISOLATED),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.bytes).into_response()
    }
}
