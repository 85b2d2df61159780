//! The stand-in for AWS with one installation, for measurements: `aws-stand-in SEAMLESS` says in one line of JSON what a server's environment needs
//! to have its runs driven there (`environment`), into which file its data folder's path must be written so that tasks find it (`told`), and where all
//! that is asked is recorded (`requests`). It ends with its input.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;
use testkit::aws::{Aws, Program};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() {
    let seamless = std::env::args().nth(1).unwrap();
    let Some(aws) = Aws::find("the measurement").await else { std::process::exit(1) };
    let told = tempfile::tempdir().unwrap();
    let file = told.path().join("data");
    let installation = aws.install("bench", &Program::stage(&seamless, &file)).await;
    let environment: BTreeMap<_, _> = installation.environment().into_iter().collect();
    println!("{}", json!({ "environment": environment, "told": file, "requests": aws.record() }));
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}
