//! What an operator can choose about the looks of the pages.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use axum::body::Bytes;

/// The longest name, in characters: it stands in one line on a telephone.
const MAX_NAME_CHARS: usize = 40;

/// The largest logo, in bytes. It is part of every first visit.
const MAX_LOGO_BYTES: u64 = 64 * 1024;

/// What an operator chose about the looks of the pages.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name on every page.
    pub site_name: SiteName,
    /// The colour of buttons and links.
    pub color: BrandColor,
    /// The picture in the place of the name; `None` for the name itself.
    pub logo: Option<Logo>,
}

/// The name of the site, in the head and the title of every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteName(String);

/// Why a text is not a [`SiteName`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a name of 1 to {MAX_NAME_CHARS} characters in one line")]
pub struct InvalidSiteName;

impl SiteName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SiteName {
    fn default() -> Self {
        Self("Bienvenue".to_owned())
    }
}

impl FromStr for SiteName {
    type Err = InvalidSiteName;

    fn from_str(text: &str) -> Result<Self, InvalidSiteName> {
        let text = text.trim();
        let length = text.chars().count();
        if (1..=MAX_NAME_CHARS).contains(&length) && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSiteName)
        }
    }
}

/// The operator's colour, in sRGB. Any will do: what is read on it or in it is made readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrandColor {
    /// Red, green and blue.
    pub channels: [u8; 3],
}

/// Why a text is not a [`BrandColor`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give three or six hexadecimal digits, such as 2f5fd0 or '#2f5fd0'")]
pub struct InvalidBrandColor;

impl Default for BrandColor {
    fn default() -> Self {
        Self {
            channels: [0x2f, 0x5f, 0xd0],
        }
    }
}

impl FromStr for BrandColor {
    type Err = InvalidBrandColor;

    /// The `#` is not needed: unquoted, it begins a comment for most shells.
    fn from_str(text: &str) -> Result<Self, InvalidBrandColor> {
        let digits = text.strip_prefix('#').unwrap_or(text).as_bytes();
        let digit_at = |index: usize| {
            let digit = char::from(digits[index]).to_digit(16);
            digit.and_then(|digit| u8::try_from(digit).ok())
        };
        let pair_of = |channel: usize| match digits.len() {
            3 => Some((digit_at(channel)?, digit_at(channel)?)),
            6 => Some((digit_at(2 * channel)?, digit_at(2 * channel + 1)?)),
            _ => None,
        };
        let channel = |channel| pair_of(channel).map(|(high, low)| high * 16 + low);
        match (channel(0), channel(1), channel(2)) {
            (Some(red), Some(green), Some(blue)) => Ok(Self {
                channels: [red, green, blue],
            }),
            _ => Err(InvalidBrandColor),
        }
    }
}

impl fmt::Display for BrandColor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.channels;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The operator's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    pub(super) bytes: Bytes,
    pub(super) kind: LogoKind,
}

/// The two formats that every browser shows at any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    Svg,
    Png,
}

/// Why a file is not a [`Logo`].
#[derive(Debug, thiserror::Error)]
pub enum InvalidLogo {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It would slow down every first visit.
    #[error("is larger than {MAX_LOGO_BYTES} bytes: give a smaller picture")]
    TooLarge,
    /// It is something else.
    #[error("is neither an SVG nor a PNG picture")]
    OtherFormat,
}

impl Logo {
    /// Reads a file whose content is SVG or PNG, whatever its name.
    pub fn read(file: &Path) -> Result<Self, InvalidLogo> {
        if fs::metadata(file)?.len() > MAX_LOGO_BYTES {
            return Err(InvalidLogo::TooLarge);
        }
        Self::from_bytes(fs::read(file)?)
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidLogo> {
        /// PNG, 5.2.
        const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
        let is_svg = || {
            let text = str::from_utf8(&bytes).unwrap_or_default();
            let text = text.trim_start_matches('\u{FEFF}').trim_start();
            text.starts_with('<') && text.contains("<svg")
        };
        let kind = if bytes.starts_with(PNG_SIGNATURE) {
            LogoKind::Png
        } else if is_svg() {
            LogoKind::Svg
        } else {
            return Err(InvalidLogo::OtherFormat);
        };
        Ok(Self {
            bytes: bytes.into(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_fits_on_a_telephone() {
        for (text, name) in [
            ("Holberton", "Holberton"),
            (" Caf\u{E9} & <Co> ", "Caf\u{E9} & <Co>"),
            (&"\u{1F600}".repeat(40), &"\u{1F600}".repeat(40)),
        ] {
            assert_eq!(text.parse::<SiteName>().unwrap().as_str(), name);
        }
        for text in ["", "  ", "a\nb", "a\0b", &"x".repeat(41)] {
            assert_eq!(text.parse::<SiteName>(), Err(InvalidSiteName), "{text:?}");
        }
    }

    #[test]
    fn a_color_has_three_or_six_digits() {
        for (text, color) in [
            ("#2f5fd0", "#2f5fd0"),
            ("2F5FD0", "#2f5fd0"),
            ("#0a7", "#00aa77"),
            ("fff", "#ffffff"),
        ] {
            assert_eq!(text.parse::<BrandColor>().unwrap().to_string(), color);
        }
        for text in [
            "", "#", "red", "#12", "#12345", "#1234567", "##fff", "#ggg", "é1", "ééé",
        ] {
            assert_eq!(text.parse::<BrandColor>(), Err(InvalidBrandColor), "{text}");
        }
    }

    #[test]
    fn a_logo_is_known_by_its_content() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], LogoKind::Png),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", LogoKind::Svg),
            (
                b"\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- a --><svg/>",
                LogoKind::Svg,
            ),
        ] {
            assert_eq!(Logo::from_bytes(bytes.to_vec()).unwrap().kind, kind);
        }
        for bytes in [
            &b""[..],
            b"GIF89a",
            b"<html></html>",
            b"\xFF\xD8",
            b"<svg \xFF/>",
            b"svg",
        ] {
            let refused = Logo::from_bytes(bytes.to_vec());
            assert!(
                matches!(refused, Err(InvalidLogo::OtherFormat)),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_large_file_and_one_that_is_not_there_are_no_logos() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("logo.svg");
        assert!(matches!(Logo::read(&file), Err(InvalidLogo::Unreadable(_))));
        let svg_of = |bytes: usize| "<svg/>".to_owned() + &" ".repeat(bytes - 6);
        fs::write(&file, svg_of(64 * 1024)).unwrap();
        assert!(Logo::read(&file).is_ok());
        fs::write(&file, svg_of(64 * 1024 + 1)).unwrap();
        assert!(matches!(Logo::read(&file), Err(InvalidLogo::TooLarge)));
    }
}
