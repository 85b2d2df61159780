//! How production is, in one sentence and one line of numbers.
//!
//! Refuses to call anything well that nobody has looked at.

use domain::{
    Status,
    view::{Overview, OverviewRow},
};

use crate::text::words::count;

fn sick(rows: &[OverviewRow]) -> Vec<&str> {
    let ill = |r: &&OverviewRow| matches!(r.production.health.as_str(), "unhealthy" | "drifted" | "stopped");
    rows.iter().filter(ill).map(|r| r.service.settings.name.as_str()).collect()
}

fn unseen(rows: &[OverviewRow]) -> Vec<&str> {
    let unseen = |r: &&OverviewRow| r.production.artifact.is_some() && r.production.health == "unknown";
    rows.iter().filter(unseen).map(|r| r.service.settings.name.as_str()).collect()
}

/// The sentence.
pub fn headline(overview: &Overview) -> String {
    let live = overview.rows.iter().filter(|r| r.production.artifact.is_some()).count();
    match (overview.rows.len(), live, sick(&overview.rows).as_slice()) {
        (0, ..) => "Nothing is connected yet.".into(),
        (_, 0, _) => "Nothing is in production yet.".into(),
        (_, _, []) => match unseen(&overview.rows).as_slice() {
            [] => "Production is well.".into(),
            [one] => format!("How {one} is in production cannot be seen."),
            many => format!("How {} services are in production cannot be seen.", many.len()),
        },
        (_, _, [one]) => format!("{one} is not well in production."),
        (_, _, [one, two]) => format!("{one} and {two} are not well in production."),
        (_, _, many) => format!("{} services are not well in production.", many.len()),
    }
}

/// The numbers.
pub fn details(overview: &Overview) -> String {
    let rows = &overview.rows;
    if rows.is_empty() {
        return "A service is one Git repository, or a folder of one.".into();
    }
    let healthy = rows.iter().filter(|r| r.production.health == "healthy").count();
    let mut parts =
        vec![format!("{healthy} of {} healthy in production", count(rows.len(), "service", "services"))];
    if overview.running > 0 {
        parts.push(format!(
            "{} on {} way",
            count(overview.running as usize, "run", "runs"),
            if overview.running == 1 { "its" } else { "their" }
        ));
    }
    let waiting = overview.needs.iter().filter(|n| n.run.status == Status::AwaitingApproval).count();
    let failed = overview.needs.len() - waiting;
    if waiting > 0 {
        parts.push(format!("{waiting} {} for you", if waiting == 1 { "waits" } else { "wait" }));
    }
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    parts.join(" · ")
}
