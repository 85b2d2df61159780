//! The machine is walked, rather than believed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use domain::StageKind;

use super::*;

fn settings() -> MachineSettings {
    let role = |kind: StageKind| format!("arn:aws:iam::123456789012:role/seamless-{kind}");
    MachineSettings {
        partition: "aws".into(),
        cluster: "seamless".into(),
        task_definition: "seamless-stage".into(),
        capacity_provider: "seamless".into(),
        network: Network::Awsvpc {
            subnets: vec!["subnet-1".into(), "subnet-2".into()],
            security_groups: vec!["sg-1".into()],
        },
        task_roles: StageKind::ALL.into_iter().map(|kind| (kind, role(kind))).collect(),
        queue_url: "https://sqs.eu-central-1.amazonaws.com/123456789012/seamless".into(),
        topic_arn: "arn:aws:sns:eu-central-1:123456789012:seamless".into(),
        patience: Patience::default(),
    }
}

/// Where a state leads when nothing goes wrong.
fn onward(state: &State) -> Vec<&str> {
    match state {
        State::Task(Task { then: Then::Next(next), .. }) => vec![next],
        State::Parallel(Parallel { next, .. }) | State::Wait(Wait { next, .. }) => vec![next],
        State::Choice(Choice { choices, default }) => {
            choices.iter().map(|rule| rule.next.as_str()).chain([default.as_str()]).collect()
        }
        State::Task(Task { then: Then::End(_), .. }) | State::Succeed(_) | State::Fail(_) => vec![],
    }
}

/// Where its errors lead.
fn caught(state: &State) -> Vec<&str> {
    let catch = match state {
        State::Task(Task { catch, .. }) | State::Parallel(Parallel { catch, .. }) => &catch[..],
        _ => &[],
    };
    catch.iter().map(|catch| catch.next.as_str()).collect()
}

fn each_branch(branch: &Branch, see: &mut impl FnMut(&Branch)) {
    see(branch);
    for (_, state) in &branch.states.0 {
        if let State::Parallel(parallel) = state {
            parallel.branches.iter().for_each(|inner| each_branch(inner, see));
        }
    }
}

/// The most transitions from a state to an end of its branch while no task fails.
fn longest(branch: &Branch, from: &str) -> usize {
    let state = branch.states.get(from).unwrap();
    let within = match state {
        State::Parallel(parallel) => {
            parallel.branches.iter().map(|inner| longest(inner, &inner.start_at)).sum()
        }
        _ => 0,
    };
    let rest = onward(state).into_iter().map(|next| longest(branch, next)).max();
    1 + within + rest.unwrap_or(0)
}

#[test]
fn the_definition_is_the_one_that_was_looked_at() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&machine(&settings())).unwrap());
}

#[test]
fn every_way_leads_to_a_state_and_every_state_is_on_a_way() {
    each_branch(&machine(&settings()).states, &mut |branch| {
        let known: BTreeSet<&str> = branch.states.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(known.len(), branch.states.0.len(), "two states of one name");
        let mut reached = BTreeSet::from([branch.start_at.as_str()]);
        for (name, state) in &branch.states.0 {
            for next in onward(state).into_iter().chain(caught(state)) {
                assert!(known.contains(next), "{name} leads to {next}, which is not there");
                reached.insert(next);
            }
        }
        assert_eq!(reached, known);
    });
}

#[test]
fn an_execution_ends_with_a_word_to_the_queue_or_not_at_all() {
    let machine = machine(&settings());
    each_branch(&machine.states, &mut |branch| {
        let outermost = branch.start_at == machine.states.start_at;
        for (name, state) in &branch.states.0 {
            // No task's error is left to end the execution by itself, past the one way out.
            if let State::Task(task) = state {
                assert!(
                    task.catch.iter().any(|c| c.error_equals == ["States.ALL"]),
                    "{name} catches everything"
                );
            }
            let ends = onward(state).is_empty();
            assert!(
                !ends || !outermost || ["Succeeded", "Failed"].contains(&name.as_str()),
                "{name} ends it"
            );
            for next in onward(state).into_iter().chain(caught(state)) {
                let told = |of: &str| of.starts_with("Publish the");
                assert!(told(name) || !["Succeeded", "Failed"].contains(&next), "{name} ends it untold");
            }
        }
    });
}

#[test]
fn no_run_takes_more_than_25_transitions() {
    let machine = machine(&settings());
    let most = longest(&machine.states, &machine.states.start_at);
    assert!(most <= 25, "{most}");
    assert_eq!(most, 21, "a run with everything in it");
}

#[test]
fn a_task_is_told_five_things() {
    each_branch(&machine(&settings()).states, &mut |branch| {
        for (name, state) in &branch.states.0 {
            let (Some(kind), State::Task(task)) = (stage_of(name), state) else { continue };
            let overrides = &task.arguments["Overrides"];
            let variables = overrides["ContainerOverrides"][0]["Environment"].as_array().unwrap();
            let names: Vec<_> = variables.iter().map(|v| v["Name"].as_str().unwrap()).collect();
            assert_eq!(
                names,
                ["SEAMLESS_RUN", "SEAMLESS_STAGE", "SEAMLESS_TRY", "SEAMLESS_TICKET", "SEAMLESS_URL"]
            );
            assert_eq!(variables[1]["Value"], kind.as_str());
            assert_eq!(overrides["TaskRoleArn"], settings().task_roles[&kind].as_str());
            assert!(task.timeout_seconds.as_str().unwrap().contains(&format!(".{kind}.timeout ")));
            // A deploy that may have happened is never begun anew from here.
            let lost = task.catch[0].output.as_str().unwrap().contains("$stage.ExitCode = 75");
            assert_eq!(lost, kind.environment().is_none(), "{name}");
        }
    });
}
