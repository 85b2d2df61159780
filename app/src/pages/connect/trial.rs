//! A draft: what became of its trial, as it goes on, and the fields as they were kept.
//!
//! Refuses to show a log of its own; each stage leads to the run's page, where it is as of any run.

use domain::{
    Status,
    view::{Containers, Draft, Run, Stage},
};
use leptos::prelude::*;

use super::proposed::Form;
use crate::{
    components::{Icon, Sha, StatusMark, Took, When, look},
    form::ServiceForm,
    live::{Fresh, REGION},
    pages::service::form::Why,
};

#[component]
pub(super) fn Kept(draft: Draft, here: Containers) -> impl IntoView {
    let Draft { id, settings, by, updated_at, trial } = draft;
    let why = "Nothing is switched on before you connect it: no hook, no run of its own, nothing deployed.";
    view! {
        <div class="well"><h1>{format!("{} is not connected yet.", settings.name)}</h1><span class="sub">{why}</span></div>
        <p class="facts"><span>{settings.repository.clone()}" · kept by "{by}", "<When at=updated_at/></span><a class="link" href="/services/new">"all drafts and repositories"</a><Fresh service=Some(id)/></p>
        <div id=REGION><Trial run=trial/></div>
        <Form form=ServiceForm::of(&settings) why=Why::default() here several=false draft=id/>
    }
    .into_any()
}

#[component]
fn Trial(run: Option<Run>) -> impl IntoView {
    let Some(run) = run else {
        return view! {
            <section class="card panel trial" aria-label="Trial">
                <h2>"Not tried yet"</h2>
                <p class="sub">"“Try the commands” at the end of this page runs Prepare, Code Quality and Unit Test on the newest commit. GitHub is told nothing, nothing is deployed, and it counts nowhere."</p>
            </section>
        }
        .into_any();
    };
    let said = match run.status {
        Status::Success => "Everything that was tried succeeded. Connect it below.",
        Status::Failure => "Something failed. Its log says why; change the command and try again.",
        Status::Cancelled => "It was ended before its time.",
        Status::Skipped => "There was nothing to try: give a command.",
        _ => "It goes on; this is brought up to date by itself.",
    };
    let rows =
        run.stages.iter().cloned().map(|stage| view! { <Row run=run.id.to_string() stage/> }).collect_view();
    view! {
        <section class="card deploys trial" aria-label="Trial">
            <h2 class="row"><StatusMark run=run.clone()/><span>"Trial of "<Sha commit=run.commit.clone()/>" "{run.commit.message.clone()}</span><a class="link right" href=format!("/runs/{}", run.id)>"Its log"</a></h2>
            <ol>{rows}</ol>
            <p class="sub count">{said}</p>
        </section>
    }
    .into_any()
}

#[component]
fn Row(run: String, stage: Stage) -> impl IntoView {
    let (class, icon, word) = look(stage.status);
    let took = stage.started_at.map(|from| view! { " · "<Took from to=stage.ended_at/> });
    let reason = stage.reason.clone().filter(|_| stage.status != Status::Success);
    let link = (stage.attempt > 0)
        .then(|| view! { <a class="btn quiet" href=format!("/runs/{run}?stage={}", stage.kind)>"Log"<span class="vh">" of "{stage.kind.title()}</span></a> });
    view! {
        <li>
            <span class=format!("st {class}")><Icon name=icon/>{word}</span>
            <span class="told"><span><b>{stage.kind.title()}</b><span class="dim small">{took}</span></span>{reason.map(|r| view! { <span class="sub">{r}</span> })}</span>
            <span class="end">{link}</span>
        </li>
    }
    .into_any()
}
