//! What is set about AWS: the engine that runs there, and who is told by it.
//!
//! Refuses to ask AWS: whether an address leads anywhere shows when it is used, and `seamless doctor` looks.

use std::collections::BTreeMap;

use control::engine::executions::Size;
use domain::StageKind;

/// With what the names of topics begin, where there are any.
pub(super) fn topics(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> Option<String> {
    let prefix = get("SEAMLESS_TOPIC_PREFIX");
    match get("SEAMLESS_NOTIFY").as_deref() {
        None | Some("none") => {
            if prefix.is_some() {
                problems.push(
                    "SEAMLESS_TOPIC_PREFIX is set, but nobody is told of anything: set SEAMLESS_NOTIFY to sns, too"
                        .into(),
                );
            }
            return None;
        }
        Some("sns") => {}
        Some(other) => {
            problems.push(format!("SEAMLESS_NOTIFY is {other:?}: give sns or none"));
            return None;
        }
    }
    let prefix = prefix.unwrap_or_else(|| "seamless-".into());
    // A topic's name has 256 characters at most, and the id of a pipeline is 26 of them.
    let fits = prefix.len() <= 200 && prefix.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !fits {
        problems.push(format!(
            "SEAMLESS_TOPIC_PREFIX is {prefix:?}: give up to 200 letters, digits, hyphens and underscores, such as seamless-"
        ));
    }
    Some(prefix)
}

/// What drives runs, where the embedded engine does not.
pub(super) fn engine(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Option<aws::EngineSettings> {
    let names = ["SEAMLESS_STATE_MACHINE", "SEAMLESS_QUEUE", "SEAMLESS_STAGE_SIZES"];
    match get("SEAMLESS_ENGINE").as_deref() {
        None | Some("local") => {
            for name in names.into_iter().filter(|name| get(name).is_some()) {
                problems.push(format!("{name} is set, but runs are not driven by AWS: set SEAMLESS_ENGINE to step-functions, too"));
            }
            return None;
        }
        Some("step-functions") => {}
        Some(other) => {
            problems.push(format!("SEAMLESS_ENGINE is {other:?}: give local or step-functions"));
            return None;
        }
    }
    let mut want = |name: &str, example: &str| {
        get(name).unwrap_or_else(|| {
            problems.push(format!(
                "{name} is missing: SEAMLESS_ENGINE is step-functions; give it such as {example}"
            ));
            String::new()
        })
    };
    let machine =
        want("SEAMLESS_STATE_MACHINE", "arn:aws:states:eu-west-1:123456789012:stateMachine:seamless");
    let queue = want("SEAMLESS_QUEUE", "https://sqs.eu-west-1.amazonaws.com/123456789012/seamless");
    let mut settings = aws::EngineSettings { machine, queue, sizes: BTreeMap::new() };
    if !settings.machine.is_empty() && !settings.queue.is_empty() {
        problems.extend(settings.problem());
    }
    match sizes(&get("SEAMLESS_STAGE_SIZES").unwrap_or_default()) {
        Ok(sizes) => settings.sizes = sizes,
        Err(wrong) => problems.push(format!(
            "SEAMLESS_STAGE_SIZES holds {wrong:?}: give CPU/MEMORY for all stages, KIND=CPU/MEMORY for one, in 1024ths of a core (128 to 196608) and MiB (128 to 786432), such as 1024/2048, build=2048/4096"
        )),
    }
    Some(settings)
}

/// Whether tasks leave behind what they start.
pub(super) fn tasks_here(get: &impl Fn(&str) -> Option<String>, problems: &mut Vec<String>) -> bool {
    match get("SEAMLESS_TASKS_HERE").as_deref() {
        None | Some("no") => false,
        Some("yes") => true,
        Some(other) => {
            problems.push(format!("SEAMLESS_TASKS_HERE is {other:?}: give yes or no"));
            false
        }
    }
}

fn sizes(text: &str) -> Result<BTreeMap<StageKind, Size>, String> {
    let mut sizes = BTreeMap::new();
    // What is said of all stages comes first, wherever it stands.
    let mut words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    words.sort_by_key(|word| word.contains('='));
    for word in words {
        let (kinds, size) = match word.split_once('=') {
            Some((kind, size)) => (vec![kind.trim().parse().map_err(|_| word.to_owned())?], size),
            None => (StageKind::ALL.to_vec(), word),
        };
        let number = |text: &str, most| text.trim().parse::<u32>().ok().filter(|n| (128..=most).contains(n));
        let size = size.split_once('/').and_then(|(cpu, memory)| {
            Some(Size { cpu: number(cpu, 196_608)?, memory: number(memory, 786_432)? })
        });
        let size = size.ok_or_else(|| word.to_owned())?;
        sizes.extend(kinds.into_iter().map(|kind| (kind, size)));
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_unless_that_is_set() {
        let read = |given: &[(&str, &str)]| {
            let mut problems = Vec::new();
            let find = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            (topics(&find, &mut problems), problems.join("; "))
        };
        assert_eq!(read(&[]), (None, String::new()));
        assert_eq!(read(&[("SEAMLESS_NOTIFY", "sns")]), (Some("seamless-".into()), String::new()));
        let both = [("SEAMLESS_NOTIFY", "sns"), ("SEAMLESS_TOPIC_PREFIX", "ci_")];
        assert_eq!(read(&both), (Some("ci_".into()), String::new()));
        assert!(read(&[("SEAMLESS_NOTIFY", "mail")]).1.contains("give sns or none"));
        assert!(read(&[("SEAMLESS_TOPIC_PREFIX", "ci_")]).1.contains("set SEAMLESS_NOTIFY to sns"));
    }
}
