//! A pull request whose run succeeded is merged, where its service is set to do so: exactly the commit that was tested, or nothing.

use domain::Status;
use serde::{Deserialize, Serialize};

use super::{Telling, Trouble};
use crate::{
    forge::ForgeError,
    store::{events, runs},
};

#[derive(Default, Serialize, Deserialize)]
struct Sent {
    done: bool,
}

pub(super) async fn tell(telling: &mut Telling<'_>) -> Result<(), Trouble> {
    let control = telling.control;
    let run = &telling.run;
    let Some(pull) = run.pull_request.clone() else { return Ok(()) };
    let mut sent: Sent = telling.sent()?;
    let wanted =
        telling.settings.auto_merge && run.status == Status::Success && pull.fork.is_none() && !sent.done;
    // Where several services test the pull request, the last one to succeed merges it.
    if !wanted || !runs::all_succeeded(control.store.read(), pull.number as i64, &run.commit.sha).await? {
        return Ok(());
    }
    let outcome = match control.ports.forge.merge(&telling.repository, pull.number, &run.commit.sha).await {
        Ok(()) => format!("pull request {} was merged at {}", pull.number, run.commit.short()),
        // Its head moved, or its base does: a person decides. What comes next has a run of its own.
        Err(ForgeError::Refused(why)) => format!("pull request {} was not merged: {why}", pull.number),
        Err(error) => return Err(error.into()),
    };
    let event = events::NewEvent {
        run: Some(run.id.to_string()),
        service: Some(run.service.id.to_string()),
        kind: "pull_request_merge",
        payload: serde_json::json!({ "said": outcome }),
    };
    events::append(control.store.write(), vec![event], control.now()).await?;
    sent.done = true;
    telling.keep(&sent).await
}
