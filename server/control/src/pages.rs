//! What the pages show, gathered in one go each.

use domain::{
    EnvironmentName, RunId, ServiceId, StageKind, Status, Timestamp,
    live::Cursor,
    plan::{Plan, PlannedStage, Trigger},
    view::{Activity, Commit, LogPage, Need, Overview, OverviewRow, Run, RunPage, ServicePage},
};
use futures::future::join_all;

use crate::{
    Control,
    error::Result,
    readiness::Ready,
    store::{deployments, events, rows, runs, services},
};

/// Lines that a run page begins with.
const SHOWN_LINES: u64 = 1_000;
/// Entries of the feed.
const FEED: u64 = 60;

impl Control {
    /// The overview.
    pub async fn overview(&self) -> Result<Overview> {
        let db = self.store.read();
        let cursor = Cursor { event: self.newest_event().await?, ..Cursor::default() };
        let all = services::all(db).await?;
        let tx = self.store.snapshot().await?;
        let mut newest = self.views(&tx, runs::newest_of_each(&tx).await?, true).await?;
        let open = self.views(&tx, runs::open(&tx).await?, false).await?;
        tx.commit().await?;
        let mut envs = join_all(all.iter().map(|s| self.environment_row(s))).await.into_iter();
        let mut table = Vec::with_capacity(all.len());
        for row in all {
            let Some(env) = envs.next() else { break };
            let env = env?;
            let at = newest.iter().position(|r| r.service.id == env.service.id);
            let last_run = at.map(|at| newest.swap_remove(at));
            table.push(OverviewRow {
                service: rows::service(row)?,
                last_run,
                staging: env.staging,
                production: env.production,
            });
        }
        let running = open.iter().filter(|r| r.status != Status::AwaitingApproval).count() as u32;
        let mut needs = Vec::new();
        for run in open.into_iter().filter(|r| r.status == Status::AwaitingApproval) {
            let commits = self.commits_since_live(&run).await;
            needs.push(Need { run, commits });
        }
        needs.reverse();
        for row in &table {
            if let Some(run) = row.last_run.as_ref().filter(|r| r.status == Status::Failure) {
                needs.push(Need { run: run.clone(), commits: Vec::new() });
            }
        }
        let activity = self.activity(&table).await?;
        Ok(Overview { needs, rows: table, activity, running, now: self.now(), cursor: cursor.to_string() })
    }

    async fn activity(&self, table: &[OverviewRow]) -> Result<Vec<Activity>> {
        let kinds = ["run_created", "run_changed", "deployment_live", "hold_set", "hold_cleared"];
        let found = events::latest_of(self.store.read(), &kinds, FEED).await?;
        let ids: Vec<String> = found.iter().filter_map(|e| e.run_id.clone()).collect();
        let runs = runs::some(self.store.read(), &ids).await?;
        let mut feed: Vec<Activity> = Vec::new();
        let mut told = std::collections::HashSet::new();
        for row in found {
            let event = events::view(row)?;
            let Some(service) = table.iter().find(|r| Some(r.service.id) == event.service) else { continue };
            // A run may have been removed since; then there is nothing more to say of it.
            let run = match event.run {
                Some(id) => match runs.get(&id.to_string()) {
                    Some(run) => Some(run.clone()),
                    None => continue,
                },
                None => None,
            };
            let word =
                |key: &str| event.payload.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let to = word("to");
            let (kind, text) = match (event.kind.as_str(), to.as_str()) {
                ("deployment_live", _) => {
                    let rollback = event.payload.get("rollback").and_then(|v| v.as_bool()) == Some(true);
                    if rollback {
                        ("rolled_back", format!("was rolled back in {}", word("environment")))
                    } else if word("environment") == "production" {
                        ("live", "went live".to_owned())
                    } else {
                        ("live", "reached staging".to_owned())
                    }
                }
                ("run_changed", "failure") => {
                    let why = run.as_ref().and_then(|r| r.reason.clone()).unwrap_or_default();
                    ("failed", format!("failed: {why}"))
                }
                ("run_changed", "awaiting_approval") => ("waits", "waits for approval".to_owned()),
                ("run_changed", "cancelled") => {
                    let why = run.as_ref().and_then(|r| r.reason.clone()).unwrap_or_default();
                    ("cancelled", format!("ended: {why}"))
                }
                // Only while it lasts; what came of it is told by what comes of it.
                ("run_created", _)
                    if run.as_ref().is_some_and(|r| matches!(r.status.as_str(), "idle" | "in_progress")) =>
                {
                    let number = run.as_ref().map_or(0, |r| r.number);
                    ("running", format!("is in run {number}"))
                }
                ("hold_set", _) => ("hold", format!("is on hold by {}: {}", word("by"), word("reason"))),
                ("hold_cleared", _) => ("hold", format!("deploys by itself again, says {}", word("by"))),
                _ => continue,
            };
            if let Some(run) = &run
                && !told.insert((run.id.clone(), text.clone()))
            {
                continue;
            }
            feed.push(Activity {
                kind: kind.into(),
                service: domain::view::ServiceRef {
                    id: service.service.id,
                    name: service.service.settings.name.clone(),
                },
                run: event.run,
                commit: run.map(|r| Commit {
                    sha: r.commit_sha,
                    message: r.commit_message,
                    author: r.commit_author,
                }),
                text,
                at: event.at,
            });
            if feed.len() == 12 {
                break;
            }
        }
        Ok(feed)
    }

    /// Commits that a run would bring to production, newest first. Empty when nothing is live there or it cannot be told.
    async fn commits_since_live(&self, run: &Run) -> Vec<Commit> {
        let id = run.service.id.to_string();
        let Ok(service) = services::by_id(self.store.read(), &id).await else { return Vec::new() };
        let Ok(live) = self.live_in(&service.id, EnvironmentName::Production).await else {
            return Vec::new();
        };
        let from = live.as_ref().map(|l| l.commit_sha.as_str());
        if from == Some(run.commit.sha.as_str()) {
            return Vec::new();
        }
        self.ports.git.log(&service.repository, from, &run.commit.sha, 50).await.unwrap_or_default()
    }

    /// The run page: with the log of the stage that was asked for, or of the most telling one.
    pub async fn run_page(
        &self,
        id: RunId,
        stage: Option<StageKind>,
        attempt: Option<u32>,
        from: Option<u64>,
    ) -> Result<RunPage> {
        let event = self.newest_event().await?;
        let run = self.run(id).await?;
        let chosen = stage.and_then(|kind| run.stage(kind)).or_else(|| telling(&run));
        let shown = chosen.map(|s| s.id);
        let log = match chosen {
            Some(stage) if stage.attempt > 0 => match from {
                Some(from) => self.log_page(stage.id, attempt, from, SHOWN_LINES).await?,
                None => self.log_tail(stage.id, attempt, SHOWN_LINES).await?,
            },
            _ => LogPage {
                lines: Vec::new(),
                next_seq: 0,
                total: 0,
                complete: run.status.is_terminal(),
                removed: None,
            },
        };
        // Of a part in the middle the stream brings what comes after the end; what lies between is read when it is wanted.
        let position = chosen.map(|s| (s.id, attempt.unwrap_or(s.attempt), log.next_seq.max(log.total)));
        let cursor = self.cursor_of(&run, event, position).await.to_string();
        let service = services::by_id(self.store.read(), &run.service.id.to_string()).await?;
        let live =
            match deployments::live(self.store.read(), &service.id, EnvironmentName::Production).await? {
                Some(row) => Some(rows::deployment(row, Ready::live())?),
                None => None,
            };
        let commits = self.commits_since_live(&run).await;
        let others: Vec<_> = services::all(self.store.read())
            .await?
            .into_iter()
            .filter(|s| s.pipeline_id == service.pipeline_id && s.id != service.id)
            .collect();
        let neighbours = join_all(others.iter().map(|s| self.environment_row(s)))
            .await
            .into_iter()
            .collect::<Result<_>>()?;
        // What the plan says counts; everything else is as the settings are now.
        let goes_on = |s: &PlannedStage| s.skip.is_none() && s.kind.ordinal() >= StageKind::Build.ordinal();
        let launch = run.plan.launch.as_ref().filter(|_| run.plan.stages.iter().any(goes_on));
        let target = launch.map(|l| l.target);
        let means = self.means(&rows::settings(&service)?, target).await;
        Ok(RunPage { run, shown, log, commits, live, neighbours, means, now: self.now(), cursor })
    }

    /// The service page.
    pub async fn service_page(&self, id: ServiceId) -> Result<ServicePage> {
        let cursor = Cursor { event: self.newest_event().await?, ..Cursor::default() };
        let row = services::get(self.store.read(), id).await?;
        let environments = self.environment_row(&row).await?;
        let runs = self.runs(Some(id), None, None, 20).await?.items;
        let deployments = self.deployments(id, None, None, 30).await?.items;
        // What nobody can say just now is no reason against the rest of the page.
        let kept = self.kept_of(&row).await.unwrap_or_default();
        let service = rows::service(row)?;
        let settings = &service.settings;
        let plan = Plan::make(settings, Trigger::Manual, None);
        let means = self.means(settings, plan.launch.map(|l| l.target)).await;
        let hook = self.hook_of(service.id).await?;
        Ok(ServicePage {
            service,
            hook,
            means,
            environments,
            runs,
            deployments,
            kept,
            now: self.now(),
            cursor: cursor.to_string(),
        })
    }

    /// The server's clock, for pages.
    pub fn clock(&self) -> Timestamp {
        self.now()
    }
}

/// The stage whose log says most: what failed, else what runs, else the last that ran.
fn telling(run: &Run) -> Option<&domain::view::Stage> {
    run.failed_stage()
        .or_else(|| run.stages.iter().find(|s| s.status == Status::InProgress))
        .or_else(|| run.stages.iter().rev().find(|s| s.attempt > 0))
        .or_else(|| run.stages.first())
}
