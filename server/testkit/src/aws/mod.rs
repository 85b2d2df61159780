//! A stand-in for AWS on a free port: Step Functions, SQS, SNS and EventBridge as LocalStack has them, and ECS whose tasks are processes
//! of this machine. What it is made of, and what a test can make it do, is said in `fixtures/aws/stand_in.py`; what it cannot show in
//! `docs/aws.md`.
//!
//! ```ignore
//! let Some(aws) = Aws::find("the name of the test").await else { return };
//! // Tasks of this installation run the real runner. A server finds all of it by `aws.environment()` and `installation.settings`.
//! let program = Program { command: vec![SEAMLESS.into(), "runner".into(), "--task".into()], environment: vec![("SEAMLESS_DATA".into(), data)] };
//! let installation = aws.install("some-name", &program).await;
//! let execution = installation.start("01J…", &input).await;
//! ```
//!
//! It takes five seconds and 300 MB to start: one for a test binary, with an installation for each of its stories. By hand, with the
//! interpreter that the set-up notes as `SEAMLESS_TEST_AWS`: `python server/testkit/fixtures/aws/stand_in.py PORT FOLDER`.
//!
//! Where the set-up could not install it, a test says its own name and that it was skipped.

mod installation;

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{docker::skipped, free_port};

pub use installation::{Execution, Installation, Program};

/// The region everything is in.
pub const REGION: &str = "eu-central-1";
/// The account everything belongs to.
pub const ACCOUNT: &str = "000000000000";

/// The stand-in; it ends with its holder, with all tasks, and with the test's process however that ends.
#[derive(Debug)]
pub struct Aws {
    /// Where it answers.
    pub url: String,
    folder: TempDir,
    child: Child,
    client: reqwest::Client,
    _place: File,
}

/// So many at a time on one machine, whatever processes ask: more of them beside each other are so slow that limits pass which are none.
const PLACES: u32 = 2;

/// Waits for a place; it is given back when the file is closed, however that happens.
async fn place() -> File {
    loop {
        for number in 0..PLACES {
            let path = std::env::temp_dir().join(format!("seamless-test-aws-place-{number}"));
            let file = File::options().create(true).append(true).open(path).unwrap();
            if file.try_lock().is_ok() {
                return file;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Aws {
    /// Starts it, or it is not installed, and then the test that asks is skipped by its name.
    pub async fn find(test: &str) -> Option<Self> {
        let python = std::env::var("SEAMLESS_TEST_AWS").unwrap_or_default();
        if python.is_empty() {
            skipped(test, "no stand-in for AWS");
            return None;
        }
        let place = place().await;
        let folder = tempfile::Builder::new().prefix("seamless-test-aws-").tempdir().unwrap();
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/aws/stand_in.py"))
            .arg(port.to_string())
            .arg(folder.path())
            // It leaves nothing beside its sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // It reads this to its end, and ends then.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut aws = Self { url, folder, child, client: reqwest::Client::new(), _place: place };
        let begun = Instant::now();
        while aws.client.get(format!("{}/_localstack/health", aws.url)).send().await.is_err() {
            assert!(aws.child.try_wait().unwrap().is_none(), "it ended: {}", aws.log());
            assert!(begun.elapsed() < Duration::from_secs(120), "it does not answer: {}", aws.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(aws)
    }

    /// What a program's environment needs, so that it talks to this in AWS's place.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let values = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        values.map(|(name, value)| (name, value.to_owned())).into()
    }

    /// A cluster, a task definition, a queue, a topic, rules for events and a machine of one's own; tasks run `program`.
    pub async fn install(&self, name: &str, program: &Program) -> Installation<'_> {
        Installation::new(self, name, program).await
    }

    /// Makes a call fail, or a task: see `fixtures/aws/stand_in.py`. `containing` tells whose call, as by a cluster's name.
    pub async fn fault(&self, fault: &Value) {
        self.control(reqwest::Method::POST, "faults", fault).await;
    }

    /// Takes a task's host away, with a warning (`spot`) or without (`host`).
    pub async fn lose(&self, task: &str, how: &str) {
        let id = task.rsplit('/').next().unwrap_or(task);
        self.control(reqwest::Method::POST, &format!("tasks/{id}/{how}"), &Value::Null).await;
    }

    /// Where everything that anybody sent here is written, one JSON text a line: when, which operation, whether LocalStack asked itself,
    /// and the body.
    pub fn record(&self) -> PathBuf {
        self.folder.path().join("requests.jsonl")
    }

    /// What is written there.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.record()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What tasks printed, as CloudWatch would have it.
    pub fn task_logs(&self) -> String {
        let Ok(tasks) = fs::read_dir(self.folder.path().join("tasks")) else { return String::new() };
        let outputs = tasks.map(|task| fs::read(task.unwrap().path().join("output")).unwrap_or_default());
        outputs.map(|output| String::from_utf8_lossy(&output).into_owned()).collect()
    }

    /// One call of a service with a JSON protocol, by the name of its target, such as `AWSStepFunctions.StartExecution`. An error is what
    /// AWS calls it, with its message.
    ///
    /// # Errors
    /// What the service refuses.
    pub async fn call(&self, target: &str, body: &Value) -> Result<Value, (String, String)> {
        let (service, version) = match target.split('.').next().unwrap_or_default() {
            "AWSStepFunctions" => ("states", "1.0"),
            "AmazonSQS" => ("sqs", "1.0"),
            "AWSEvents" => ("events", "1.1"),
            _ => ("ecs", "1.1"),
        };
        let request = self.client.post(&self.url).header("x-amz-target", target);
        let request = request.header("authorization", credential(service));
        let request = request.header("content-type", format!("application/x-amz-json-{version}"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        let good = answer.status().is_success();
        let text = answer.text().await.unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if good {
            return Ok(value);
        }
        let said = |names: [&str; 2]| {
            names.iter().find_map(|name| value[*name].as_str()).unwrap_or(&text).to_owned()
        };
        Err((said(["__type", "code"]), said(["message", "Message"])))
    }

    /// The id of a subnet of the account's default network.
    pub async fn subnet(&self) -> String {
        let request = self.client.post(&self.url).header("authorization", credential("ec2"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body("Action=DescribeSubnets&Version=2016-11-15").send().await.unwrap();
        let text = answer.text().await.unwrap();
        let id = text.split("<subnetId>").nth(1).unwrap_or_else(|| panic!("no subnet: {text}"));
        id.split('<').next().unwrap_or_default().to_owned()
    }

    /// One call of SNS, whose protocol is forms and XML; the answer is its text.
    pub async fn sns(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        let form =
            [("Action", operation), ("Version", "2010-03-31")].into_iter().chain(fields.iter().copied());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(&self.url).header("authorization", credential("sns"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        let good = answer.status().is_success();
        let text = answer.text().await.unwrap();
        assert!(good, "{operation}: {text}");
        text
    }

    async fn control(&self, method: reqwest::Method, path: &str, body: &Value) {
        let request = self.client.request(method, format!("{}/_stand_in/{path}", self.url));
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Who asks, and in which region; nobody looks at the signature.
fn credential(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

impl Drop for Aws {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
