//! Variables as lines of text: `NAME=value`, or `NAME="two\nlines"` for a value that has line breaks.
//!
//! Refuses to show a secret: its line carries six stars, and six stars coming back keep what is stored.

use std::collections::BTreeMap;

use domain::{
    problem::FieldError,
    service::{SecretVariable, Variable},
};

/// Stands for the stored value of a secret.
pub const KEEP: &str = "******";

/// Whether it is a secret.
fn is_secret(variable: &Variable) -> bool {
    matches!(variable, Variable::Secret(s) if s.secret)
}

/// The lines of the plain ones.
pub fn plain_lines(variables: &BTreeMap<String, Variable>) -> String {
    let lines = variables.iter().filter(|(_, v)| !is_secret(v)).map(|(name, variable)| {
        let value = match variable {
            Variable::Plain(value) => value.as_str(),
            Variable::Secret(long) => long.value.as_deref().unwrap_or_default(),
        };
        let quoted = value.contains(['\n', '\r']) || value.starts_with('"') || value.trim() != value;
        if quoted { format!("{name}={}", serde_json::Value::from(value)) } else { format!("{name}={value}") }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of the secret ones, starred.
pub fn secret_lines(variables: &BTreeMap<String, Variable>) -> String {
    let lines = variables.iter().filter(|(_, v)| is_secret(v)).map(|(name, _)| format!("{name}={KEEP}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Secret lines without the values that were typed.
pub fn hide(lines: &str) -> String {
    let hidden = lines.lines().filter(|l| !l.trim().is_empty()).map(|line| match line.split_once('=') {
        Some((name, value)) if value.trim() == KEEP => format!("{}={KEEP}", name.trim()),
        Some((name, _)) => format!("{}=", name.trim()),
        None => String::new(),
    });
    hidden.collect::<Vec<_>>().join("\n")
}

/// Reads both text areas of a group; lines that cannot be read are said.
pub fn parse(
    field: &str,
    plain: &str,
    secret: &str,
    problems: &mut Vec<FieldError>,
) -> BTreeMap<String, Variable> {
    let mut found = BTreeMap::new();
    for (text, is_secret) in [(plain, false), (secret, true)] {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let kind = if is_secret { "secret, line" } else { "line" };
            let mut say = |what: &str| {
                problems
                    .push(FieldError { field: field.into(), message: format!("{kind} {}: {what}", at + 1) });
            };
            let Some((name, value)) = line.split_once('=') else {
                say("write NAME=value");
                continue;
            };
            let (name, value) = (name.trim().to_owned(), unquote(value.trim()));
            let variable = match (is_secret, value) {
                (false, value) => Variable::Plain(value),
                (true, value) if value == KEEP => {
                    Variable::Secret(SecretVariable { value: None, secret: true })
                }
                (true, value) if value.is_empty() => {
                    say("a secret needs a value; remove the line to remove the secret");
                    continue;
                }
                (true, value) => Variable::Secret(SecretVariable { value: Some(value), secret: true }),
            };
            if found.insert(name.clone(), variable).is_some() {
                say(&format!("{name} is there twice"));
            }
        }
    }
    found
}

fn unquote(value: &str) -> String {
    match serde_json::from_str::<String>(value) {
        Ok(inner) if value.starts_with('"') => inner,
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_written() {
        let mut problems = Vec::new();
        let read = parse(
            "variables",
            "# ours\nA=1\nB = x=y \nC=\"a\\nb\"\nD=",
            "K=hunter2\nL=******",
            &mut problems,
        );
        assert_eq!(problems, []);
        assert_eq!(plain_lines(&read), "A=1\nB=x=y\nC=\"a\\nb\"\nD=");
        assert_eq!(secret_lines(&read), "K=******\nL=******");
        assert_eq!(read.get("L"), Some(&Variable::Secret(SecretVariable { value: None, secret: true })));
        assert_eq!(
            read.get("K"),
            Some(&Variable::Secret(SecretVariable { value: Some("hunter2".into()), secret: true }))
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let mut problems = Vec::new();
        parse("variables", "A\nB=1\nB=2", "K=", &mut problems);
        let said: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "line 1: write NAME=value",
                "line 3: B is there twice",
                "secret, line 1: a secret needs a value; remove the line to remove the secret"
            ]
        );
    }
}
