//! What the service's own sources give away: the path that answers for its health, the port it takes when told nothing.
//!
//! Refuses to understand a language. It looks for a quoted path whose last part is a usual name, and for a number near `PORT`.

use super::{
    draft::Draft,
    folder::{self, Folder},
};

/// Last parts of health paths, the surest first. A readiness path tells more than a liveness path: it is what deploys wait for.
const HEALTH: [&str; 13] = [
    "readyz",
    "healthz",
    "health",
    "ready",
    "readiness",
    "_health",
    "livez",
    "live",
    "liveness",
    "up",
    "status",
    "ping",
    "heartbeat",
];

/// Whether a file may be where a service begins or where its routes are.
pub fn may_be_entry(path: &str) -> bool {
    const ENDS: [&str; 14] =
        ["js", "mjs", "cjs", "ts", "mts", "py", "go", "rs", "rb", "java", "kt", "cs", "fs", "ru"];
    const STEMS: [&str; 16] = [
        "server",
        "index",
        "main",
        "app",
        "application",
        "routes",
        "router",
        "urls",
        "health",
        "healthz",
        "http",
        "api",
        "program",
        "startup",
        "wsgi",
        "asgi",
    ];
    let Some((stem, end)) = folder::base(path).rsplit_once('.') else { return false };
    let stem = stem.to_ascii_lowercase();
    let deepest = if matches!(end, "java" | "kt") { 10 } else { 4 };
    let is_test = path.split('/').any(|part| matches!(part, "test" | "tests" | "spec" | "__tests__" | "e2e"));
    // Java names its classes after the thing itself: OrdersApplication, HealthController.
    let named = STEMS.contains(&stem.as_str())
        || matches!(end, "java" | "kt") && (stem.ends_with("application") || stem.contains("health"));
    !is_test && ENDS.contains(&end) && named && path.matches('/').count() <= deepest
}

/// Adds what the sources give away, where nothing surer was found.
pub fn hints(folder: &Folder, draft: &mut Draft) {
    let mut best: Option<(usize, &str, &str)> = None;
    let mut port = None;
    for (path, text) in folder.texts().filter(|(path, _)| may_be_entry(path)) {
        for literal in quoted_paths(text) {
            let last = literal.trim_end_matches('/').rsplit('/').next().unwrap_or("");
            let Some(rank) = HEALTH.iter().position(|name| *name == last) else { continue };
            if best.is_none_or(|(known, _, _)| rank < known) {
                best = Some((rank, literal, path));
            }
        }
        if port.is_none() {
            port = port_near_its_name(text).map(|port| (port, path));
        }
    }
    if let Some((_, literal, path)) = best {
        draft.health_path(literal, format!("\"{literal}\" stands in {}", folder.absolute(path)));
    }
    if let Some((port, path)) = port {
        draft.port(
            port,
            format!("{} takes {port} when PORT is not set; Seamless sets it", folder.absolute(path)),
        );
    }
}

/// Every quoted text that is an absolute path without parameters.
fn quoted_paths(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().filter(|(_, c)| matches!(c, '"' | '\'' | '`')).filter_map(|(at, quote)| {
        let rest = &text[at + 1..];
        let end = rest.find([quote, '\n'])?;
        let literal = &rest[..end];
        let plain = literal.starts_with('/')
            && literal.len() < 80
            && literal.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'));
        (rest[end..].starts_with(quote) && plain).then_some(literal)
    })
}

/// The first number after the word PORT, on the same line and not far away: the value used when it is not set.
fn port_near_its_name(text: &str) -> Option<u16> {
    text.lines().filter(|line| !line.trim_start().starts_with(['#', '*', '/'])).find_map(|line| {
        let (_, after) = line.split_once("PORT")?;
        let near: String = after.chars().take(50).collect();
        let digits: Vec<&str> =
            near.split(|c: char| !c.is_ascii_digit()).filter(|part| part.len() >= 4).collect();
        digits.first()?.parse().ok().filter(|port| *port >= 1024)
    })
}
