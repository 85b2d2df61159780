//! What one Seamless has in an account: made anew for each story, so that stories do not meet.

use std::path::Path;

use ::aws::asl::{CONTAINER, MachineSettings, Network, Patience, machine};
use serde_json::{Value, json};

use super::{ACCOUNT, Aws, REGION, credential};
use crate::until;

/// What tasks run in the place of their image.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables beside those of the task definition and the overrides.
    pub environment: Vec<(String, String)>,
}

impl Program {
    /// The runner of a stage. In which folder it has its files stands in the file `told`, since that is often known only later.
    pub fn stage(seamless: &str, told: &Path) -> Self {
        Self::script(&format!(
            "export SEAMLESS_DATA=\"$(cat {})\"; exec {seamless} runner --task",
            told.display()
        ))
    }

    /// A shell script.
    pub fn script(text: &str) -> Self {
        Self { command: ["/bin/sh", "-c", text].map(str::to_owned).into(), environment: Vec::new() }
    }
}

/// A cluster, a task definition, a queue, a topic, rules for events and a machine.
#[derive(Debug)]
pub struct Installation<'a> {
    aws: &'a Aws,
    /// What the machine was made of: starts are tried again twice, within seconds.
    pub settings: MachineSettings,
    /// The machine's ARN.
    pub machine: String,
}

/// An execution of the machine.
#[derive(Debug)]
pub struct Execution<'a> {
    installation: &'a Installation<'a>,
    /// Its ARN.
    pub arn: String,
}

impl<'a> Installation<'a> {
    pub(super) async fn new(aws: &'a Aws, name: &str, program: &Program) -> Self {
        let call = async |target: &str, body: Value| {
            aws.call(target, &body).await.unwrap_or_else(|error| panic!("{target}: {error:?}"))
        };
        let ecs = |operation: &str| format!("AmazonEC2ContainerServiceV20141113.{operation}");
        call(&ecs("CreateCluster"), json!({ "clusterName": name })).await;
        let container = json!({ "name": CONTAINER, "image": "seamless", "memory": 512, "stopTimeout": 2 });
        let definition =
            json!({ "family": name, "networkMode": "awsvpc", "containerDefinitions": [container] });
        call(&ecs("RegisterTaskDefinition"), definition).await;
        let environment: serde_json::Map<_, _> =
            program.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let program = json!({ "program": program.command, "environment": environment });
        aws.control(reqwest::Method::PUT, &format!("clusters/{name}"), &program).await;

        let queue = call("AmazonSQS.CreateQueue", json!({ "QueueName": name })).await;
        let queue_url = queue["QueueUrl"].as_str().unwrap().to_owned();
        let topic = [("Action", "CreateTopic"), ("Version", "2010-03-31"), ("Name", name)];
        let topic = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(topic).finish();
        let request = aws.client.post(&aws.url).header("authorization", credential("sns"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(topic);
        assert!(request.send().await.unwrap().status().is_success(), "a topic");

        let settings = MachineSettings {
            partition: "aws".into(),
            cluster: name.into(),
            task_definition: name.into(),
            capacity_provider: "seamless".into(),
            network: Network::Awsvpc {
                subnets: vec!["subnet-1".into()],
                security_groups: vec!["sg-1".into()],
            },
            task_roles: Default::default(),
            queue_url,
            topic_arn: format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}"),
            patience: Patience { first: 1, longest: 2, starts: 2 },
        };
        let definition = serde_json::to_string(&machine(&settings)).unwrap();
        let role = format!("arn:aws:iam::{ACCOUNT}:role/machine");
        let made = json!({ "name": name, "definition": definition, "roleArn": role });
        let made = call("AWSStepFunctions.CreateStateMachine", made).await;
        let machine = made["stateMachineArn"].as_str().unwrap().to_owned();

        let rules = [
            ("executions", json!({ "source": ["aws.states"], "detail": { "stateMachineArn": [machine] } })),
            (
                "tasks",
                json!({ "source": ["aws.ecs"], "detail": { "clusterArn": [{ "suffix": format!("/{name}") }] } }),
            ),
        ];
        for (what, pattern) in rules {
            let rule = format!("{name}-{what}");
            call("AWSEvents.PutRule", json!({ "Name": rule, "EventPattern": pattern.to_string() })).await;
            let target = json!({ "Id": "queue", "Arn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}") });
            call("AWSEvents.PutTargets", json!({ "Rule": rule, "Targets": [target] })).await;
        }
        Self { aws, settings, machine }
    }

    /// What a server's environment needs, so that its runs are driven here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.aws.environment();
        environment.extend([
            ("SEAMLESS_ENGINE", "step-functions".to_owned()),
            ("SEAMLESS_STATE_MACHINE", self.machine.clone()),
            ("SEAMLESS_QUEUE", self.settings.queue_url.clone()),
        ]);
        environment
    }

    /// Starts an execution of that name.
    pub async fn start(&self, name: &str, input: &Value) -> Execution<'_> {
        let body = json!({ "stateMachineArn": self.machine, "name": name, "input": input.to_string() });
        let started = self.aws.call("AWSStepFunctions.StartExecution", &body).await.unwrap();
        Execution { installation: self, arn: started["executionArn"].as_str().unwrap().to_owned() }
    }

    /// Takes what waits in the queue, at most ten, and deletes it; returns after a second when nothing comes.
    pub async fn received(&self) -> Vec<Value> {
        let queue = &self.settings.queue_url;
        let ask = json!({ "QueueUrl": queue, "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10 });
        let answer = self.aws.call("AmazonSQS.ReceiveMessage", &ask).await.unwrap();
        let mut bodies = Vec::new();
        for message in answer["Messages"].as_array().unwrap_or(&Vec::new()) {
            let delete = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
            self.aws.call("AmazonSQS.DeleteMessage", &delete).await.unwrap();
            bodies.push(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap());
        }
        bodies
    }
}

impl Execution<'_> {
    /// As DescribeExecution has it.
    pub async fn described(&self) -> Value {
        let body = json!({ "executionArn": self.arn });
        self.installation.aws.call("AWSStepFunctions.DescribeExecution", &body).await.unwrap()
    }

    /// Waits for its end; the answer is as DescribeExecution has it then.
    pub async fn ended(&self) -> Value {
        until("the end of an execution", async || {
            Some(self.described().await).filter(|told| told["status"] != "RUNNING")
        })
        .await
    }

    /// All of its history.
    pub async fn history(&self) -> Vec<Value> {
        let body = json!({ "executionArn": self.arn, "maxResults": 1000 });
        let history =
            self.installation.aws.call("AWSStepFunctions.GetExecutionHistory", &body).await.unwrap();
        history["events"].as_array().unwrap().clone()
    }

    /// The states it entered, in order, those of branches too.
    pub async fn states(&self) -> Vec<String> {
        let entered = self.history().await.into_iter();
        entered
            .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str().map(str::to_owned))
            .collect()
    }
}
