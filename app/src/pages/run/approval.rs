//! The question to a person: what would go live, until when they may answer, and the answer once it is there.
//!
//! Refuses to lose a comment that is being typed: live events never redraw the form.

use domain::{
    Status,
    view::{Commit, Deployment},
};
use leptos::{prelude::*, server_fn::ServerFn};

use super::Page;
use crate::{
    api::{ApiError, Decide},
    components::{Icon, Refused, Sha, Until, When},
    text::words,
};

/// The card, where there is something to ask or to tell.
#[component]
pub fn ApprovalCard(
    commits: Vec<Commit>,
    live: Option<Deployment>,
    refused: Option<ApiError>,
) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let waits = Memo::new(move |_| run.with(|r| r.status == Status::AwaitingApproval));
    let (commits, live, refused) =
        (StoredValue::new(commits), StoredValue::new(live), StoredValue::new(refused));
    move || {
        if waits.get() {
            view! { <Question commits=commits.get_value() live=live.get_value() refused=refused.get_value()/> }.into_any()
        } else {
            view! { <Refused error=refused.get_value()/><Answer/> }.into_any()
        }
    }
}

#[component]
fn Question(commits: Vec<Commit>, live: Option<Deployment>, refused: Option<ApiError>) -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let (id, commit, approval, staged) = run.with_untracked(|r| {
        let staged = r.stage(domain::StageKind::DeployStaging).is_some_and(|s| s.status == Status::Success);
        (r.id.to_string(), r.commit.clone(), r.approval.clone(), staged)
    });
    let change = match (&live, commits.len()) {
        (None, _) => "This would be the first version in production.".to_owned(),
        (Some(d), _) if d.commit.sha == commit.sha => {
            "The same commit is live already; this would deploy it again.".to_owned()
        }
        (Some(_), 0) => "No commit is between this and what is live; it may be older.".to_owned(),
        (Some(_), n) => format!("{} would go live:", words::count(n, "commit", "commits")),
    };
    let shown = commits.len().min(8);
    let more = commits.len() - shown;
    let list = commits
        .into_iter()
        .take(shown)
        .map(|c| {
            let (message, author) = (c.message.clone(), c.author.clone());
            view! { <li><Sha commit=c/><span>{message}" "<span class="dim">{author}</span></span></li> }
        })
        .collect_view();
    view! {
        <section class="card ask" aria-label="Approval">
            <div class="asked">
                <h2><span class="st wait"><Icon name="pause"/>"Waits for approval"</span></h2>
                <p>
                    {if staged { "It runs in staging. " } else { "" }}{change}
                </p>
                <ul class="commits">{list}</ul>
                {(more > 0).then(|| view! { <p class="dim">{format!("and {} more", words::count(more, "commit", "commits"))}</p> })}
                {live.map(|d| view! { <p class="dim">"Live now: "<Sha commit=d.commit/>" since "<When at=d.since/></p> })}
                {approval.as_ref().and_then(|a| a.note.clone()).map(|note| view! { <p class="held"><Icon name="hold"/><span>{note}</span></p> })}
            </div>
            <div class="answer">
                <form method="post" action=Decide::PATH>
                    <input type="hidden" name="run" value=id/>
                    <label for="comment">"Comment"</label>
                    <textarea id="comment" name="comment" rows="2" placeholder="Optional; kept with the decision"></textarea>
                    <div class="row">
                        <button class="btn primary" name="decision" value="approve"><Icon name="check"/>"Approve"</button>
                        <button class="btn danger" name="decision" value="reject">"Reject"</button>
                    </div>
                </form>
                <Refused error=refused/>
                {approval.map(|a| view! {
                    <p class="dim">
                        "Expires in "<Until at=a.expires_at/>
                        {a.artifact.map(|d| view! { <br/>"Bound to artifact "<code title=d.clone()>{d.chars().take(12).collect::<String>()}</code> })}
                    </p>
                })}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Answer() -> impl IntoView {
    let Page { run, .. } = expect_context::<Page>();
    let approval = Memo::new(move |_| run.with(|r| r.approval.clone()));
    move || {
        let a = approval.get()?;
        let (class, icon, word) = match a.state.as_str() {
            "approved" => ("st ok", "check", "Approved"),
            "rejected" => ("st bad", "x", "Rejected"),
            "expired" => ("st", "clock", "Approval expired"),
            "superseded" => ("st", "skip", "Superseded before anybody decided"),
            _ => return None,
        };
        let by = a.by.map(|by| format!(" by {by}"));
        Some(view! {
            <p class="decided">
                <span class=class><Icon name=icon/>{word}</span>
                <span>{by}{a.decided_at.map(|at| view! { ", "<When at/> })}{a.comment.map(|c| format!(": “{c}”"))}</span>
            </p>
        })
    }
}
