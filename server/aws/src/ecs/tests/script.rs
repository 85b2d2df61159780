//! **A stand-in for ECS and Secrets Manager**: it speaks their protocol (JSON 1.1, `X-Amz-Target`) over HTTP to the real SDK, and
//! keeps what it is told. How deployments go on is scripted by each test, by a clock that does not wait.
//!
//! What it leaves unproven: whether real ECS takes the requests as they are (it checks shapes only as far as the SDK's types
//! do), when and in which words its scheduler says things beyond the recorded sentences used here, IAM, real throttling limits,
//! and that signatures hold (it looks at the access key's name alone).

use std::{
    fmt::{self, Debug},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ecs::config::{Credentials, Region};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    account::{Account, AwsError, Identify, settings},
    clock::Clock,
};

pub const ACCOUNT: &str = "arn:aws:ecs:eu-central-1:123456789012";

/// Time that goes by only where somebody sleeps.
#[derive(Debug, Default)]
pub struct TestClock(Mutex<Duration>);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
        tokio::task::yield_now().await;
    }
}

/// How things go on: called before each answer, with the seconds since the last `UpdateService`.
pub type Play = Box<dyn FnMut(&mut World, u64) + Send>;
/// Answers instead of the world: an error's status, code and words.
pub type Refuse = Box<dyn FnMut(&str, &str, u64) -> Option<(u16, &'static str, String)> + Send>;

/// What the account has.
#[derive(Debug, Default)]
pub struct World {
    pub service: Value,
    pub definitions: Vec<Value>,
    pub tasks: Vec<Value>,
    pub machines: Vec<Value>,
    pub history: Vec<Value>,
    pub kept: Vec<(String, Value)>,
    /// Repositories of ECR: name, tags, lifecycle policy.
    pub repositories: Vec<(String, Value, Option<String>)>,
    pub images: Vec<Value>,
    pub created: Value,
    /// Clusters beside `main`, gone by the time somebody asks for their services.
    pub gone: Vec<&'static str>,
    /// Everything that was asked, in order.
    pub calls: Vec<(String, Value)>,
    pub updated_at: Option<Duration>,
    count: usize,
}

impl World {
    /// The deployment that ECS works towards.
    pub fn primary(&mut self) -> &mut Value {
        self.service["deployments"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .find(|d| d["status"] == "PRIMARY")
            .unwrap()
    }

    pub fn event(&mut self, message: &str) {
        self.count += 1;
        let events = self.service["events"].as_array_mut().unwrap();
        if !events.iter().any(|e| e["message"] == message) {
            events.insert(
                0,
                json!({ "id": format!("event-{}", self.count), "message": message, "createdAt": 1 }),
            );
        }
    }

    /// A task of the newest deployment that stopped.
    pub fn stopped(&mut self, code: &str, reason: &str, containers: Value) {
        let (by, number) = (self.primary()["id"].clone(), self.tasks.len());
        self.tasks.push(json!({
            "taskArn": format!("{ACCOUNT}:task/main/{number:032}"), "startedBy": by, "lastStatus": "STOPPED",
            "stopCode": code, "stoppedReason": reason, "containers": containers,
        }));
        let failed = self.primary()["failedTasks"].as_i64().unwrap_or(0);
        self.primary()["failedTasks"] = json!(failed + 1);
    }

    pub fn running(&mut self, running: i64) {
        let wanted = self.service["desiredCount"].as_i64().unwrap();
        self.primary()["runningCount"] = json!(running);
        self.primary()["pendingCount"] = json!(wanted - running);
    }

    /// The newest deployment has all its tasks, and nothing else has any.
    pub fn complete(&mut self) {
        let wanted = self.service["desiredCount"].as_i64().unwrap();
        self.running(wanted);
        self.primary()["rolloutState"] = json!("COMPLETED");
        self.service["deployments"].as_array_mut().unwrap().retain(|d| d["status"] == "PRIMARY");
    }

    /// The circuit breaker has had enough.
    pub fn give_up(&mut self) {
        let reason = "ECS deployment circuit breaker: tasks failed to start.";
        let id = self.primary()["id"].as_str().unwrap().to_owned();
        self.event(&format!("(service orders) (deployment {id}) deployment failed: tasks failed to start."));
        self.primary()["rolloutState"] = json!("FAILED");
        self.primary()["rolloutStateReason"] = json!(reason);
        let all = self.service["deployments"].as_array().unwrap();
        let Some(before) = all.iter().find(|d| d["rolloutState"] == "COMPLETED").cloned() else { return };
        let back = before["taskDefinition"].as_str().unwrap().to_owned();
        self.deploy(&back);
        let id = before["id"].as_str().unwrap();
        self.primary()["rolloutStateReason"] =
            json!(format!("ECS deployment circuit breaker: rolling back to deploymentId {id}."));
    }

    /// Somebody makes the service run a task definition.
    pub fn deploy(&mut self, definition: &str) {
        if self.primary()["taskDefinition"] == definition {
            return;
        }
        self.count += 1;
        self.primary()["status"] = json!("ACTIVE");
        let wanted = self.service["desiredCount"].clone();
        let new = json!({
            "id": format!("ecs-svc/{}", 100 + self.count), "status": "PRIMARY", "taskDefinition": definition,
            "desiredCount": wanted, "runningCount": 0, "pendingCount": wanted, "failedTasks": 0, "rolloutState": "IN_PROGRESS",
            "rolloutStateReason": "ECS deployment in progress.",
        });
        self.service["taskDefinition"] = json!(definition);
        self.service["deployments"].as_array_mut().unwrap().insert(0, new);
    }

    pub fn definition(&self, name: &str) -> Option<&Value> {
        let of = |d: &&Value| {
            let arn = d["taskDefinitionArn"].as_str().unwrap();
            arn == name || d["family"] == name || arn.ends_with(&format!("/{name}"))
        };
        self.definitions.iter().rev().find(of)
    }

    pub fn register(&mut self, mut definition: Value) -> String {
        let family = definition["family"].as_str().unwrap().to_owned();
        let revision = 1 + self.definitions.iter().filter(|d| d["family"] == *family).count();
        let arn = format!("{ACCOUNT}:task-definition/{family}:{revision}");
        definition["taskDefinitionArn"] = json!(arn);
        definition["revision"] = json!(revision);
        definition["status"] = json!("ACTIVE");
        // What only AWS writes.
        definition["requiresAttributes"] = json!([{ "name": "com.amazonaws.ecs.capability.ecr-auth" }]);
        definition["compatibilities"] = json!(["EC2", "FARGATE"]);
        definition["registeredAt"] = json!(1_700_000_000.0);
        definition["registeredBy"] = json!("arn:aws:iam::123456789012:role/seamless");
        self.definitions.push(definition);
        arn
    }

    /// How often something was asked.
    pub fn count_of(&self, action: &str) -> usize {
        self.calls.iter().filter(|(name, _)| name == action).count()
    }

    /// The last request of a kind.
    pub fn last(&self, action: &str) -> &Value {
        &self
            .calls
            .iter()
            .rev()
            .find(|(name, _)| name == action)
            .unwrap_or_else(|| panic!("{action} was not asked"))
            .1
    }

    fn answer(
        &mut self,
        action: &str,
        asked: &Value,
        now: Duration,
    ) -> Result<Value, (u16, &'static str, String)> {
        let missing = |what: &str| (400, "ClientException", format!("{what} is missing"));
        Ok(match action {
            "DescribeServices" => {
                if asked["cluster"].as_str().and_then(|name| name.rsplit('/').next()) != Some("main") {
                    return Err((400, "ClusterNotFoundException", "Cluster not found.".into()));
                }
                let wanted = asked["services"][0].as_str().and_then(|name| name.rsplit('/').next());
                let mut made = self.created.clone();
                made["status"] = json!("ACTIVE");
                let found = [&self.service, &made].into_iter().find(|s| s["serviceName"].as_str() == wanted);
                match found {
                    Some(service) => json!({ "services": [service], "failures": [] }),
                    None => json!({ "services": [], "failures": [{ "reason": "MISSING" }] }),
                }
            }
            "DescribeTaskDefinition" => {
                let name = asked["taskDefinition"].as_str().unwrap();
                let found = self.definition(name).ok_or_else(|| missing(name))?;
                let mut plain = found.clone();
                let tags = plain.as_object_mut().unwrap().remove("tags").unwrap_or(json!([]));
                json!({ "taskDefinition": plain, "tags": tags })
            }
            "ListTaskDefinitions" => {
                let arns =
                    self.definitions.iter().rev().map(|d| d["taskDefinitionArn"].clone()).collect::<Vec<_>>();
                json!({ "taskDefinitionArns": arns })
            }
            "RegisterTaskDefinition" => {
                let arn = self.register(asked.clone());
                json!({ "taskDefinition": self.definition(&arn) })
            }
            "UpdateService" => {
                let definition = asked["taskDefinition"].as_str().unwrap();
                self.definition(definition).ok_or_else(|| missing(definition))?;
                if let Some(count) = asked["desiredCount"].as_i64() {
                    self.service["desiredCount"] = json!(count);
                }
                self.service["deploymentConfiguration"] = asked["deploymentConfiguration"].clone();
                self.updated_at = Some(now);
                self.deploy(definition);
                json!({ "service": self.service })
            }
            "ListTasks" => {
                assert_eq!(asked["desiredStatus"], "STOPPED");
                json!({ "taskArns": self.tasks.iter().map(|t| t["taskArn"].clone()).collect::<Vec<_>>() })
            }
            "DescribeTasks" => {
                let asked = asked["tasks"].as_array().unwrap();
                json!({ "tasks": self.tasks.iter().filter(|t| asked.contains(&t["taskArn"])).collect::<Vec<_>>() })
            }
            "ListContainerInstances" => {
                json!({ "containerInstanceArns": self.machines.iter().map(|m| m["containerInstanceArn"].clone()).collect::<Vec<_>>() })
            }
            "DescribeContainerInstances" => json!({ "containerInstances": self.machines }),
            "ListServiceDeployments" => json!({ "serviceDeployments": self.history }),
            "DescribeServiceRevisions" => json!({ "serviceRevisions": self.history.iter().map(|h| json!({
                "serviceRevisionArn": h["targetServiceRevisionArn"], "taskDefinition": h["of"],
            })).collect::<Vec<_>>() }),
            "BatchGetImage" => {
                json!({ "images": [{ "imageManifest": "{}", "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json" }] })
            }
            "PutImage" => json!({ "image": {} }),
            "CreateRepository" => {
                let name = asked["repositoryName"].as_str().unwrap().to_owned();
                self.repositories.push((name, asked["tags"].clone(), None));
                json!({ "repository": {} })
            }
            "DescribeRepositories" | "ListTagsForResource" | "GetLifecyclePolicy" | "PutLifecyclePolicy" => {
                let name = [&asked["repositoryNames"][0], &asked["resourceArn"], &asked["repositoryName"]];
                let name = name.iter().find_map(|name| name.as_str()).unwrap();
                let name = name.rsplit_once(":repository/").map_or(name, |(_, name)| name);
                let there = self.repositories.iter_mut().find(|(known, ..)| known == name);
                let Some((_, tags, policy)) = there else {
                    return Err((400, "RepositoryNotFoundException", "it does not exist".into()));
                };
                match (action, policy) {
                    ("DescribeRepositories", _) => {
                        let arn = format!("arn:aws:ecr:eu-central-1:123456789012:repository/{name}");
                        json!({ "repositories": [{ "repositoryArn": arn }] })
                    }
                    ("ListTagsForResource", _) => json!({ "tags": tags }),
                    ("PutLifecyclePolicy", policy) => {
                        *policy = asked["lifecyclePolicyText"].as_str().map(Into::into);
                        json!({})
                    }
                    (_, Some(policy)) => json!({ "lifecyclePolicyText": policy }),
                    (_, None) => {
                        return Err((400, "LifecyclePolicyNotFoundException", "there is none".into()));
                    }
                }
            }
            "GetAuthorizationToken" => {
                json!({ "authorizationData": [{ "authorizationToken": "QVdTOmh1bnRlcjI=", "expiresAt": 1.0 }] })
            }
            "DescribeImages" if asked["filter"]["tagStatus"] == "TAGGED" => {
                json!({ "imageDetails": self.images })
            }
            "DescribeImages" if asked["imageIds"][0]["imageDigest"] == super::DIGEST => {
                json!({ "imageDetails": [{}] })
            }
            "DescribeImages" => return Err((400, "ImageNotFoundException", "it does not exist".into())),
            "ListClusters" => {
                let all = self.gone.iter().chain(&["main"]);
                json!({ "clusterArns": all.map(|name| format!("{ACCOUNT}:cluster/{name}")).collect::<Vec<_>>() })
            }
            "ListServices" if !asked["cluster"].as_str().is_some_and(|name| name.ends_with("/main")) => {
                return Err((400, "ClusterNotFoundException", "Cluster not found.".into()));
            }
            "ListServices" => json!({ "serviceArns": [format!("{ACCOUNT}:service/main/orders")] }),
            "CreateService" if self.created["serviceName"] == asked["serviceName"] => {
                let message = "Creation of service was not idempotent.".into();
                return Err((400, "InvalidParameterException", message));
            }
            "CreateService" => {
                self.created = asked.clone();
                json!({ "service": self.service })
            }
            "PutSecretValue" if !self.kept.iter().any(|(name, _)| asked["SecretId"] == **name) => {
                return Err((
                    400,
                    "ResourceNotFoundException",
                    "Secrets Manager can't find the specified secret.".into(),
                ));
            }
            "PutSecretValue" | "CreateSecret" => {
                let name = asked["SecretId"].as_str().or(asked["Name"].as_str()).unwrap().to_owned();
                self.kept.push((name.clone(), asked["SecretString"].clone()));
                json!({ "ARN": format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"), "Name": name })
            }
            other => return Err((400, "InvalidAction", format!("the stand-in does not know {other}"))),
        })
    }
}

struct Stage {
    world: World,
    play: Play,
    refuse: Refuse,
    clock: Arc<TestClock>,
}

/// The stand-in, served.
pub struct Script {
    stage: Arc<Mutex<Stage>>,
    pub clock: Arc<TestClock>,
    address: SocketAddr,
}

impl Script {
    pub async fn serve(world: World, play: impl FnMut(&mut World, u64) + Send + 'static) -> Self {
        let clock = Arc::new(TestClock::default());
        let stage =
            Stage { world, play: Box::new(play), refuse: Box::new(|_, _, _| None), clock: clock.clone() };
        let stage = Arc::new(Mutex::new(stage));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(stage.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { stage, clock, address }
    }

    /// Refuses some of what is asked: by action, access key and the seconds since the beginning.
    pub fn refuse(
        &self,
        refuse: impl FnMut(&str, &str, u64) -> Option<(u16, &'static str, String)> + Send + 'static,
    ) {
        self.stage.lock().unwrap().refuse = Box::new(refuse);
    }

    pub fn play(&self, play: impl FnMut(&mut World, u64) + Send + 'static) {
        let mut stage = self.stage.lock().unwrap();
        stage.play = Box::new(play);
        stage.world.updated_at = None;
    }

    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.stage.lock().unwrap().world)
    }

    /// An account whose credentials have this access key, by the seconds that have passed.
    pub fn account(&self, key: impl Fn(u64) -> &'static str + Send + Sync + 'static) -> Arc<Account> {
        let who = Who {
            endpoint: format!("http://{}", self.address),
            key: Box::new(key),
            clock: self.clock.clone(),
        };
        Arc::new(Account::new(Box::new(who), self.clock.clone()))
    }
}

struct Who {
    endpoint: String,
    key: Box<dyn Fn(u64) -> &'static str + Send + Sync>,
    clock: Arc<TestClock>,
}

impl Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Who").finish_non_exhaustive()
    }
}

#[async_trait]
impl Identify for Who {
    async fn identify(&self) -> Result<SdkConfig, AwsError> {
        let key = (self.key)(self.clock.now().as_secs());
        let credentials = Credentials::new(key, "a secret key of a test", None, None, "test");
        let settings = settings().region(Region::new("eu-central-1")).endpoint_url(&self.endpoint);
        Ok(settings.credentials_provider(credentials).load().await)
    }
}

async fn answer(State(stage): State<Arc<Mutex<Stage>>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let action = header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
    let key = header("authorization").split(['=', '/']).nth(1).unwrap_or_default().to_owned();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut stage = stage.lock().unwrap();
    let Stage { world, play, refuse, clock } = &mut *stage;
    let now = clock.now();
    let refused = refuse(&action, &key, now.as_secs());
    if let (Some(updated), None) = (world.updated_at, &refused) {
        play(world, (now - updated).as_secs());
    }
    world.calls.push((action.clone(), asked.clone()));
    let answer = refused.map_or_else(|| world.answer(&action, &asked, now), Err);
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err((status, code, message)) => (status, json!({ "__type": code, "message": message })),
    };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/x-amz-json-1.1")], body.to_string()).into_response()
}

impl Script {
    /// How many whole minutes have gone by.
    pub fn clock_minutes(&self) -> u64 {
        self.clock.now().as_secs() / 60
    }
}
