//! Where images are, asked of a real daemon and a real registry. Without them a test is skipped, by its name.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use control::ports::{Found, Host};
use domain::{containers::ContainerSettings, protocol::Registry};
use libtest_mimic::Trial;

use crate::{
    bench::Bench,
    boxes::{daemon, docker, host, image_on, said},
    test,
};

pub fn trials() -> Vec<Trial> {
    let (daemon, nowhere) = (daemon(), "sha256:".to_owned() + &"0".repeat(64));
    let registry =
        std::process::Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status();
    let registry = registry.is_ok_and(|status| status.success());
    let away = nowhere.clone();
    vec![
        test("images_are_found_with_the_daemon_or_the_registry", found)
            .with_ignored_flag(!daemon || !registry),
        test("a_page_of_candidates_costs_one_question", move || one_question(nowhere.clone()))
            .with_ignored_flag(!daemon),
        test("an_image_is_not_called_gone_when_its_daemon_is_away", move || daemon_away(away.clone())),
    ]
}

fn here() -> ContainerSettings {
    ContainerSettings { host: host(), ..ContainerSettings::default() }
}

async fn found() {
    let Some(served) = testkit::docker::Registry::start("images_are_found_with_the_daemon_or_the_registry")
    else {
        return;
    };
    let login = |password: &str| Registry {
        address: format!("{}/acme", served.address),
        username: Some("ci".into()),
        password: Some(password.into()),
        refused: None,
        warning: None,
    };
    let right = login("right-password");
    let bench = Bench::new();
    let find = async |image: &str, registry: &Registry| {
        // Each time a host of its own: nothing is remembered.
        let host = Bench::new();
        host.host.artifacts(&[image.to_owned()], &here(), Some(registry)).await.remove(0)
    };
    let id = image_on(host().as_deref(), &format!("found-{}", served.address), &[]);
    assert_eq!(find(&id, &right).await, Found::There);

    let tag = format!("{}/acme/orders:1", served.address);
    said(&["tag", &id, &tag]);
    let with = runner::docker::Docker::of(&here()).logged_in(Some(&right)).unwrap();
    let push = with.docker.command(["push", "--quiet", &tag]);
    with.docker.finish("push", push, std::time::Duration::from_secs(60)).await.unwrap();
    let image = said(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &tag]);
    assert!(image.starts_with(&format!("{}/acme/orders@sha256:", served.address)), "{image}");
    assert_eq!(find(&image, &right).await, Found::There);

    said(&["image", "rm", &tag]);
    assert_eq!(find(&image, &right).await, Found::There, "the registry has it");
    let Found::Gone(why) = find(&id, &right).await else { panic!("it is nowhere") };
    assert!(why.contains("no registry has it: run its commit again"), "{why}");
    let other = format!("{}{}", &image[..image.len() - 4], "0000");
    let Found::Gone(why) = find(&other, &right).await else { panic!("nobody ever pushed it") };
    assert!(why.ends_with("and from the registry: run its commit again"), "{why}");

    let Found::Unknown(why) = find(&image, &login("wrong-password")).await else { panic!("not let in") };
    assert!(why.contains("SEAMLESS_REGISTRY_PASSWORD"), "{why}");
    let away = format!("127.0.0.1:1/acme/orders@{}", image.split_once('@').unwrap().1);
    let Found::Unknown(why) = find(&away, &right).await else { panic!("nobody is there") };
    assert!(why.contains("the registry does not answer"), "{why}");
    // A bundle beside them is looked for in the data folder.
    let bundle = bench.artifact("v0");
    let wanted = [bundle, "0".repeat(64), id];
    let all = bench.host.artifacts(&wanted, &here(), None).await;
    assert!(matches!(all[..], [Found::There, Found::Gone(_), Found::Gone(_)]), "{all:?}");
}

/// A way to the daemon that counts who goes it.
fn counted(folder: &std::path::Path) -> (String, Arc<AtomicUsize>) {
    let real = host().unwrap_or_else(|| "unix:///var/run/docker.sock".into());
    let real = real.strip_prefix("unix://").unwrap().to_owned();
    let path = folder.join("counted.sock");
    let (listener, count) = (tokio::net::UnixListener::bind(&path).unwrap(), Arc::new(AtomicUsize::new(0)));
    let counting = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::Relaxed);
            let mut daemon = tokio::net::UnixStream::connect(&real).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut daemon).await });
        }
    });
    (format!("unix://{}", path.display()), count)
}

async fn one_question(nowhere: String) {
    let bench = Bench::new();
    let (host, count) = counted(bench.folder.path());
    let once = docker(&["image", "ls"]).env("DOCKER_HOST", &host).stdout(Stdio::null()).status().unwrap();
    assert!(once.success());
    let one = count.swap(0, Ordering::Relaxed);
    let daemon = ContainerSettings { host: Some(host), ..ContainerSettings::default() };
    let wanted: Vec<String> = (0..50).map(|n| format!("{}{n:02}", &nowhere[..nowhere.len() - 2])).collect();
    let ask = || bench.host.artifacts(&wanted, &daemon, None);
    let (first, second) = tokio::join!(ask(), ask());
    assert!(first == second && first.len() == 50 && first.iter().all(|f| matches!(f, Found::Gone(_))));
    assert_eq!(count.load(Ordering::Relaxed), one, "one question for two pages of fifty candidates");
}

async fn daemon_away(nowhere: String) {
    let bench = Bench::new();
    let host = format!("unix://{}", bench.folder.path().join("nobody.sock").display());
    let daemon = ContainerSettings { host: Some(host.clone()), ..ContainerSettings::default() };
    let found = bench.host.artifacts(&[nowhere], &daemon, None).await;
    let [Found::NoDaemon(why)] = &found[..] else { panic!("{found:?}") };
    let program = docker(&["--version"]).stdout(Stdio::null()).status().is_ok();
    let told = if program {
        format!("the Docker daemon at {host} does not answer")
    } else {
        "program `docker`".into()
    };
    assert!(why.contains(&told), "{why}");
}
