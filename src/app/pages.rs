//! Pages for people in browsers: rendered from data, with no script on any of them.
//!
//! Written with maud: a page is a function whose arguments are all that it can show, parts of pages are
//! functions too, and texts are escaped. The page of a path stands in the path's own file in `routes`;
//! here is what pages share.
//!
//! - [`layout`]: the frame around every page and its header fields.
//! - [`form`]: forms and their fields.
//! - [`messages`]: what people are told about a refusal.
//! - [`return_path`]: where a person goes on to after logging in.
//! - [`theme`]: the style sheet, the logo, and colours that are readable whatever the brand's is.

pub mod form;
mod layout;
pub mod messages;
mod return_path;
mod theme;

pub use layout::{IsPage, Page, TO_HOME, View};
pub use return_path::ReturnPath;
pub use theme::{
    Brand, BrandColor, InvalidBrandColor, InvalidLogo, InvalidSiteName, Logo, SiteName, Theme,
};
