//! What the pages look like.

use std::path::Path;

use clap::Args;

use crate::app::{Brand, BrandColor, InvalidLogo, Logo, SiteName};

/// Whose pages they are, as people see it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Pages")]
pub struct BrandOptions {
    /// The colour of the buttons and links on the pages, such as 2f5fd0
    ///
    /// Whatever it is, texts stay readable: letters on it are black or white, and links darker or
    /// lighter where they must be.
    #[arg(
        long,
        env = "BIENVENUE_BRAND_COLOR",
        value_name = "RRGGBB",
        default_value_t = BrandColor::default()
    )]
    brand_color: BrandColor,

    /// A picture, SVG or PNG, in the place of the name on the pages
    #[arg(
        long,
        env = "BIENVENUE_LOGO",
        value_name = "FILE",
        value_parser = parse_logo
    )]
    logo: Option<Logo>,
}

impl BrandOptions {
    /// What the pages of this site look like.
    pub fn brand(&self, site_name: &SiteName) -> Brand {
        Brand {
            site_name: site_name.clone(),
            color: self.brand_color,
            logo: self.logo.clone(),
        }
    }
}

fn parse_logo(file: &str) -> Result<Logo, InvalidLogo> {
    Logo::read(Path::new(file))
}
