//! What is told of a run, without what differs by nature: times, ids, hashes, ports and folders. Two engines must tell the same, in the
//! same order.

use domain::{
    EnvironmentName, StageKind,
    view::{Run, Service},
};
use serde_json::Value;
use testkit::Server;

/// They go on beside each other.
const CHECKS: [StageKind; 2] = [StageKind::CodeQuality, StageKind::UnitTest];

/// How a run and its stages stand, its events, and every line of its stages' logs.
pub async fn of_run(server: &Server, run: &Run) -> Vec<String> {
    let mut told = vec![format!("run {} {:?} {}", run.number, run.reason, run.status)];
    for stage in &run.stages {
        let error = stage.error.as_ref().map(|error| (error.seq, error.text.clone()));
        let (kind, status, attempt) = (stage.kind, stage.status, stage.attempt);
        let (reason, code) = (&stage.reason, stage.exit_code);
        told.push(format!("{kind} {status} attempt {attempt} {reason:?} {code:?} {error:?}"));
    }
    told.extend(events(server, run).await);
    for stage in &run.stages {
        for attempt in 1..=stage.attempt {
            for line in server.api.log(stage.id, attempt).await {
                if stage.kind == StageKind::IntegrationTest && of_neighbour(&run.service.name, &line.text) {
                    continue;
                }
                told.push(format!("{} {attempt}: {:?} {}", stage.kind, line.stream, line.text));
            }
        }
    }
    told.iter().map(|line| masked(server, line)).collect()
}

/// Whether a line tells of another service that is there for an integration test: which those are differs with what else goes on.
fn of_neighbour(own: &str, line: &str) -> bool {
    let starts = line.strip_prefix("starting ").is_some_and(|who| !who.starts_with(&format!("{own} ")));
    starts || line.split_once(" | ").is_some_and(|(who, _)| who != own)
}

/// What was deployed of a service, newest first.
pub async fn of_deployments(server: &Server, service: &Service) -> Vec<String> {
    let mut told = Vec::new();
    for environment in EnvironmentName::ALL {
        for deployed in server.api.deployments(service, environment.as_str()).await {
            let (run, live, rollback) = (deployed.run_number, deployed.live, deployed.rollback);
            let (until, back) = (deployed.until.is_some(), deployed.can_roll_back);
            let why_not = masked(server, &format!("{:?} {:?}", deployed.why_not, deployed.doubt));
            told.push(format!(
                "{environment}: run {run} live {live} rollback {rollback} ended {until} way back {back} {why_not}"
            ));
        }
    }
    told
}

/// The log in its order, read without the one check and without the other: how those two go on beside each other is nobody's promise.
/// Where one failed, what follows from that does not wait for the other, whose own part alone is read then.
async fn events(server: &Server, run: &Run) -> Vec<String> {
    let sql = format!("SELECT kind || ' ' || payload FROM event WHERE run_id = '{}' ORDER BY seq", run.id);
    let rows = testkit::rows::texts(&server.database(), &sql).await;
    let stage = |row: &str| {
        let payload: Value = serde_json::from_str(row.split_once(' ').unwrap().1).unwrap();
        payload["stage"].as_str().and_then(|kind| kind.parse::<StageKind>().ok())
    };
    let failed = run.failed_stage().map(|stage| stage.kind);
    let mut told = Vec::new();
    for (own, other) in [(CHECKS[0], CHECKS[1]), (CHECKS[1], CHECKS[0])] {
        let read = rows.iter().filter(|row| match stage(row) {
            stage if failed == Some(other) => stage == Some(own),
            stage => stage != Some(other),
        });
        told.extend(read.map(|row| format!("without {other}: {row}")));
    }
    told
}

/// Without folders, ports, hashes and ids.
fn masked(server: &Server, text: &str) -> String {
    let folder = server.data().parent().unwrap().display().to_string();
    let mut masked = String::new();
    for word in text.replace(&folder, "~").split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let all = |fits: fn(&u8) -> bool| bare.bytes().all(|byte| fits(&byte));
        let hash = [7, 12, 40, 64].contains(&bare.len()) && all(u8::is_ascii_hexdigit);
        let id = bare.len() == 26 && all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let port = (4..=5).contains(&bare.len()) && all(u8::is_ascii_digit);
        masked += if hash || id || port { "…" } else { bare };
        masked += &word[bare.len()..];
    }
    masked
}

/// Holds two tellings to be the same; where they part, it says how they go on.
#[track_caller]
pub fn alike(what: &str, one: &[String], other: &[String]) {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let on = |told: &[String]| {
        told[same.saturating_sub(3)..(same + 8).min(told.len())]
            .iter()
            .map(|line| format!("\n  {line}"))
            .collect::<String>()
    };
    assert!(one == other, "{what}: after {same} lines{}\nand{}", on(one), on(other));
}
