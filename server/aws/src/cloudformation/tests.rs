//! What the template holds, as far as `cfn-lint` does not see it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

/// Every name that a text in there wants filled in.
fn wanted(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            names.extend(text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()));
        }
        Value::Array(values) => values.iter().for_each(|value| wanted(value, names)),
        Value::Object(fields) => fields.values().for_each(|value| wanted(value, names)),
        _ => {}
    }
}

#[test]
fn the_machine_in_it_is_the_one_that_is_tested() {
    let template = template();
    let properties = &template["Resources"]["Machine"]["Properties"];
    let mut names = BTreeSet::new();
    wanted(&properties["Definition"], &mut names);
    let given = properties["DefinitionSubstitutions"].as_object().unwrap();
    assert_eq!(names, given.keys().cloned().collect(), "each name is filled in, and no other is given");
}

#[test]
fn cloudformation_takes_it_from_a_file() {
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    let size = template().to_string().len();
    assert!(size <= 51_200, "{size} bytes");
}

#[test]
fn only_deploys_have_rights_of_their_own() {
    let template = template();
    for kind in StageKind::ALL {
        let role = &template["Resources"][&roles::of_stage(kind)]["Properties"];
        assert_eq!(role.get("Policies").is_some(), kind.environment().is_some(), "{kind}");
    }
}
