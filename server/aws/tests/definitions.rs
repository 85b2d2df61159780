//! What is printed for AWS is looked at by those who know: `asl-validator` (npm) and `cfn-lint` (PyPI, which comes with the stand-in for AWS).

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use aws::{
    asl::{MachineSettings, Network, Patience, machine},
    cloudformation,
};
use domain::StageKind;
use serde_json::{Value, json};
use testkit::skipped;

fn settings(network: Network) -> MachineSettings {
    MachineSettings {
        partition: "aws".into(),
        cluster: "seamless".into(),
        task_definition: "seamless-stage".into(),
        capacity_provider: "seamless".into(),
        network,
        task_roles: [(StageKind::Build, "arn:aws:iam::123456789012:role/build".into())].into(),
        queue_url: "https://sqs.eu-central-1.amazonaws.com/123456789012/seamless".into(),
        topic_arn: "arn:aws:sns:eu-central-1:123456789012:seamless".into(),
        patience: Patience::default(),
    }
}

/// Whether a program finds nothing wrong with a text, and what it says.
fn judged(mut program: Command, text: &str) -> (bool, String) {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    let done = program.arg(file.path()).output().unwrap();
    let said = [done.stdout, done.stderr].map(|out| String::from_utf8_lossy(&out).into_owned()).concat();
    (done.status.success(), said)
}

#[test]
fn the_state_machine_is_valid() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../end2end/node_modules/.bin/asl-validator");
    if !Path::new(program).exists() {
        return skipped("the_state_machine_is_valid", "no asl-validator");
    }
    let validator = || {
        let mut validator = Command::new(program);
        validator.arg("--json-path");
        validator
    };
    let own = Network::Awsvpc { subnets: vec!["subnet-1".into()], security_groups: vec!["sg-1".into()] };
    for network in [Network::Host, own] {
        let text = serde_json::to_string(&machine(&settings(network))).unwrap();
        let (good, said) = judged(validator(), &text);
        assert!(good, "{said}");
        // No judge lets everything through.
        let broken = text.replace(r#""Next":"Checks passed""#, r#""Next":"Nowhere""#);
        assert!(broken != text && !judged(validator(), &broken).0);
    }
}

/// Where `cfn-lint` is, or the test that asks is skipped by its name.
fn lint(test: &str) -> Option<PathBuf> {
    let python = std::env::var("SEAMLESS_TEST_AWS").unwrap_or_default();
    let lint = Path::new(&python).with_file_name("cfn-lint");
    if python.is_empty() || !lint.exists() {
        skipped(test, "no cfn-lint");
        return None;
    }
    Some(lint)
}

/// `cfn-lint` takes a timeout that is computed for a mistake (E3601): it reads one that is not.
fn with_timeouts_said(definition: &mut Value) {
    match definition {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "TimeoutSeconds" && value.is_string() {
                    *value = json!(60);
                }
                with_timeouts_said(value);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(with_timeouts_said),
        _ => {}
    }
}

/// The template has that check turned off, for the same reason, so it never reads the definition there.
#[test]
fn the_state_machine_is_what_cloudformation_takes() {
    let Some(lint) = lint("the_state_machine_is_what_cloudformation_takes") else { return };
    let template = |network| {
        let mut definition = serde_json::to_value(machine(&settings(network))).unwrap();
        with_timeouts_said(&mut definition);
        let role = "arn:aws:iam::123456789012:role/machine";
        let machine = json!({
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": { "RoleArn": role, "Definition": definition },
        });
        json!({ "AWSTemplateFormatVersion": "2010-09-09", "Resources": { "Machine": machine } }).to_string()
    };
    let own = Network::Awsvpc { subnets: vec!["subnet-1".into()], security_groups: vec!["sg-1".into()] };
    for network in [Network::Host, own] {
        let (good, said) = judged(Command::new(&lint), &template(network));
        assert!(good, "{said}");
    }
    // No judge lets everything through: fields of states, within others too, have their names and their kinds.
    let text = template(Network::Host);
    for (right, wrong) in [
        (r#""BackoffRate":2"#, r#""BackoffRate":"often""#),
        (r#""Condition":"#, r#""When":"#),
        (r#""Branches":"#, r#""Ways":"#),
    ] {
        let broken = text.replace(right, wrong);
        let (good, said) = judged(Command::new(&lint), &broken);
        assert!(broken != text && !good && said.contains("E3601"), "{wrong}: {said}");
    }
}

#[test]
fn the_template_is_valid() {
    let Some(lint) = lint("the_template_is_valid") else { return };
    let text = cloudformation::template().to_string();
    let (good, said) = judged(Command::new(&lint), &text);
    assert!(good, "{said}");
    let broken = text.replace(r#"{"Ref":"Topic"}"#, r#"{"Ref":"Nothing"}"#);
    assert!(broken != text && !judged(Command::new(&lint), &broken).0);
}
