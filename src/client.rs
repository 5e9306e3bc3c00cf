//! What a request is sent by, in a few words that a person recognises: "Firefox on Linux".

use std::fmt;

/// The name of the program that sends a request and, for a browser, of the system that it runs on.
///
/// Of what browsers say of themselves (RFC 9110, 10.1.5) no more is kept: versions and models would tell one
/// person from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientName(String);

/// Browsers, and by which word in `User-Agent` each is known. Those first that also name others.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems, and by which word each is known. Those first that also name others.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// Stands between a browser and its system.
const ON: &str = " on ";

impl ClientName {
    /// The longest name of a program that is not a browser, in bytes. What is longer is cut off.
    const MAX_BYTES: usize = 24;

    /// The name that a `User-Agent` comes to: a browser and its system, both from a small table, else the
    /// first product without its version. `None` if it does not begin with one.
    pub fn of_user_agent(user_agent: &str) -> Option<Self> {
        let known = |table: &[(&str, &'static str)]| {
            let mut table = table.iter();
            table.find_map(|(word, name)| user_agent.contains(word).then_some(*name))
        };
        match (known(BROWSERS), known(SYSTEMS)) {
            (Some(browser), Some(system)) => Some(Self(format!("{browser}{ON}{system}"))),
            (Some(browser), None) => Some(Self(browser.to_owned())),
            (None, _) => {
                let end = user_agent.find(|letter| !is_of_token(letter));
                let end = end.unwrap_or(user_agent.len()).min(Self::MAX_BYTES);
                let product = &user_agent[..end];
                (!product.is_empty()).then(|| Self(product.to_owned()))
            }
        }
    }

    /// Takes a name that was stored.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The name, in English.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The browser, and the system if it is known; `None` if it is another program, whose name is a text
    /// that whoever runs it can choose.
    pub fn browser_and_system(&self) -> Option<(&str, Option<&str>)> {
        let (program, system) = self.program_and_system();
        let is_browser = BROWSERS.iter().any(|(_, name)| *name == program);
        is_browser.then_some((program, system))
    }

    /// The program, and the system if it is known.
    pub fn program_and_system(&self) -> (&str, Option<&str>) {
        match self.0.split_once(ON) {
            Some((program, system)) => (program, Some(system)),
            None => (&self.0, None),
        }
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether a name of a product can have this letter (RFC 9110, 5.6.2).
fn is_of_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(user_agent: &str) -> Option<String> {
        ClientName::of_user_agent(user_agent).map(|name| name.to_string())
    }

    #[test]
    fn browsers_are_told_by_name_and_system_and_nothing_else() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0",
                "Firefox on Android",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/130.0.0.0 Safari/537.36"
                ),
                "Chrome on Windows",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/130.0 Safari/537.36 Edg/130.0"
                ),
                "Edge on Windows",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/130.0 Mobile Safari/537.36"
                ),
                "Chrome on Android",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Linux; Android 13; SM-S901B) {webkit} SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36"
                ),
                "Samsung Internet on Android",
            ),
            (
                &format!(
                    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/130.0 Safari/537.36"
                ),
                "Chrome on ChromeOS",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            ("Mozilla/5.0 (Haiku x86_64) Firefox/130.0", "Firefox"),
        ] {
            assert_eq!(name(user_agent).as_deref(), Some(expected), "{user_agent}");
        }
    }

    #[test]
    fn other_programs_are_told_by_their_first_product_without_its_version() {
        for (user_agent, expected) in [
            ("curl/8.14.1", Some("curl")),
            ("python-requests/2.32.5", Some("python-requests")),
            ("Mozilla/5.0 (unheard of)", Some("Mozilla")),
            ("MyApp (Linux)", Some("MyApp")),
            ("x on y", Some("x")),
            ("", None),
            ("/1.0", None),
            ("<script>", None),
            ("\u{E9}", None),
        ] {
            assert_eq!(name(user_agent).as_deref(), expected, "{user_agent:?}");
        }
        assert_eq!(name(&"x".repeat(1000)), Some("x".repeat(24)));
    }

    #[test]
    fn a_name_is_a_program_and_maybe_a_system() {
        for (text, parts) in [
            ("Firefox on Linux", ("Firefox", Some("Linux"))),
            (
                "Samsung Internet on Android",
                ("Samsung Internet", Some("Android")),
            ),
            ("curl", ("curl", None)),
        ] {
            let name = ClientName::new(text.to_owned());
            assert_eq!(name.program_and_system(), parts);
        }
    }

    proptest! {
        #[test]
        fn every_name_is_short_and_of_plain_letters(user_agent in "\\PC{0,60}|.{0,60}(Firefox/|Android).{0,20}") {
            if let Some(name) = name(&user_agent) {
                prop_assert!(!name.is_empty() && name.len() <= 40);
                prop_assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
}
