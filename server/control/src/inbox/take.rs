//! One delivery, acted on: what it says is understood, judged for each service it concerns, and done in one transaction with the
//! verdict. Git is asked before that transaction, and never for what the payload or the settings already decide.

use std::time::Duration;

use domain::{
    DeliveryId, RunId, Status,
    plan::{Plan, Trigger},
    view::Commit,
};
use entity::{delivery, service};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::json;

use super::{
    FORGE, GitHook, HOOK_LATE_MS, POLLED, Part, REPLAYED,
    judge::{Verdict, is_zero, judge},
    part,
};
use crate::{
    Actor, Control, Rerun,
    error::Result,
    forge::News,
    ports::PortError,
    runs::NewRun,
    store::{deliveries, rows, runs, services},
};

/// Who acts on a delivery.
enum Claim {
    Ours,
    Theirs,
    Done,
}

/// How long a repository may take to say what changed; the inbox does not wait longer for one of them.
const ASK: Duration = Duration::from_secs(20);

impl Control {
    /// False when another server has it.
    pub(super) async fn take_in(&self, id: &str) -> Result<bool> {
        let row = deliveries::get(self.store.read(), id.parse()?).await?;
        if row.source == FORGE {
            return self.take_in_said(row).await;
        }
        let hook: GitHook = serde_json::from_str(&row.payload)?;
        let service =
            services::by_id(self.store.read(), row.service_id.as_deref().unwrap_or_default()).await?;
        self.take_in_hook(&row, &service, hook).await
    }

    /// A forge's own words.
    async fn take_in_said(&self, mut row: delivery::Model) -> Result<bool> {
        let mut by = None;
        if let Some(part) = part(&row.payload) {
            row.payload = deliveries::get(self.store.read(), part.part_of).await?.payload;
            by = part.by;
        }
        let said = match self.ports.forge.read(&row.event, &row.payload) {
            Ok(said) => said,
            Err(PortError(why)) => return self.settle(&row, "ignored", format!("ignored: {why}")).await,
        };
        let concerned = self.concerned(&row, said.repository.as_deref(), &said.news).await?;
        if matches!(said.news, News::Hook(_) | News::Again { .. }) {
            match &concerned[..] {
                [] => {
                    let name = said.repository.unwrap_or_else(|| "this repository".into());
                    let why = format!("ignored: no service is connected to {name}");
                    return self.settle(&row, "ignored", why).await;
                }
                [_] => {}
                several => return self.split(&row, several).await,
            }
        }
        match said.news {
            News::Hook(mut hook) => {
                hook.by = by.or(hook.by);
                self.take_in_hook(&row, &concerned[0], *hook).await
            }
            News::Again { sha, by: asked } => {
                self.take_in_again(&row, &concerned[0], &sha, by.or(asked)).await
            }
            News::Renamed { from } => {
                self.take_in_name(&row, &concerned, &from, said.repository.unwrap_or_default()).await
            }
            News::Gone => {
                let name = said.repository.unwrap_or_default();
                let why = format!("{name} was deleted; what is deployed of it stays as it is");
                self.settle(&row, if concerned.is_empty() { "ignored" } else { "accepted" }, why).await
            }
            News::Access(why) => {
                self.ports.forge.forget();
                self.settle(&row, "accepted", why).await
            }
            News::Nothing(why) => self.settle(&row, "ignored", format!("ignored: {why}")).await,
        }
    }

    /// The services a delivery is about: the one it was split off for, or all of that repository.
    async fn concerned(
        &self,
        row: &delivery::Model,
        repository: Option<&str>,
        news: &News,
    ) -> Result<Vec<service::Model>> {
        if let Some(id) = &row.service_id {
            return Ok(vec![services::by_id(self.store.read(), id).await?]);
        }
        let name = match news {
            News::Renamed { from } => Some(from.to_lowercase()),
            _ => repository.map(str::to_lowercase),
        };
        let mut all = services::all(self.store.read()).await?;
        all.retain(|s| name.is_some() && self.ports.forge.full_name(&s.repository) == name);
        Ok(all)
    }

    /// Each service of a repository gets a delivery of its own, and with it a verdict of its own.
    async fn split(&self, row: &delivery::Model, several: &[service::Model]) -> Result<bool> {
        let tx = self.store.begin().await?;
        match self.claim(&tx, row).await? {
            Claim::Ours => {}
            Claim::Theirs => return Ok(false),
            Claim::Done => return Ok(true),
        }
        let part_of: DeliveryId = row.id.parse()?;
        let payload = serde_json::to_string(&Part { part_of, by: None })?;
        for service in several {
            let guid = format!("{}:{}", row.guid, service.id);
            let id = Some(service.id.clone());
            let own = self.arrived(self.new_id()?, FORGE, &guid, &row.event, id, payload.clone());
            deliveries::insert(&tx, own).await?;
        }
        let names: Vec<&str> = several.iter().map(|s| s.name.as_str()).collect();
        let why = format!("it concerns {}: each is judged by itself", names.join(", "));
        deliveries::settle(&tx, &row.id, "accepted", Some(why), None, self.now()).await?;
        tx.commit().await?;
        self.nudge.intake();
        Ok(true)
    }

    async fn take_in_hook(
        &self,
        row: &delivery::Model,
        service: &service::Model,
        mut hook: GitHook,
    ) -> Result<bool> {
        let released = row.released_by.is_some();
        let settings = rows::settings(service)?;
        let mut late = false;
        if matches!(judge(service, &settings, &hook, true).0, Verdict::Accept(_)) {
            self.complete(row, service, &mut hook, settings.triggers.paths.is_empty()).await;
            late = !row.guid.starts_with(REPLAYED) && self.is_late(service, &hook).await;
        }
        let now = self.now();
        let tx = self.store.begin().await?;
        match self.claim(&tx, row).await? {
            Claim::Ours => {}
            Claim::Theirs => return Ok(false),
            Claim::Done => return Ok(true),
        }
        deliveries::concern(&tx, &row.id, &service.id).await?;
        let service = services::by_id(&tx, &service.id).await?;
        let settings = rows::settings(&service)?;
        let (verdict, mut why) = judge(&service, &settings, &hook, released);
        // A push may be noticed twice: by its hook and by comparing branch heads. Whichever is second tells nothing new.
        let told = if row.source == "poll" {
            service.head.as_deref() == Some(&hook.after)
        } else {
            let since = now.plus(-HOOK_LATE_MS);
            runs::caused_since(&tx, &service.id, &hook.after, &format!("delivery:{POLLED}"), since).await?
        };
        let trigger = match verdict {
            Verdict::Accept(Trigger::Push) if told => {
                why = "ignored: this push was noticed already".into();
                None
            }
            Verdict::Accept(Trigger::Push) if late => {
                why = format!(
                    "ignored: {} came after it and was noticed before it",
                    service.head.as_deref().and_then(|h| h.get(..7)).unwrap_or_default()
                );
                None
            }
            Verdict::Accept(trigger) => Some(trigger),
            Verdict::Wait | Verdict::Ignore => None,
        };
        if let Some(number) = hook.pull_request.filter(|_| verdict != Verdict::Ignore) {
            self.replace_waiting(&tx, row, &service.id, number).await?;
        }
        let Some(trigger) = trigger else {
            let word = if verdict == Verdict::Wait { "waiting" } else { "ignored" };
            // Comparing heads must not bring back what was decided here.
            let ours = hook.reference == format!("refs/heads/{}", service.branch) && settings.triggers.push;
            if ours && !late && !told && hook.after.len() >= 40 && !is_zero(&hook.after) {
                services::set_head(&tx, &service.id, &hook.after).await?;
            }
            deliveries::settle(&tx, &row.id, word, Some(why), None, now).await?;
            tx.commit().await?;
            self.nudge.changed(None);
            return Ok(true);
        };
        let run = self.run_for(&tx, row, &service, trigger, &hook, &settings).await?;
        if trigger == Trigger::Push {
            services::set_head(&tx, &service.id, &hook.after).await?;
        }
        let why = row.released_by.as_ref().map(|by| format!("let run by {by}"));
        deliveries::settle(&tx, &row.id, "accepted", why, Some(run.to_string()), now).await?;
        tx.commit().await?;
        self.nudge.changed(Some(run));
        self.nudge.dispatch();
        if settings.triggers.cancel_older
            && let Some(number) = hook.pull_request
        {
            self.cancel_older(&service.id, number, &hook.after).await?;
        }
        Ok(true)
    }

    async fn run_for(
        &self,
        tx: &DatabaseTransaction,
        row: &delivery::Model,
        service: &service::Model,
        trigger: Trigger,
        hook: &GitHook,
        settings: &domain::service::ServiceSettings,
    ) -> Result<RunId> {
        let branch = hook.reference.strip_prefix("refs/heads/").unwrap_or(&hook.reference).to_owned();
        let first = hook.message.as_deref().and_then(|m| m.lines().next()).unwrap_or_default();
        let new = NewRun {
            service,
            trigger,
            // Prepare fills in what is missing when it has the repository at hand.
            commit: Commit { sha: hook.after.clone(), message: first.to_owned(), author: String::new() },
            branch,
            pull_request: hook.pull_request,
            fork: hook.fork.clone(),
            cause: format!("delivery:{}", row.guid),
            requested_by: hook.by.clone(),
            plan: Plan::make(settings, trigger, None),
            artifact: None,
            rerun_of: None,
            rollback_to: None,
        };
        self.insert_run(tx, new).await
    }

    /// Asks Git for what the payload does not say: the newest commit's message, and the paths that changed. A hook of a repository on
    /// this machine says little and is quick; there only paths are worth the question.
    async fn complete(
        &self,
        row: &delivery::Model,
        service: &service::Model,
        hook: &mut GitHook,
        all_paths: bool,
    ) {
        let silent = hook.message.is_none() && row.source != "git";
        let (from, three_dots) = match &hook.base {
            Some(base) if silent => (base.clone(), true),
            None if (silent || (!all_paths && hook.paths.is_none()))
                && !hook.before.is_empty()
                && !is_zero(&hook.before) =>
            {
                (hook.before.clone(), false)
            }
            _ => return,
        };
        let git = &self.ports.git;
        let asked = git.change(&service.repository, &hook.reference, &from, &hook.after, three_dots);
        match tokio::time::timeout(ASK, asked).await {
            Ok(Ok(change)) => {
                hook.message.get_or_insert(change.message);
                hook.paths.get_or_insert(change.paths);
            }
            // Rather a run too many than a change that nobody looked at.
            Ok(Err(error)) => tracing::warn!(service = service.name, %error, "what changed cannot be told"),
            Err(_) => {
                tracing::warn!(service = service.name, "its repository takes too long to say what changed")
            }
        }
    }

    /// Whether a push was overtaken: what it brought is in the history of a head that was noticed before it.
    async fn is_late(&self, service: &service::Model, hook: &GitHook) -> bool {
        let Some(head) = service.head.as_deref().filter(|h| !h.is_empty()) else { return false };
        if hook.pull_request.is_some()
            || hook.before.is_empty()
            || is_zero(&hook.after)
            || head == hook.before
            || head == hook.after
        {
            return false;
        }
        let asked = self.ports.git.precedes(&service.repository, &hook.after, head);
        matches!(tokio::time::timeout(ASK, asked).await, Ok(Ok(true)))
    }

    /// Of a pull request only its newest commit waits.
    async fn replace_waiting(
        &self,
        tx: &DatabaseTransaction,
        row: &delivery::Model,
        service: &str,
        number: u64,
    ) -> Result<()> {
        for other in deliveries::waiting(tx, service).await?.into_iter().filter(|d| d.id != row.id) {
            if self.hook_in(tx, &other).await?.and_then(|hook| hook.pull_request) == Some(number) {
                let why = Some("ignored: newer commits of the pull request came".to_owned());
                deliveries::settle(tx, &other.id, "ignored", why, None, self.now()).await?;
            }
        }
        Ok(())
    }

    /// The moved ref or pull request that a delivery tells of, if it does.
    pub(super) async fn hook_in<C: ConnectionTrait>(
        &self,
        db: &C,
        row: &delivery::Model,
    ) -> Result<Option<GitHook>> {
        if row.source != FORGE {
            return Ok(Some(serde_json::from_str(&row.payload)?));
        }
        let whole = match part(&row.payload) {
            Some(part) => Some(deliveries::get(db, part.part_of).await?.payload),
            None => None,
        };
        let said = self.ports.forge.read(&row.event, whole.as_deref().unwrap_or(&row.payload));
        Ok(match said.map(|said| said.news) {
            Ok(News::Hook(hook)) => Some(*hook),
            _ => None,
        })
    }

    async fn cancel_older(&self, service: &str, number: u64, newest: &str) -> Result<()> {
        let actor = Actor::named(format!("newer commits of pull request {number}"));
        for run in runs::open(self.store.read()).await? {
            let older = run.service_id == service
                && run.pull_request == Some(number as i64)
                && run.commit_sha != newest;
            if older && let Err(error) = self.cancel(&actor, run.id.parse()?).await {
                // It may have ended meanwhile.
                tracing::debug!(run = run.id, %error, "an older run was not cancelled");
            }
        }
        Ok(())
    }

    /// A commit is to be checked again: its newest run, from the start.
    async fn take_in_again(
        &self,
        row: &delivery::Model,
        service: &service::Model,
        sha: &str,
        by: Option<String>,
    ) -> Result<bool> {
        deliveries::concern(self.store.write(), &row.id, &service.id).await?;
        let cause = format!("delivery:{}", row.guid);
        let done = runs::by_cause(self.store.read(), &service.id, &cause).await?;
        let run = match done {
            Some(run) => run.id,
            None => {
                let Some(old) = runs::newest_of_commit(self.store.read(), &service.id, sha).await? else {
                    let why = format!("ignored: {} has no run of that commit", service.name);
                    return self.settle(row, "ignored", why).await;
                };
                if !old.status.parse::<Status>()?.is_terminal() {
                    let why = format!("ignored: run {} of that commit is not over yet", old.number);
                    return self.settle(row, "ignored", why).await;
                }
                let actor = Actor::named(by.unwrap_or_else(|| "GitHub".into()));
                self.rerun_for(&actor, old.id.parse()?, Rerun::Start, cause).await?.id.to_string()
            }
        };
        deliveries::settle(self.store.write(), &row.id, "accepted", None, Some(run), self.now()).await?;
        Ok(true)
    }

    /// Services follow their repository to its new name.
    async fn take_in_name(
        &self,
        row: &delivery::Model,
        concerned: &[service::Model],
        from: &str,
        to: String,
    ) -> Result<bool> {
        let tx = self.store.begin().await?;
        match self.claim(&tx, row).await? {
            Claim::Ours => {}
            Claim::Theirs => return Ok(false),
            Claim::Done => return Ok(true),
        }
        for service in concerned {
            let mut service = services::by_id(&tx, &service.id).await?;
            let mut settings = rows::settings(&service)?;
            settings.repository = renamed(&service.repository, from, &to);
            service.repository.clone_from(&settings.repository);
            service.settings = serde_json::to_string(&settings)?;
            service.updated_at = self.now().0;
            let service = services::update(&tx, service).await?;
            self.tell(&tx, &service, "service_updated", json!({ "by": "GitHub", "repository": to })).await?;
        }
        let names: Vec<&str> = concerned.iter().map(|s| s.name.as_str()).collect();
        let (word, why) = match names.is_empty() {
            true => ("ignored", format!("ignored: no service is connected to {from}")),
            false => ("accepted", format!("{} now follows {to}, which was {from}", names.join(", "))),
        };
        deliveries::settle(&tx, &row.id, word, Some(why), None, self.now()).await?;
        tx.commit().await?;
        self.forget_keys();
        self.nudge.changed(None);
        Ok(true)
    }

    async fn claim(&self, tx: &DatabaseTransaction, row: &delivery::Model) -> Result<Claim> {
        Ok(match deliveries::claim(tx, &row.id).await? {
            None => Claim::Theirs,
            Some(row) if row.verdict != "pending" => Claim::Done,
            Some(_) => Claim::Ours,
        })
    }

    async fn settle(&self, row: &delivery::Model, verdict: &str, why: String) -> Result<bool> {
        deliveries::settle(self.store.write(), &row.id, verdict, Some(why), None, self.now()).await?;
        self.nudge.changed(None);
        Ok(true)
    }
}

/// An address with another `owner/name` in it, otherwise as it was.
fn renamed(address: &str, from: &str, to: &str) -> String {
    let at = address.to_lowercase().rfind(&from.to_lowercase());
    match at.and_then(|at| Some((address.get(..at)?, address.get(at + from.len()..)?))) {
        Some((before, after)) => format!("{before}{to}{after}"),
        None => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn addresses_follow_their_repository() {
        for (address, new) in [
            ("acme/orders", "acme/shop"),
            ("https://github.com/Acme/Orders.git", "https://github.com/acme/shop.git"),
            ("git@github.com:acme/orders.git", "git@github.com:acme/shop.git"),
        ] {
            assert_eq!(renamed(address, "acme/orders", "acme/shop"), new);
        }
    }
}
