//! What runs of a service use, in a clause after "runs".
//!
//! Refuses to promise: a daemon that does not answer is said beside it.

use domain::{
    containers::TargetKind,
    view::{Daemon, Means},
};

/// How it is run: "as processes of this machine · commands in node:22".
pub fn clause(means: &Means) -> String {
    let mut parts = Vec::new();
    match (means.target, &means.daemon) {
        (Some(TargetKind::Docker), Some(Daemon::Answers { version, host })) => {
            parts.push(format!("in containers of Docker {version} at {host}"));
        }
        (Some(TargetKind::Docker), _) => parts.push("in containers".to_owned()),
        (Some(TargetKind::Ecs), _) => parts.push("on Amazon ECS".to_owned()),
        (Some(TargetKind::Process), _) => parts.push("as processes of this machine".to_owned()),
        (None, _) if means.image.is_none() => parts.push("commands on this machine".to_owned()),
        (None, _) => {}
    }
    parts.extend(means.elsewhere.iter().map(|(environment, host)| format!("{environment} at {host}")));
    parts.extend(means.image.iter().map(|image| format!("commands in {image}")));
    parts.join(" · ")
}

/// Why that cannot be just now.
pub fn trouble(means: &Means) -> Option<String> {
    match &means.daemon {
        _ if means.trouble.is_some() => means.trouble.clone(),
        Some(Daemon::Away(why)) => Some(format!("Docker cannot be used just now: {why}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::EnvironmentName;

    use super::*;

    #[test]
    fn it_is_said_what_a_run_uses() {
        let mut means =
            Means { target: None, image: None, daemon: None, elsewhere: Vec::new(), trouble: None };
        assert_eq!(clause(&means), "commands on this machine");
        means.target = Some(TargetKind::Process);
        assert_eq!(clause(&means), "as processes of this machine");
        means.image = Some("node:22".into());
        means.daemon = Some(Daemon::Away("it is not running".into()));
        assert_eq!(clause(&means), "as processes of this machine · commands in node:22");
        assert_eq!(trouble(&means).as_deref(), Some("Docker cannot be used just now: it is not running"));
        let (version, host) = ("28.2.2".into(), "unix:///run/docker.sock".into());
        means.daemon = Some(Daemon::Answers { version, host });
        (means.target, means.image) = (Some(TargetKind::Docker), None);
        means.elsewhere = vec![(EnvironmentName::Production, "ssh://deploy@host".into())];
        assert_eq!(
            clause(&means),
            "in containers of Docker 28.2.2 at unix:///run/docker.sock · production at ssh://deploy@host"
        );
        assert_eq!(trouble(&means), None);
        means.trouble = Some("choose `ecs`".into());
        assert_eq!(trouble(&means).as_deref(), Some("choose `ecs`"));
    }
}
