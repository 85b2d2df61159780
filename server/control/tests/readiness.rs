//! The way back as the database and today's settings have it: what is said of every candidate before anybody tries, and what the
//! clean-up is told to leave alone. The real database; what lies outside answers from a script.

#![allow(clippy::unwrap_used)]

mod script;

use std::sync::Arc;

use async_trait::async_trait;
use control::{
    Actor, Control, Error, ImageRegistry, Ports, Setup,
    ports::{Found, Images, Keep, PortError, RegistryLogin, Tagged},
    seal::Sealer,
    store::{Store, services},
};
use domain::{
    DeploymentId, EnvironmentName, RunId, ServiceId,
    containers::{EcsService, TargetKind},
    service::{SecretVariable, ServiceSettings, Variable},
    view::Deployment,
};
use entity::deployment;
use script::Script;
use sea_orm::EntityTrait;
use secrecy::SecretString;

const KEY: &str = "correct horse battery staple";
/// A service whose containers run on two daemons, on a database of its own.
struct Story {
    _folder: tempfile::TempDir,
    store: Store,
    script: Arc<Script>,
    service: ServiceId,
    url: String,
}

fn image(number: u32) -> String {
    format!("sha256:{number:064x}")
}

fn settings() -> ServiceSettings {
    let mut settings = ServiceSettings::new("orders", "/srv/orders.git");
    for (environment, host) in [
        (EnvironmentName::Staging, None),
        (EnvironmentName::Production, Some("ssh://deploy@web-1".to_owned())),
    ] {
        let of = settings.environments.of_mut(environment);
        (of.target, of.container.host) = (Some(TargetKind::Docker), host);
    }
    let sealed = Sealer::new(&KEY.into()).seal("variable", "hunter2hunter2").unwrap();
    let secret = Variable::Secret(SecretVariable { value: Some(sealed), secret: true });
    settings.environments.production.variables.insert("TOKEN".into(), secret);
    settings
}

impl Story {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("seamless.db").display());
        let store = Store::open(&url).await.unwrap();
        let service = ServiceId::from_parts(1, 1);
        services::insert(store.write(), script::service(service, &settings())).await.unwrap();
        Self { _folder: folder, store, script: Arc::default(), service, url }
    }

    async fn control(&self, key: &str) -> Control {
        let key = SecretString::from(key.to_owned());
        let store = Store::open(&self.url).await.unwrap();
        Control::new(store, &key, script::ports(&self.script), Setup::default())
    }

    /// What ran: the newest has the greatest number and is live.
    async fn deployed(&self, environment: EnvironmentName, artifacts: &[String]) {
        for (number, artifact) in artifacts.iter().enumerate() {
            let id = DeploymentId::from_parts(number as u64 + 1, environment as u128 + 1);
            let row = deployment::Model {
                id: id.to_string(),
                service_id: self.service.to_string(),
                environment: environment.to_string(),
                artifact: artifact.clone(),
                artifact_size: 1,
                commit_sha: format!("{number:040x}"),
                commit_message: String::new(),
                commit_author: String::new(),
                launch: r#"{"target": "docker", "start": "", "health_path": null, "health_timeout_s": 60, "context": null}"#.into(),
                config_hash: String::new(),
                run_id: RunId::from_parts(1, 1).to_string(),
                run_number: 1,
                built_by: 1,
                rollback: false,
                live: number + 1 == artifacts.len(),
                since: 1,
                until: None,
            };
            let row = deployment::ActiveModel::from(row);
            deployment::Entity::insert(row).exec_without_returning(self.store.write()).await.unwrap();
        }
    }

    async fn change(&self, change: impl FnOnce(&mut ServiceSettings)) {
        let mut row = services::get(self.store.read(), self.service).await.unwrap();
        let mut settings = settings();
        change(&mut settings);
        row.settings = serde_json::to_string(&settings).unwrap();
        services::update(self.store.write(), row).await.unwrap();
    }
}

async fn listed(control: &Control, service: ServiceId) -> Vec<Deployment> {
    control.deployments(service, None, None, 50).await.unwrap().items
}

/// Why one cannot go back to each, oldest first.
fn whys(mut listed: Vec<Deployment>, environment: EnvironmentName) -> Vec<Option<String>> {
    listed.retain(|d| d.environment == environment);
    assert!(listed.iter().all(|d| d.can_roll_back == d.why_not.is_none()));
    listed.into_iter().rev().map(|d| d.why_not).collect()
}

#[tokio::test]
async fn every_candidate_says_whether_one_can_go_back_to_it() {
    let story = Story::new().await;
    let control = story.control(KEY).await;
    let all: Vec<String> = (0..6).map(image).collect();
    story.deployed(EnvironmentName::Production, &all).await;
    story.deployed(EnvironmentName::Staging, &all[3..]).await;
    story.script.found.lock().unwrap().extend([
        (image(1), Found::Gone("it is gone: run its commit again".into())),
        (image(2), Found::Unknown("the registry sleeps".into())),
        (image(3), Found::NoDaemon("nobody is at web-1: start it".into())),
    ]);
    let found = listed(&control, story.service).await;
    let doubts: Vec<_> =
        found.iter().filter_map(|d| Some((d.artifact.digest.clone(), d.doubt.clone()?))).collect();
    assert_eq!(doubts, [(image(2), "the registry sleeps".to_owned())]);
    assert_eq!(
        whys(found, EnvironmentName::Production),
        [
            None,
            Some("it is gone: run its commit again".into()),
            None,
            Some("nobody is at web-1: start it".into()),
            None,
            Some("it is what runs now".into())
        ]
    );
    // Each environment's own daemon is asked, once for all, and not about what is live.
    let asked = std::mem::take(&mut *story.script.asked.lock().unwrap());
    let production = (all[..5].iter().rev().cloned().collect(), Some("ssh://deploy@web-1".to_owned()));
    assert_eq!(asked, [(vec![image(4), image(3)], None), production]);

    let back = async |number: u64| {
        let to = DeploymentId::from_parts(number + 1, EnvironmentName::Production as u128 + 1);
        control.rollback(&Actor::named("ann"), story.service, EnvironmentName::Production, to).await
    };
    let Err(Error::Conflict(why)) = back(3).await else { panic!("nobody is there to run it") };
    assert_eq!(why, "cannot roll back to 0000000: nobody is at web-1: start it");
    assert!(matches!(back(1).await, Err(Error::Conflict(_))));
    assert!(services::get(story.store.read(), story.service).await.unwrap().hold_since.is_none());
    // A doubt is no reason against it.
    assert_eq!(back(2).await.unwrap().artifact.unwrap().digest, image(2));
}

#[tokio::test]
async fn a_configuration_that_does_not_resolve_is_told_beforehand() {
    let story = Story::new().await;
    let bundle = "ab".repeat(32);
    let artifacts = [image(0), bundle.clone(), image(1)];
    for environment in EnvironmentName::ALL {
        story.deployed(environment, &artifacts).await;
    }
    // The target takes another kind of artifact now.
    let control = story.control(KEY).await;
    let now = Some("it is what runs now".to_owned());
    let [none, Some(why), live] =
        &whys(listed(&control, story.service).await, EnvironmentName::Production)[..]
    else {
        panic!("a bundle is no image")
    };
    assert!(
        none.is_none() && *live == now && why.contains("set its target back to `process` first"),
        "{why}"
    );
    story
        .change(|settings| {
            for environment in EnvironmentName::ALL {
                settings.environments.of_mut(environment).target = Some(TargetKind::Process);
            }
        })
        .await;
    let [Some(why), None, _] = &whys(listed(&control, story.service).await, EnvironmentName::Staging)[..]
    else {
        panic!("an image is no bundle")
    };
    assert!(why.contains("set its target back to `docker` first"), "{why}");

    // With another key production's secret stays shut; staging has none.
    story.change(|_| {}).await;
    let control = story.control("another key of enough length").await;
    let found = listed(&control, story.service).await;
    assert_eq!(whys(found.clone(), EnvironmentName::Staging)[0], None);
    let why = whys(found, EnvironmentName::Production)[0].clone().unwrap();
    assert!(why.contains("its variables cannot be opened: SEAMLESS_SECRET_KEY"), "{why}");
}

#[tokio::test]
async fn the_clean_up_is_told_what_is_needed() {
    let story = Story::new().await;
    let control = story.control(KEY).await;
    let all: Vec<String> = (0..9).map(image).collect();
    story.deployed(EnvironmentName::Production, &all).await;
    // Staging is elsewhere: each environment keeps its own last five.
    let staging: Vec<String> = (20..22).map(image).collect();
    story.deployed(EnvironmentName::Staging, &staging).await;
    control.clean().await.unwrap();
    // One that is older is needed as soon as a run goes back to it.
    let to = DeploymentId::from_parts(2, EnvironmentName::Production as u128 + 1);
    let run =
        control.rollback(&Actor::named("ann"), story.service, EnvironmentName::Production, to).await.unwrap();
    control.clean().await.unwrap();
    let kept = story.script.kept.lock().unwrap().clone();
    let hosts = |keep: &Keep| keep.daemons.iter().map(|d| d.host.clone()).collect::<Vec<_>>();
    let [mut before, mut after] = <[Keep; 2]>::try_from(kept).unwrap();
    for keep in [&mut before, &mut after] {
        keep.artifacts.sort();
        assert_eq!(hosts(keep), [None, Some("ssh://deploy@web-1".into())]);
    }
    let good: Vec<String> = (4..9).chain(20..22).map(image).collect();
    assert_eq!((before.artifacts, before.runs), (good.clone(), vec![]));
    assert_eq!(after.artifacts, [vec![image(1)], good].concat());
    assert_eq!(after.runs, [run.id]);
}

/// A registry in which everything is that was deployed there.
struct Registry(Vec<Tagged>);

#[async_trait]
impl Images for Registry {
    async fn login(&self, _: &str, _: bool) -> Result<RegistryLogin, PortError> {
        Err(PortError::new("nobody logs in here"))
    }
    async fn found(&self, wanted: &[String]) -> Vec<Found> {
        vec![Found::There; wanted.len()]
    }
    async fn deployed(&self, service: &str) -> Result<Vec<Tagged>, PortError> {
        assert_eq!(service, "orders");
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn what_outlived_its_record_can_be_gone_back_to_by_its_tag() {
    let story = Story::new().await;
    let tagged = |number: u64, commit: Option<&str>| Tagged {
        digest: image(number as u32),
        deployment: DeploymentId::from_parts(number, 7),
        environment: EnvironmentName::Production,
        commit: commit.map(|digit| digit.repeat(40)),
        size: 9,
    };
    // The newest is in the records too, one says not of which commit it is, and one was deployed twice.
    let again = Tagged { deployment: DeploymentId::from_parts(4, 7), ..tagged(2, Some("b")) };
    let all = vec![tagged(1, Some("a")), tagged(2, Some("b")), tagged(3, None), again, tagged(9, Some("c"))];
    story
        .deployed(EnvironmentName::Production, &[format!("registry.example.org/shop/orders@{}", image(9))])
        .await;
    let control = |to_ecs: bool| {
        let ports = Ports { images: Some(Arc::new(Registry(all.clone()))), ..script::ports(&story.script) };
        let registry = ImageRegistry { address: "registry.example.org/shop".into(), login: None };
        let setup = Setup { registry: Some(registry), ..Setup::default() };
        let target = if to_ecs { TargetKind::Ecs } else { TargetKind::Docker };
        (Control::new(story.store.clone(), &SecretString::from(KEY), ports, setup), target)
    };
    let ids = async |to_ecs: bool| {
        let (control, target) = control(to_ecs);
        let place = EcsService { cluster: "main".into(), service: "orders".into(), container: None };
        story
            .change(|settings| {
                for environment in EnvironmentName::ALL {
                    let of = settings.environments.of_mut(environment);
                    (of.target, of.ecs) = (Some(target), Some(place.clone()));
                }
            })
            .await;
        let kept = control.kept(story.service).await.unwrap();
        kept.iter().map(|k| (k.deployment, k.commit.clone(), k.at.0, k.why_not.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(false).await, [], "nothing of it is on ECS");
    let known = [(4, "b"), (1, "a")]
        .map(|(number, digit)| (DeploymentId::from_parts(number, 7), digit.repeat(40), number as i64, None));
    assert_eq!(ids(true).await, known);

    let (control, _) = control(true);
    let back = async |number: u64| {
        let to = DeploymentId::from_parts(number, 7);
        control.rollback(&Actor::named("ann"), story.service, EnvironmentName::Production, to).await
    };
    assert!(matches!(back(3).await, Err(Error::NotFound { .. })), "nobody knows its commit");
    let run = back(1).await.unwrap();
    assert_eq!(run.commit.sha, "a".repeat(40));
    assert_eq!(run.artifact.unwrap().digest, format!("registry.example.org/shop/orders@{}", image(1)));
    assert_eq!(run.plan.launch.unwrap().target, TargetKind::Ecs);
    let held = services::get(story.store.read(), story.service).await.unwrap().hold_reason;
    assert_eq!(held.as_deref(), Some("rolled back to aaaaaaa"));
}
