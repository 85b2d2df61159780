//! What an execution's history says of a task that did not come: why its last try failed, while another follows.
//!
//! Refuses to tell of what is over: a failure that nothing follows ends the execution, and is told as its end.

use std::collections::HashSet;

use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType as Kind};

use crate::letter;

/// So many of the latest events are read: each try leaves three, and two checks may be tried at a time.
pub(crate) const LATEST: i32 = 20;

/// Why the last try to start a task failed, if none has begun since; `latest` are events in any order.
///
/// Each event names the one before it, so each branch's last event is one that no other names:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html>.
pub(crate) fn hindrance(latest: &[HistoryEvent]) -> Option<String> {
    let followed: HashSet<i64> = latest.iter().map(HistoryEvent::previous_event_id).collect();
    let ends = latest.iter().filter(|event| !followed.contains(&event.id));
    let failures = ends.filter_map(|end| {
        let mut event = end;
        // The next try, of which nothing came yet.
        while matches!(event.r#type, Kind::TaskScheduled | Kind::TaskStarted) {
            event = latest.iter().find(|before| before.id == event.previous_event_id)?;
        }
        failure(event)
    });
    failures.max_by_key(|(id, _)| *id).map(|(_, why)| why)
}

fn failure(event: &HistoryEvent) -> Option<(i64, String)> {
    let (error, cause) = if let Some(of) = &event.task_failed_event_details {
        (&of.error, &of.cause)
    } else if let Some(of) = &event.task_submit_failed_event_details {
        (&of.error, &of.cause)
    } else {
        let of = event.task_start_failed_event_details.as_ref()?;
        (&of.error, &of.cause)
    };
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    Some((event.id, letter::why(&text(error), &text(cause))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_sfn::{
        primitives::DateTime,
        types::{TaskFailedEventDetails, TaskSubmitFailedEventDetails},
    };

    use super::*;

    /// What two checks leave that find no room, one of which finds it in the end.
    fn history() -> Vec<HistoryEvent> {
        let event = |id: i64, before: i64, kind: Kind| {
            HistoryEvent::builder()
                .timestamp(DateTime::from_secs(id))
                .id(id)
                .previous_event_id(before)
                .r#type(kind)
        };
        let room = r#"{"Failures":[{"Arn":"arn:aws:ecs:eu-west-1:1:container-instance/1","Reason":"RESOURCE:MEMORY"}],"Tasks":[]}"#;
        let none = TaskFailedEventDetails::builder().resource("runTask.sync").resource_type("ecs");
        let none = none.error("AmazonECS.Unknown").cause(room).build().unwrap();
        let busy = TaskSubmitFailedEventDetails::builder().resource("runTask.sync").resource_type("ecs");
        let busy = busy.error("ECS.AmazonECSException").cause("Rate exceeded").build().unwrap();
        [
            event(7, 6, Kind::TaskScheduled),
            event(8, 5, Kind::TaskScheduled),
            event(9, 7, Kind::TaskStarted),
            event(10, 9, Kind::TaskFailed).task_failed_event_details(none),
            event(11, 8, Kind::TaskStarted),
            event(12, 11, Kind::TaskSubmitFailed).task_submit_failed_event_details(busy),
            event(13, 12, Kind::TaskScheduled),
            event(14, 13, Kind::TaskStarted),
            event(15, 14, Kind::TaskSubmitted),
            event(16, 10, Kind::TaskScheduled),
            event(17, 16, Kind::TaskStarted),
            event(18, 17, Kind::TaskSubmitted),
        ]
        .map(|event| event.build().unwrap())
        .into()
    }

    #[test]
    fn the_last_try_says_why_until_the_next_has_begun() {
        let history = history();
        let told = |until: i64| {
            let latest: Vec<_> = history.iter().filter(|event| event.id <= until).rev().cloned().collect();
            hindrance(&latest)
        };
        assert_eq!(told(9), None);
        let room = told(11).unwrap();
        assert!(room.starts_with("its task could not be started: RESOURCE:MEMORY; no machine"), "{room}");
        for throttled in [12, 13, 14] {
            assert_eq!(told(throttled).unwrap(), "its task could not be started: Rate exceeded");
        }
        for waiting in [15, 16, 17] {
            assert_eq!(told(waiting), told(11), "the other check has its task, and this one still has none");
        }
        assert_eq!(told(18), None);
    }
}
