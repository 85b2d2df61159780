//! Light, dark, or as the system does; remembered in a cookie so that the first byte has the right colours.
//!
//! Refuses scripts: the attribute on the root element is all there is.

use serde::{Deserialize, Serialize};

/// Which colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the system does.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The three, as the settings page lists them.
    pub const ALL: [Theme; 3] = [Theme::Auto, Theme::Light, Theme::Dark];

    /// The word in cookie and form.
    pub fn as_str(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    /// The words for people.
    pub fn title(self) -> &'static str {
        match self {
            Theme::Auto => "As the system does",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        }
    }

    /// From a `Cookie` header.
    pub fn from_cookies(header: &str) -> Theme {
        let value = header.split(';').find_map(|pair| pair.trim().strip_prefix("theme="));
        Theme::ALL.into_iter().find(|t| Some(t.as_str()) == value).unwrap_or_default()
    }

    /// The theme that the request asks for.
    #[cfg(feature = "ssr")]
    pub fn current() -> Theme {
        use leptos::prelude::use_context;
        let parts = use_context::<http::request::Parts>();
        let cookies =
            parts.as_ref().and_then(|p| p.headers.get(http::header::COOKIE)).and_then(|v| v.to_str().ok());
        Theme::from_cookies(cookies.unwrap_or_default())
    }

    /// Only the server asks; the browser's page has it already.
    #[cfg(not(feature = "ssr"))]
    pub fn current() -> Theme {
        Theme::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_and_nonsense_is_auto() {
        assert_eq!(Theme::from_cookies("a=b; theme=dark; c=d"), Theme::Dark);
        assert_eq!(Theme::from_cookies("theme=pink"), Theme::Auto);
        assert_eq!(Theme::from_cookies(""), Theme::Auto);
    }
}
