//! The plan of a run: made once, when the run is created, by a pure function of settings and trigger, and stored with it.
//!
//! Refuses to look at the world: what is live, who holds a lock and what time it is are the engine's to know.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    containers::{ArtifactKind, TargetKind},
    service::ServiceSettings,
    stage::{EnvironmentName, StageKind},
    status::{Status, UnknownName},
};

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Trigger {
    /// A push to the service's branch.
    Push,
    /// A pull request was opened.
    PullRequestOpened,
    /// A pull request got new commits.
    PullRequestSynchronized,
    /// A person asked for it.
    Manual,
    /// A person asked for an older artifact.
    Rollback,
    /// A person tries a service's commands before it is connected: the checks alone, told to nobody.
    Trial,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 6] = [
        Trigger::Push,
        Trigger::PullRequestOpened,
        Trigger::PullRequestSynchronized,
        Trigger::Manual,
        Trigger::Rollback,
        Trigger::Trial,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Push => "push",
            Trigger::PullRequestOpened => "pull_request_opened",
            Trigger::PullRequestSynchronized => "pull_request_synchronized",
            Trigger::Manual => "manual",
            Trigger::Rollback => "rollback",
            Trigger::Trial => "trial",
        }
    }

    /// Whether it comes from a pull request.
    pub fn is_pull_request(self) -> bool {
        matches!(self, Trigger::PullRequestOpened | Trigger::PullRequestSynchronized)
    }

    /// Whether a person asked for exactly this: then an older commit may replace a newer one.
    pub fn by_person(self) -> bool {
        matches!(self, Trigger::Manual | Trigger::Rollback | Trigger::Trial)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Trigger::ALL.into_iter().find(|t| t.as_str() == text).ok_or_else(|| UnknownName {
            what: "trigger",
            text: text.to_owned(),
            known: Trigger::ALL.map(Trigger::as_str).join(", "),
        })
    }
}

/// One stage as planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedStage {
    /// Which.
    pub kind: StageKind,
    /// What must be done, or skipped, before.
    pub needs: Vec<StageKind>,
    /// What is run.
    pub command: Option<String>,
    /// Why it will not be done, where that is known from the start.
    pub skip: Option<String>,
    /// Whether a person must approve before it starts.
    pub gate: bool,
    /// Hard limit in seconds.
    pub timeout_s: u32,
}

/// How the artifact is started, as it stood when the run was created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LaunchPlan {
    /// How it is deployed.
    #[serde(default)]
    pub target: TargetKind,
    /// The start command; empty where the image knows by itself.
    pub start: String,
    /// Path that answers 2xx when healthy.
    pub health_path: Option<String>,
    /// How long it may take to become healthy.
    pub health_timeout_s: u32,
    /// Folder inside the artifact in which it is started.
    pub context: Option<String>,
    /// The port inside the container, where it was said.
    #[serde(default)]
    pub container_port: Option<u16>,
}

/// What a run will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// In order.
    pub stages: Vec<PlannedStage>,
    /// How the result is started; absent when the service has no start command.
    pub launch: Option<LaunchPlan>,
}

/// What of an earlier run need not be done again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Its number, for the reason.
    pub run: i64,
    /// Stages that succeeded there.
    pub stages: Vec<StageKind>,
    /// Whether its artifact is still there.
    pub artifact: bool,
}

impl Plan {
    /// The plan for a trigger.
    ///
    /// Pull requests and trials get the checks alone; a rollback gets the deploy to `rollback` alone; everything else all seven stages.
    pub fn make(settings: &ServiceSettings, trigger: Trigger, rollback: Option<EnvironmentName>) -> Plan {
        use StageKind as K;
        let target = settings.target();
        let start = settings.commands.of(K::DeployProduction);
        // An image knows how it is started; files do not.
        let launch = (start.is_some() || target.takes_images()).then(|| LaunchPlan {
            target,
            start: start.unwrap_or_default().to_owned(),
            health_path: settings.health_path.clone(),
            health_timeout_s: settings.health_timeout_s,
            context: settings.context.clone(),
            container_port: settings.container_port,
        });
        let composed = target.takes_images() && settings.integration.is_some();
        let kinds: Vec<K> = match (trigger, rollback) {
            (Trigger::Rollback, environment) => {
                vec![environment.unwrap_or(EnvironmentName::Production).stage()]
            }
            (t, _) if t.is_pull_request() || t == Trigger::Trial => {
                vec![K::Prepare, K::CodeQuality, K::UnitTest]
            }
            _ => K::ALL.into(),
        };
        let stages = kinds
            .iter()
            .map(|&kind| {
                let command = settings.commands.of(kind).map(str::to_owned);
                let skip = match kind {
                    _ if trigger == Trigger::Rollback => None,
                    K::Prepare => None,
                    K::Build if launch.is_some() => None,
                    K::DeployStaging if !settings.staging => {
                        Some("staging is off for this service".to_owned())
                    }
                    K::DeployStaging | K::DeployProduction if launch.is_none() => {
                        Some("no start command: nothing to deploy".to_owned())
                    }
                    // An image without a start command of ours has one of its own.
                    K::DeployStaging | K::DeployProduction => None,
                    K::IntegrationTest if composed => None,
                    K::IntegrationTest if command.is_some() && launch.is_none() => {
                        Some("no start command: nothing to test against".to_owned())
                    }
                    _ if command.is_none() => Some("no command".to_owned()),
                    _ => None,
                };
                let needs: &[K] = match kind {
                    K::Prepare => &[],
                    K::CodeQuality | K::UnitTest => &[K::Prepare],
                    K::Build => &[K::CodeQuality, K::UnitTest],
                    K::IntegrationTest => &[K::Build],
                    K::DeployStaging => &[K::IntegrationTest],
                    K::DeployProduction => &[K::DeployStaging],
                };
                PlannedStage {
                    kind,
                    needs: needs.iter().copied().filter(|k| kinds.contains(k)).collect(),
                    command,
                    gate: kind == K::DeployProduction
                        && trigger != Trigger::Rollback
                        && !settings.auto_deploy
                        && skip.is_none(),
                    skip,
                    timeout_s: settings.stage_timeout_s,
                }
            })
            .collect();
        Plan { stages, launch }
    }

    /// The same plan without what an earlier run already did. Prepare is done again when anything needs its workspace.
    #[must_use]
    pub fn without(mut self, done: &Done) -> Plan {
        let reason = format!("succeeded in run {}", done.run);
        let keep =
            |kind: StageKind| done.stages.contains(&kind) && (kind != StageKind::Build || done.artifact);
        // An artifact that is gone must be built anew; what was tested or deployed from it is then done again too.
        let artifact_kept = keep(StageKind::Build) || self.skips(StageKind::Build);
        for stage in &mut self.stages {
            let kept =
                keep(stage.kind) && (stage.kind.ordinal() <= StageKind::Build.ordinal() || artifact_kept);
            if stage.skip.is_none() && stage.kind != StageKind::Prepare && kept {
                stage.skip = Some(reason.clone());
                stage.gate = false;
            }
        }
        let workspace = [StageKind::CodeQuality, StageKind::UnitTest, StageKind::Build];
        // A bundle brings the files of its integration tests along; an image does not.
        let images = self.launch.as_ref().is_some_and(|launch| launch.target.takes_images());
        let wants = |kind| workspace.contains(&kind) || (images && kind == StageKind::IntegrationTest);
        let needed = self.stages.iter().any(|s| wants(s.kind) && s.skip.is_none());
        if !needed
            && keep(StageKind::Prepare)
            && let Some(prepare) = self.stages.iter_mut().find(|s| s.kind == StageKind::Prepare)
        {
            prepare.skip = Some(reason);
        }
        self
    }

    fn skips(&self, kind: StageKind) -> bool {
        self.stages.iter().any(|s| s.kind == kind && s.skip.is_some())
    }

    /// Whether an artifact is of the kind that this plan deploys: an image, or a bundle of files.
    pub fn deploys(&self, artifact: &str) -> bool {
        let images = self.launch.as_ref().is_some_and(|launch| launch.target.takes_images());
        images == (ArtifactKind::of(artifact) == ArtifactKind::Image)
    }

    /// The planned stage of a kind.
    pub fn stage(&self, kind: StageKind) -> Option<&PlannedStage> {
        self.stages.iter().find(|s| s.kind == kind)
    }

    /// What should happen to a stage that is idle, given how the others stand.
    pub fn next(&self, kind: StageKind, status_of: impl Fn(StageKind) -> Option<Status>) -> Next {
        let Some(planned) = self.stage(kind) else { return Next::Wait };
        let mut waiting = false;
        for &need in &planned.needs {
            match status_of(need) {
                Some(s) if s.lets_pass() => waiting |= !self.passed(need, &status_of),
                Some(Status::Failure) => return Next::Skip(format!("not run: {} failed", need.title())),
                Some(Status::Cancelled) => {
                    return Next::Skip(format!("not run: {} was cancelled", need.title()));
                }
                _ => waiting = true,
            }
        }
        // What was skipped because of a failure before it does not let its followers pass. What is only beside it is none of its
        // business: whether the other check has failed by the time it could start is a matter of luck.
        if let Some(culprit) = self.stages.iter().find(|s| {
            self.follows(kind, s.kind)
                && matches!(status_of(s.kind), Some(Status::Failure | Status::Cancelled))
        }) {
            let how =
                if status_of(culprit.kind) == Some(Status::Failure) { "failed" } else { "was cancelled" };
            return Next::Skip(format!("not run: {} {how}", culprit.kind.title()));
        }
        if waiting { Next::Wait } else { Next::Ready }
    }

    /// Whether a stage needs another, itself or through what it needs.
    fn follows(&self, kind: StageKind, other: StageKind) -> bool {
        let needs = self.stage(kind).map_or(&[][..], |stage| &stage.needs);
        needs.iter().any(|need| *need == other || self.follows(*need, other))
    }

    /// Whether a stage is behind us. One that is skipped is so only once everything before it is: it was skipped when the
    /// run was made, and its followers wait for what it would have waited for.
    fn passed(&self, kind: StageKind, status_of: &dyn Fn(StageKind) -> Option<Status>) -> bool {
        match status_of(kind) {
            Some(Status::Skipped) => {
                self.stage(kind).is_none_or(|s| s.needs.iter().all(|need| self.passed(*need, status_of)))
            }
            Some(status) => status.lets_pass(),
            None => false,
        }
    }

    /// Where the run stands, from where its stages stand.
    pub fn run_status(stages: &[(StageKind, Status)]) -> Status {
        let any = |s: Status| stages.iter().any(|(_, status)| *status == s);
        if any(Status::InProgress) {
            return Status::InProgress;
        }
        if stages.iter().all(|(_, s)| s.is_terminal()) {
            return if any(Status::Failure) {
                Status::Failure
            } else if any(Status::Cancelled) {
                Status::Cancelled
            } else if any(Status::Success) {
                Status::Success
            } else {
                Status::Skipped
            };
        }
        if any(Status::AwaitingApproval) {
            return Status::AwaitingApproval;
        }
        if any(Status::Success) || any(Status::Failure) || any(Status::Cancelled) {
            Status::InProgress
        } else {
            Status::Idle
        }
    }
}

/// What is to be done with an idle stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Something before it is not done.
    Wait,
    /// It may start, or its gate may open.
    Ready,
    /// It will not be done, for this reason.
    Skip(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use StageKind as K;

    fn full() -> ServiceSettings {
        let mut s = ServiceSettings::new("orders", "/srv/orders.git");
        for c in [
            &mut s.commands.prepare,
            &mut s.commands.code_quality,
            &mut s.commands.unit_test,
            &mut s.commands.build,
            &mut s.commands.integration_test,
            &mut s.commands.start,
        ] {
            *c = Some("true".into());
        }
        s
    }

    fn skips(plan: &Plan) -> Vec<(K, &str)> {
        plan.stages.iter().filter_map(|s| s.skip.as_deref().map(|r| (s.kind, r))).collect()
    }

    #[test]
    fn a_push_gets_all_seven_and_a_gate_before_production() {
        let plan = Plan::make(&full(), Trigger::Push, None);
        assert_eq!(plan.stages.iter().map(|s| s.kind).collect::<Vec<_>>(), K::ALL);
        assert_eq!(skips(&plan), []);
        assert_eq!(
            plan.stages.iter().filter(|s| s.gate).map(|s| s.kind).collect::<Vec<_>>(),
            [K::DeployProduction]
        );
        assert_eq!(plan.stage(K::Build).map(|s| s.needs.clone()), Some(vec![K::CodeQuality, K::UnitTest]));
    }

    #[test]
    fn the_gate_does_not_depend_on_staging() {
        let mut s = full();
        s.staging = false;
        let plan = Plan::make(&s, Trigger::Push, None);
        assert_eq!(skips(&plan), [(K::DeployStaging, "staging is off for this service")]);
        assert!(plan.stage(K::DeployProduction).is_some_and(|s| s.gate));
        s.auto_deploy = true;
        assert!(!Plan::make(&s, Trigger::Push, None).stages.iter().any(|s| s.gate));
    }

    #[test]
    fn pull_requests_get_the_checks_and_rollbacks_the_deploy() {
        let checks = Plan::make(&full(), Trigger::PullRequestOpened, None);
        assert_eq!(
            checks.stages.iter().map(|s| s.kind).collect::<Vec<_>>(),
            [K::Prepare, K::CodeQuality, K::UnitTest]
        );
        let rollback = Plan::make(&full(), Trigger::Rollback, Some(EnvironmentName::Staging));
        assert_eq!(
            rollback.stages.iter().map(|s| (s.kind, s.gate, s.needs.len())).collect::<Vec<_>>(),
            [(K::DeployStaging, false, 0)]
        );
    }

    #[test]
    fn without_commands_stages_are_skipped_and_say_so() {
        let plan = Plan::make(&ServiceSettings::new("a", "b"), Trigger::Push, None);
        assert_eq!(
            skips(&plan),
            [
                (K::CodeQuality, "no command"),
                (K::UnitTest, "no command"),
                (K::Build, "no command"),
                (K::IntegrationTest, "no command"),
                (K::DeployStaging, "no start command: nothing to deploy"),
                (K::DeployProduction, "no start command: nothing to deploy"),
            ]
        );
    }

    #[test]
    fn the_files_of_an_images_integration_tests_are_checked_out_again() {
        let done =
            Done { run: 7, stages: vec![K::Prepare, K::CodeQuality, K::UnitTest, K::Build], artifact: true };
        let mut s = full();
        let prepared = |s: &ServiceSettings| {
            let plan = Plan::make(s, Trigger::Manual, None).without(&done);
            assert!(plan.stage(K::IntegrationTest).is_some_and(|stage| stage.skip.is_none()));
            plan.stage(K::Prepare).is_some_and(|stage| stage.skip.is_none())
        };
        assert!(!prepared(&s), "a bundle holds them");
        s.dockerfile = Some("Dockerfile".into());
        s.environments.production.target = Some(TargetKind::Docker);
        assert!(prepared(&s));
    }

    #[test]
    fn an_image_is_built_and_deployed_without_any_command() {
        let mut s = ServiceSettings::new("a", "b");
        s.dockerfile = Some("Dockerfile".into());
        s.environments.production.target = Some(TargetKind::Docker);
        let plan = Plan::make(&s, Trigger::Push, None);
        assert_eq!(
            skips(&plan).iter().map(|s| s.0).collect::<Vec<_>>(),
            [K::CodeQuality, K::UnitTest, K::IntegrationTest]
        );
        s.integration = Some(crate::service::Integration::default());
        assert!(
            Plan::make(&s, Trigger::Push, None).stage(K::IntegrationTest).is_some_and(|s| s.skip.is_none())
        );
    }

    #[test]
    fn a_rerun_from_the_failure_keeps_what_succeeded() {
        let done =
            Done { run: 7, stages: vec![K::Prepare, K::CodeQuality, K::UnitTest, K::Build], artifact: true };
        let plan = Plan::make(&full(), Trigger::Push, None).without(&done);
        assert_eq!(
            skips(&plan).iter().map(|s| s.0).collect::<Vec<_>>(),
            [K::Prepare, K::CodeQuality, K::UnitTest, K::Build]
        );
        let lost = Plan::make(&full(), Trigger::Push, None).without(&Done { artifact: false, ..done });
        assert_eq!(skips(&lost).iter().map(|s| s.0).collect::<Vec<_>>(), [K::CodeQuality, K::UnitTest]);
    }

    #[test]
    fn a_failure_skips_everything_after_it() {
        let plan = Plan::make(&full(), Trigger::Push, None);
        let status = |k: K| match k {
            K::Prepare | K::UnitTest => Some(Status::Success),
            K::CodeQuality => Some(Status::Failure),
            K::Build => Some(Status::Skipped),
            _ => Some(Status::Idle),
        };
        assert_eq!(plan.next(K::IntegrationTest, status), Next::Skip("not run: Code Quality failed".into()));
        let late = |k: K| if k == K::UnitTest { Some(Status::Idle) } else { status(k) };
        assert_eq!(plan.next(K::UnitTest, late), Next::Ready, "the other check is beside it, not before");
    }

    #[test]
    fn a_skipped_stage_hands_its_waiting_on() {
        let mut s = full();
        s.staging = false;
        s.commands.integration_test = None;
        let plan = Plan::make(&s, Trigger::Push, None);
        let at = |build: Status| {
            move |k: K| match k {
                K::Prepare | K::CodeQuality | K::UnitTest => Some(Status::Success),
                K::Build => Some(build),
                K::IntegrationTest | K::DeployStaging => Some(Status::Skipped),
                K::DeployProduction => Some(Status::Idle),
            }
        };
        assert_eq!(plan.next(K::DeployProduction, at(Status::Idle)), Next::Wait);
        assert_eq!(plan.next(K::DeployProduction, at(Status::InProgress)), Next::Wait);
        assert_eq!(plan.next(K::DeployProduction, at(Status::Success)), Next::Ready);
        assert_eq!(
            plan.next(K::DeployProduction, at(Status::Failure)),
            Next::Skip("not run: Build failed".into())
        );
    }

    #[test]
    fn the_run_stands_where_its_stages_stand() {
        let at = |statuses: &[Status]| {
            Plan::run_status(&K::ALL.into_iter().zip(statuses.iter().copied()).collect::<Vec<_>>())
        };
        use Status::{
            AwaitingApproval as A, Failure as F, Idle as I, InProgress as P, Skipped as S, Success as O,
        };
        assert_eq!(at(&[I, S, S, I]), I);
        assert_eq!(at(&[O, I, I, I]), P);
        assert_eq!(at(&[O, O, O, A]), A);
        assert_eq!(at(&[O, F, P, I]), P);
        assert_eq!(at(&[O, F, O, S]), F);
        assert_eq!(at(&[O, S, O, S]), O);
    }
}
