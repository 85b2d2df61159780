//! Icons: one sprite at the end of the page, small references everywhere else.
//!
//! Refuse to speak: a word always stands beside an icon, so every one is hidden from screen readers.

use leptos::prelude::*;

/// Name and drawing of each, on a field of 24 by 24.
#[cfg(feature = "ssr")]
const ICONS: [(&str, &str); 22] = [
    ("check", "M5 12.5l4.5 4.5L19 7.5"),
    ("x", "M7 7l10 10M17 7L7 17"),
    ("clock", "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17M12 7.5V12l3 2"),
    ("spin", "M12 3.5a8.5 8.5 0 1 1-8.5 8.5"),
    ("pause", "M9 6.5v11M15 6.5v11"),
    ("skip", "M6 12h12M14 8l4 4-4 4"),
    ("stop", "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17M8.5 12h7"),
    (
        "board",
        "M5.5 4.5h13a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2h-13a2 2 0 0 1-2-2v-11a2 2 0 0 1 2-2zM3.5 10h17M10 10v9.5",
    ),
    ("runs", "M4 7h10M4 12h16M4 17h7"),
    ("inbox", "M4 13l2.5-7.5h11L20 13v6H4zM4 13h5l1 2.5h4l1-2.5h5"),
    (
        "gear",
        "M12 9a3 3 0 1 0 0 6a3 3 0 1 0 0-6M12 3.5v3M12 17.5v3M3.5 12h3M17.5 12h3M6 6l2 2M16 16l2 2M18 6l-2 2M8 16l-2 2",
    ),
    ("find", "M11 5a6 6 0 1 0 0 12a6 6 0 1 0 0-12M15.5 15.5L20 20"),
    ("mark", "M3 8c4-5 8 5 12 0s5 0 6 1M3 16c4-5 8 5 12 0s5 0 6 1"),
    ("back", "M8 8H16a4.5 4.5 0 0 1 0 9H9M8 8l3-3M8 8l3 3"),
    ("up", "M12 19V6M6.5 11L12 5.5l5.5 5.5"),
    ("down", "M12 5v13M6.5 13l5.5 5.5 5.5-5.5"),
    ("again", "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4"),
    ("plus", "M12 5.5v13M5.5 12h13"),
    ("hold", "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17M10 9v6M14 9v6"),
    ("warn", "M12 4.5L21 19.5H3zM12 10v4.5M12 17v.2"),
    (
        "ask",
        "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17M9.7 9.8a2.4 2.4 0 1 1 3.4 2.2c-.8.4-1.1.9-1.1 1.7M12 16.3v.2",
    ),
    ("link", "M10 14l4-4M8.5 11.5l-2 2a3 3 0 0 0 4.2 4.2l2-2M15.5 12.5l2-2a3 3 0 0 0-4.2-4.2l-2 2"),
];

/// The drawings, once per page.
#[cfg(feature = "ssr")]
#[component]
pub fn Sprite() -> impl IntoView {
    let symbols: String = ICONS
        .iter()
        .map(|(name, path)| {
            format!(r#"<symbol id="i-{name}" viewBox="0 0 24 24"><path d="{path}"/></symbol>"#)
        })
        .collect();
    view! { <svg class="sprite" width="0" height="0" aria-hidden="true" inner_html=symbols></svg> }
}

/// An icon, as large as the text around it.
#[component]
pub fn Icon(
    /// Which; see the sprite.
    #[prop(into)]
    name: Signal<&'static str>,
) -> impl IntoView {
    view! {
        <svg class="icon" class:turning=move || name.get() == "spin" aria-hidden="true">
            <use href=move || format!("#i-{}", name.get())></use>
        </svg>
    }
}
