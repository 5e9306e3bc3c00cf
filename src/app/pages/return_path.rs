//! Where a person goes on to after logging in.

use percent_encoding::percent_decode_str;
use url::{Position, Url, form_urlencoded};

/// A path of this site to go on to, `/` unless asked otherwise. Anyone can write a link to the log-in
/// page with any text in it, so only what every browser and server takes for a path of this site is
/// one; all else is `/` (OWASP ASVS 3.7.2).
#[derive(Clone, Debug)]
pub struct ReturnPath(String);

impl Default for ReturnPath {
    fn default() -> Self {
        Self::home()
    }
}

impl ReturnPath {
    /// The home page.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The path that a text asks for.
    pub fn parse(text: &str) -> Self {
        own_path(text).map_or_else(Self::home, Self)
    }

    /// The path, with its query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the home page, which need not be asked for.
    pub fn is_home(&self) -> bool {
        self.0 == "/"
    }

    /// Whether there is a token in its query.
    pub fn holds_token(&self) -> bool {
        self.0.contains("_token=")
    }

    /// A path of ours that leads on to this one.
    pub fn after(&self, path: &str) -> String {
        if self.is_home() {
            return path.to_owned();
        }
        let next: String = form_urlencoded::byte_serialize(self.0.as_bytes()).collect();
        format!("{path}?next={next}")
    }
}

fn own_path(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    // Browsers drop tabs and line ends, and take `\` for `/`; some servers decode before they look.
    let is_plain = |text: &str| {
        text.starts_with('/')
            && !text.starts_with("//")
            && !text.contains(|letter: char| letter.is_control() || letter == '\\')
    };
    if !is_plain(text) || !is_plain(&decoded) {
        return None;
    }
    let anywhere = Url::parse("http://site.invalid/").ok()?;
    let there = anywhere.join(text).ok()?;
    let path = &there[Position::BeforePath..];
    // Dots may leave two slashes at the start.
    (there.origin() == anywhere.origin() && is_plain(path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths_are_gone_on_to() {
        for (text, path) in [
            ("/", "/"),
            ("/profile", "/profile"),
            ("/profile?tab=1&x=%2F#part", "/profile?tab=1&x=%2F#part"),
            ("/a//b", "/a//b"),
            ("/a/../profile", "/profile"),
            ("/caf\u{E9}", "/caf%C3%A9"),
            ("/javascript:alert(1)", "/javascript:alert(1)"),
            ("/?q=https://example.org", "/?q=https://example.org"),
            ("/@evil.example", "/@evil.example"),
        ] {
            assert_eq!(ReturnPath::parse(text).as_str(), path);
        }
    }

    #[test]
    fn everything_else_ends_at_home() {
        for text in [
            "",
            "profile",
            "?a=b",
            "#a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "https:evil.example",
            "https://evil.example",
            "http:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "%2f%2fevil.example",
            "/%2f/evil.example",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            " /profile",
            "/%0d%0aSet-Cookie:%20a=b",
            "/\r\nSet-Cookie: a=b",
            "/%00",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "/%ff",
            "@evil.example",
            "\u{FF0F}\u{FF0F}evil.example",
            "/\u{85}/evil.example",
        ] {
            assert_eq!(ReturnPath::parse(text).as_str(), "/", "{text:?}");
        }
    }

    #[test]
    fn a_path_that_leads_on_carries_where_to() {
        assert_eq!(ReturnPath::parse("/").after("/users"), "/users");
        assert_eq!(
            ReturnPath::parse("/a?b=c&d=e").after("/users"),
            "/users?next=%2Fa%3Fb%3Dc%26d%3De"
        );
    }
}
