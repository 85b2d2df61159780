//! The document around the app: head, fonts, styles, the script that wakes it, and the rules for what may run in it.
//!
//! Refuses any script without the response's nonce, and any origin but its own.

use std::path::Path;

use leptos::{config::LeptosOptions, nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

use crate::{App, components::Sprite, theme::Theme};

/// What the bundle step left for browsers: where it is and which version.
#[derive(Debug, Clone)]
pub struct Site {
    pkg: String,
    name: String,
    version: String,
}

/// There is no bundle, or none that is complete.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read ({cause}): make the browser's half first with `make bundle`")]
pub struct MissingSite {
    path: String,
    cause: std::io::Error,
}

impl Site {
    /// Reads the version of the bundle, once, when the server starts.
    ///
    /// # Errors
    /// When there is no bundle.
    pub fn read(options: &LeptosOptions) -> Result<Self, MissingSite> {
        let path = Path::new(options.site_root.as_ref()).join(options.site_pkg_dir.as_ref()).join("version");
        let version = std::fs::read_to_string(&path)
            .map_err(|cause| MissingSite { path: path.display().to_string(), cause })?;
        Ok(Self {
            pkg: format!("/{}", options.site_pkg_dir),
            name: options.output_name.to_string(),
            version: version.trim().to_owned(),
        })
    }

    /// A file's address; it changes whenever the bundle does, so browsers may keep it for ever.
    fn file(&self, file: &str) -> String {
        format!("{}/{file}?v={}", self.pkg, self.version)
    }
}

/// Another site to which forms lead: where people log in.
#[derive(Debug, Clone)]
pub struct Elsewhere(pub String);

/// What a page may load and run.
fn rules(nonce: &str) -> String {
    // Browsers hold a form's redirects to this rule as well.
    let elsewhere = use_context::<Elsewhere>().map(|site| format!(" {}", site.0)).unwrap_or_default();
    format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         style-src-attr 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
         form-action 'self'{elsewhere}; frame-ancestors 'none'"
    )
}

/// Loads the WASM and hands each island of the page to its function.
const WAKE: &str = "import * as app from JS;await app.default({module_or_path:WASM});app.hydrate();\
    for(const el of document.querySelectorAll('leptos-island'))app[el.dataset.component]?.(el);";

/// The document.
pub fn shell(site: &Site) -> impl IntoView + use<> {
    let nonce = use_nonce();
    if let (Some(nonce), Some(response)) = (&nonce, use_context::<leptos_axum::ResponseOptions>())
        && let Ok(value) = http::HeaderValue::from_str(&rules(nonce))
    {
        response.insert_header(http::header::CONTENT_SECURITY_POLICY, value);
    }
    let (js, wasm, css) = (
        site.file(&format!("{}.js", site.name)),
        site.file(&format!("{}_bg.wasm", site.name)),
        site.file(&format!("{}.css", site.name)),
    );
    let (inter, mono) =
        (format!("{}/fonts/inter.woff2", site.pkg), format!("{}/fonts/jetbrains-mono.woff2", site.pkg));
    // What islands need comes with them; nothing else of a page is sent a second time as data.
    if let Some(shared) = Owner::current_shared_context() {
        shared.set_is_hydrating(false);
    }
    let wake = WAKE.replace("JS", &format!("{js:?}")).replace("WASM", &format!("{wasm:?}"));
    let theme = match Theme::current() {
        Theme::Auto => None,
        chosen => Some(chosen.as_str()),
    };
    // What one may not do is not shown: `style/roles.css`.
    let role = use_context::<control::Actor>().map(|actor| actor.role.as_str());
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme data-role=role>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <meta name="theme-color" content="#f7f7f5" media="(prefers-color-scheme: light)"/>
                <meta name="theme-color" content="#101113" media="(prefers-color-scheme: dark)"/>
                <link rel="icon" type="image/svg+xml" href=site.file("favicon.svg")/>
                <link rel="preload" href=inter r#as="font" r#type="font/woff2" crossorigin="anonymous"/>
                <link rel="preload" href=mono r#as="font" r#type="font/woff2" crossorigin="anonymous"/>
                <link rel="stylesheet" href=css/>
                <link rel="modulepreload" href=js/>
                <link rel="preload" href=wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
                <script type="module" nonce=nonce>{wake}</script>
                <MetaTags/>
            </head>
            <body>
                <App/>
                <Sprite/>
            </body>
        </html>
    }
}
