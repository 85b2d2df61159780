//! Reads BuildKit's plain output as it goes by: which step failed, what it had printed, what BuildKit says in the end.
//!
//! Refuses to keep the output: of each step only the line to look at first is remembered.

use std::collections::HashMap;

use domain::view::{ErrorLine, Stream};

use super::DockerError;
use crate::{command::Watch, reason::Failure, reason::Judge};

/// Prefaces of the last line that tell a person nothing.
const PREFACES: [&str; 5] = [
    "failed to solve: ",
    "failed to solve with frontend dockerfile.v0: ",
    "rpc error: code = Unknown desc = ",
    "failed to create LLB definition: ",
    "failed to compute cache key: ",
];

/// What was seen of a build.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Names of the steps, such as `[2/3] RUN npm test`.
    names: HashMap<u32, String>,
    steps: HashMap<u32, Judge>,
    /// The step that failed first, and BuildKit's words for it.
    failed: Option<(u32, ErrorLine)>,
    /// The last line outside of any step: what the program says when it gives up.
    last: Option<ErrorLine>,
    /// The line of the Dockerfile, where BuildKit tells it.
    line: Option<u32>,
    /// The program does not know the command: BuildKit's plugin is not there.
    unknown: bool,
}

impl Watch for Seen {
    fn see(&mut self, stream: Stream, seq: u64, text: &str) {
        let Some((step, rest)) = step(text) else { return self.outside(seq, text) };
        if let Some(message) = rest.strip_prefix("ERROR: ") {
            let line = ErrorLine { seq, text: message.to_owned() };
            self.failed.get_or_insert((step, line));
        } else if let Some(output) = timed(rest) {
            self.steps.entry(step).or_default().see(stream, seq, output);
        } else if !self.names.contains_key(&step) && rest.starts_with('[') {
            self.names.insert(step, rest.chars().take(200).collect());
        }
    }
}

impl Seen {
    fn outside(&mut self, seq: u64, text: &str) {
        self.unknown |= text.contains("is not a docker command")
            || text.contains("unknown command: docker buildx")
            || text.contains("buildx component is missing or broken");
        let excerpt = text.rsplit_once(':').filter(|(name, _)| !name.contains([' ', '>']));
        if let Some(line) = excerpt.and_then(|(_, line)| line.parse().ok()) {
            self.line = Some(line);
        }
        // What a failed step had printed is shown again, between rulers and under its name.
        let repeated = text.starts_with([' ', '-', '>']) || timed(text).is_some();
        if !text.trim().is_empty() && !repeated {
            self.last = Some(ErrorLine { seq, text: text.trim().to_owned() });
        }
    }

    /// Whether the plugin that carries BuildKit is missing.
    pub fn no_buildkit(&self) -> bool {
        self.unknown
    }

    /// Why the build failed, for a daemon at `host` and a Dockerfile called `dockerfile`.
    pub fn failure(&self, host: &str, dockerfile: &str) -> Failure {
        let said = self.last.as_ref().map_or("it did not say why", |last| plain(&last.text));
        let (step, line) = match &self.failed {
            Some((step, line)) => (Some(step), Some(line)),
            None => (None, None),
        };
        let judge = step.and_then(|step| self.steps.get(step));
        // What the step itself said tells more than that it failed.
        let error = judge.and_then(Judge::verdict).or_else(|| line.cloned()).or_else(|| self.last.clone());
        let words = line.map_or(said, |line| plain(&line.text));
        let name = step.and_then(|step| self.names.get(step)).map_or("", String::as_str);
        let code = exit_code(words);
        let place = self.line.map_or_else(|| dockerfile.to_owned(), |line| format!("{dockerfile}:{line}"));
        let reason = if judge.is_some_and(Judge::no_space) || words.contains("no space left on device") {
            DockerError::DiskFull.to_string()
        } else if let Some(code) = code {
            let instruction = name.split_once("] ").map_or(name, |(_, instruction)| instruction);
            let cut: String = instruction.chars().take(100).collect();
            let more = if cut.len() < instruction.len() { " ..." } else { "" };
            format!("`{cut}{more}` in {place} exited with {code}")
        } else if lost(said) {
            DockerError::Away { host: host.to_owned(), said: said.to_owned() }.to_string()
        } else if let Some(image) = base(name, words) {
            format!(
                "the base image {image} could not be pulled: check its name in {place} and the network; if its registry wants a login, run `docker login` as the server's user ({words})"
            )
        } else {
            match DockerError::read("build", host, said) {
                error @ (DockerError::Away { .. } | DockerError::DiskFull | DockerError::NoPlugin(_)) => {
                    error.to_string()
                }
                _ => format!("the image could not be built from {place}: {words}"),
            }
        };
        Failure { reason, error, exit_code: code }
    }
}

/// The number of a step and what follows: `#7 0.312 text`.
fn step(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = text.strip_prefix('#')?.split_once(' ')?;
    Some((number.parse().ok()?, rest))
}

/// What a step printed, without the seconds before it.
fn timed(text: &str) -> Option<&str> {
    let (seconds, rest) = text.split_once(' ')?;
    let (whole, part) = seconds.split_once('.')?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(part)).then_some(rest)
}

/// Without what every failure begins with.
fn plain(text: &str) -> &str {
    let mut text = text.strip_prefix("ERROR: ").unwrap_or(text);
    while let Some(rest) = PREFACES.iter().find_map(|preface| text.strip_prefix(preface)) {
        text = rest;
    }
    text
}

/// The exit code of a command that was run and failed.
fn exit_code(words: &str) -> Option<i32> {
    let ran = words.starts_with("executor failed running") || words.contains("did not complete successfully");
    let (_, code) = words.rsplit_once("exit code: ").filter(|_| ran)?;
    code.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// Whether the daemon went away meanwhile.
fn lost(said: &str) -> bool {
    said.contains("code = Unavailable")
        || said.contains("error reading from server")
        || said.contains("failed to receive status")
        || said.ends_with("EOF")
}

/// The image that could not be had, when that is what failed.
fn base<'a>(step: &'a str, words: &'a str) -> Option<&'a str> {
    let (_, image) = step.split_once("load metadata for ").or_else(|| {
        let (_, from) = step.split_once("] FROM ")?;
        let pulling = ["failed to copy", "httpReadSeeker", "failed to do request", "not found"];
        pulling.iter().any(|sign| words.contains(sign)).then_some(("", from))
    })?;
    Some(image.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn failure(output: &str) -> (String, String) {
        let mut seen = Seen::default();
        for (seq, line) in (0..).zip(output.lines()) {
            seen.see(Stream::Stderr, seq, line);
        }
        let failure = seen.failure("unix:///run/d.sock", "Dockerfile");
        (failure.reason, failure.error.unwrap().text)
    }

    #[test]
    fn a_command_that_fails_is_named_with_what_it_said() {
        let output = "#5 [2/3] RUN apt-get fails over\n#5 0.1 error: an old one that did no harm\n#5 DONE 0.2s\n\
            #6 [3/3] RUN npm test\n#6 0.155 running\n#6 0.2 AssertionError: 1 == 2\n#6 0.3 bye\n\
            #6 ERROR: process \"/bin/sh -c npm test\" did not complete successfully: exit code: 3\n------\n\
            > [3/3] RUN npm test:\n0.155 running\n------\nDockerfile:7\n--------------------\n   7 | >>> RUN npm test\n\
            --------------------\nERROR: failed to solve: process \"/bin/sh -c npm test\" did not complete successfully: exit code: 3\n";
        let (reason, error) = failure(output);
        assert_eq!(reason, "`RUN npm test` in Dockerfile:7 exited with 3");
        assert_eq!(error, "AssertionError: 1 == 2");
    }

    #[test]
    fn older_builders_say_it_otherwise() {
        let output = "#6 [3/3] RUN false\n#6 ERROR: executor failed running [/bin/sh -c false]: exit code: 1\n------\n > [3/3] RUN false:\n------\n\
            executor failed running [/bin/sh -c false]: exit code: 1\n";
        let (reason, error) = failure(output);
        assert_eq!(reason, "`RUN false` in Dockerfile exited with 1");
        assert_eq!(error, "executor failed running [/bin/sh -c false]: exit code: 1");
    }

    #[test]
    fn what_is_wrong_with_a_dockerfile_is_told() {
        let parse = "ERROR: failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: \
            failed to create LLB definition: dockerfile parse error line 1: unknown instruction: FORM";
        assert_eq!(
            failure(parse).0,
            "the image could not be built from Dockerfile: dockerfile parse error line 1: unknown instruction: FORM"
        );
        let copy = "#6 [2/2] COPY nope /x\n#6 ERROR: \"/nope\" not found: not found\n------\n > [2/2] COPY nope /x:\n------\n\
            ERROR: failed to solve: failed to compute cache key: \"/nope\" not found: not found";
        let (reason, error) = failure(copy);
        assert_eq!(reason, "the image could not be built from Dockerfile: \"/nope\" not found: not found");
        assert_eq!(error, "\"/nope\" not found: not found");
    }

    #[test]
    fn base_images_and_daemons_that_are_away() {
        let base = "#3 [internal] load metadata for docker.io/library/node:99\n#3 ERROR: failed to do request: Head \"https://x\": dial tcp: no such host\n\
            ------\nERROR: failed to solve: failed to do request";
        assert!(
            failure(base).0.starts_with("the base image docker.io/library/node:99 could not be pulled"),
            "{}",
            failure(base).0
        );
        let away =
            "ERROR: Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?";
        assert!(failure(away).0.starts_with("the Docker daemon at unix:///run/d.sock does not answer"));
        let lost = "#6 [2/2] RUN sleep 9\nERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF";
        assert!(failure(lost).0.starts_with("the Docker daemon at unix:///run/d.sock does not answer"));
    }
}
