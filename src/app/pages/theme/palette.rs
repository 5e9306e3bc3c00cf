//! The colours that depend on the operator's: whatever theirs is, texts stay readable.
//!
//! Buttons have the colour as it is, with black or white letters on it, whichever is easier to read.
//! Links and the frame around what has the focus have it as it is if that is readable, else as much
//! darker (in the light theme) or lighter (in the dark one) as it must be. So no colour is refused.

use super::brand::BrandColor;

const BLACK: BrandColor = BrandColor { channels: [0; 3] };
const WHITE: BrandColor = BrandColor { channels: [255; 3] };

/// The least contrast between letters and their ground (WCAG 2.2, 1.4.3, level AA).
const AA: f64 = 4.5;

/// What is behind everything else in one theme: the page, and the sheet that lies on it.
struct Grounds {
    page: BrandColor,
    sheet: BrandColor,
}

const LIGHT: Grounds = Grounds {
    page: BrandColor {
        channels: [0xf3, 0xf4, 0xf7],
    },
    sheet: WHITE,
};

const DARK: Grounds = Grounds {
    page: BrandColor {
        channels: [0x12, 0x15, 0x1b],
    },
    sheet: BrandColor {
        channels: [0x1c, 0x20, 0x28],
    },
};

/// The colours as custom properties of CSS, for `style.css` to use.
pub fn custom_properties(brand: BrandColor) -> String {
    let on_brand = on(brand);
    let of_theme = |grounds: &Grounds, towards| {
        let accent = readable(brand, towards, grounds);
        let Grounds { page, sheet } = grounds;
        format!("--page:{page};--sheet:{sheet};--accent:{accent}")
    };
    format!(
        ":root{{--brand:{brand};--on-brand:{on_brand};{}}}\n\
         @media (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        of_theme(&LIGHT, BLACK),
        of_theme(&DARK, WHITE),
    )
}

/// Black or white, whichever is easier to read on a colour. One of them always is readable.
pub fn on(ground: BrandColor) -> BrandColor {
    if contrast(ground, WHITE) >= contrast(ground, BLACK) {
        WHITE
    } else {
        BLACK
    }
}

/// The colour, mixed with no more of another than makes it readable.
fn readable(color: BrandColor, towards: BrandColor, grounds: &Grounds) -> BrandColor {
    let is_readable = |color: &BrandColor| {
        contrast(*color, grounds.page) >= AA && contrast(*color, grounds.sheet) >= AA
    };
    (0..=u8::MAX)
        .map(|share| mixed(color, towards, share))
        .find(is_readable)
        .unwrap_or(towards)
}

/// A colour with so many 255ths of another.
fn mixed(color: BrandColor, other: BrandColor, share: u8) -> BrandColor {
    let mut channels = color.channels;
    for (channel, other) in channels.iter_mut().zip(other.channels) {
        let parts =
            u16::from(*channel) * u16::from(u8::MAX - share) + u16::from(other) * u16::from(share);
        *channel = u8::try_from(parts / 255).unwrap_or(u8::MAX);
    }
    BrandColor { channels }
}

/// The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
fn contrast(one: BrandColor, other: BrandColor) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG 2.2, "relative luminance".
fn luminance(color: BrandColor) -> f64 {
    let [red, green, blue] = color.channels.map(|channel| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The custom properties of the light and of the dark theme.
    fn themes_of(style: &str) -> [HashMap<&str, BrandColor>; 2] {
        let (mut light, mut dark) = (HashMap::new(), HashMap::new());
        for rule in style
            .split_inclusive('}')
            .filter(|rule| rule.contains(":root"))
        {
            let declarations = rule.rsplit_once('{').unwrap().1.trim_end_matches('}');
            let theme = if rule.contains("@media") {
                &mut dark
            } else {
                &mut light
            };
            for declaration in declarations.split(';') {
                let Some((name, value)) = declaration.split_once(':') else {
                    continue;
                };
                if let Ok(color) = value.trim().parse() {
                    theme.insert(name.trim(), color);
                }
            }
        }
        let dark = light.clone().into_iter().chain(dark).collect();
        [light, dark]
    }

    #[test]
    fn contrast_is_what_the_guidelines_say() {
        let color = |text: &str| text.parse::<BrandColor>().unwrap();
        for (one, other, ratio) in [
            ("#000", "#fff", 21.0),
            ("#fff", "#fff", 1.0),
            ("#777", "#fff", 4.48),
            ("#767676", "#fff", 4.54),
            ("#f00", "#fff", 4.0),
            ("#00f", "#000", 2.44),
        ] {
            let found = contrast(color(one), color(other));
            assert!((found - ratio).abs() < 0.005, "{one} {other}: {found}");
        }
    }

    #[test]
    fn whatever_the_brand_color_texts_are_readable() {
        let levels = || (0..=255).step_by(17);
        for red in levels() {
            for green in levels() {
                for blue in levels() {
                    let brand = BrandColor {
                        channels: [red, green, blue],
                    };
                    for theme in themes_of(&custom_properties(brand)) {
                        assert_eq!(theme["--brand"], brand);
                        for (letters, ground) in [
                            ("--on-brand", "--brand"),
                            ("--accent", "--page"),
                            ("--accent", "--sheet"),
                        ] {
                            let ratio = contrast(theme[letters], theme[ground]);
                            assert!(ratio >= AA, "{brand}: {letters} on {ground}: {ratio}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_color_that_is_readable_stays_as_it_is() {
        let brand: BrandColor = "#2f5fd0".parse().unwrap();
        let style = custom_properties(brand);
        let [light, _] = themes_of(&style);
        assert_eq!(light["--accent"], brand);
    }

    #[test]
    fn the_style_sheets_own_colors_are_readable() {
        let style = custom_properties(BrandColor::default()) + include_str!("style.css");
        for theme in themes_of(&style) {
            for (letters, ground, least) in [
                ("--text", "--page", AA),
                ("--text", "--sheet", AA),
                ("--muted", "--page", AA),
                ("--muted", "--sheet", AA),
                ("--problem", "--sheet", AA),
                ("--problem", "--problem-ground", AA),
                ("--success", "--success-ground", AA),
                // WCAG 2.2, 1.4.11: the frame by which a field is known.
                ("--frame", "--sheet", 3.0),
            ] {
                let ratio = contrast(theme[letters], theme[ground]);
                assert!(ratio >= least, "{letters} on {ground}: {ratio}");
            }
        }
    }
}
