//! The clean-up with a real daemon, and with one of the test's own that goes away: what is needed stays, what nobody needs goes.
//! Without them a test is skipped, by its name.

use std::{fs, process::Command, time::Duration};

use control::ports::{Host, Keep};
use libtest_mimic::Trial;
use local::{
    ThisHost,
    clean::{Limit, Limits},
    docker::{Daemon, known, network},
};
use runner::docker::labels;
use testkit::OwnDaemon;

use crate::{
    bench::Bench,
    boxes::{
        Images, all, all_on, container, daemon, docker, host, image_on, image_with, live, of_image, said,
        said_on,
    },
    test,
};

pub fn trials() -> Vec<Trial> {
    let all = vec![
        test("images_that_nobody_needs_go_and_no_others", images),
        test("keepers_that_need_the_network_at_once_make_one", one_network),
        test("kept_containers_go_by_age_and_strays_at_once", containers),
    ];
    let daemon = daemon();
    let mut all: Vec<Trial> = all.into_iter().map(|trial| trial.with_ignored_flag(!daemon)).collect();
    let own = vec![
        test("a_service_deleted_while_its_daemon_is_away_leaves_nothing_for_ever", deleted),
        test("build_caches_that_nobody_used_for_long_go", caches),
    ];
    let can = OwnDaemon::possible();
    all.extend(own.into_iter().map(|trial| trial.with_ignored_flag(!can)));
    all.push(test("a_clean_up_without_a_daemon_is_none", nobody));
    all
}

/// Limits under which everything goes that may go, but for the build caches that a daemon has for others.
fn none() -> Limits {
    let nothing = Limit { age: Duration::ZERO, bytes: 0 };
    Limits { images: nothing, kept: Duration::ZERO, untouchable: Duration::ZERO, ..Limits::default() }
}

fn on(bench: &Bench, limits: Limits) -> ThisHost {
    let own = Daemon { host: host(), certificates: None };
    bench.host.clone().with_daemon(own).with_limits(limits)
}

fn there(image: &str) -> bool {
    let mut asked = docker(&["image", "inspect", image]);
    asked.output().unwrap().status.success()
}

async fn images() {
    let bench = Bench::new();
    let instance = labels::instance(bench.folder.path());
    let mut number = 0;
    let mut image = |instance: &str| {
        number += 1;
        let label = format!("LABEL {}={instance}", labels::INSTANCE);
        image_with(host().as_deref(), &format!("{instance}-{number}"), &["EXPOSE 8080".into(), label])
    };
    let (live, kept, held, old, tagged) =
        (image(&instance), image(&instance), image(&instance), image(&instance), image(&instance));
    let foreign = image("another");
    let name = format!("seamless-tidy-{}/orders", bench.port);
    for (tag, id) in [("a", &tagged), ("b", &tagged), ("live", &live), ("held", &held)] {
        said(&["tag", id, &format!("{name}:{tag}")]);
    }
    bench.deploy(&of_image(&bench, "v0", live.clone())).await.unwrap();
    // Somebody's own container of it, stopped.
    let holder = said(&["create", &held]);
    let keep = Keep { artifacts: vec![kept.clone()], ..Keep::default() };

    // Nothing that was made just now goes, however little is to be kept.
    on(&bench, Limits { untouchable: Duration::from_secs(3600), ..none() }).clean(&keep).await.unwrap();
    on(&bench, Limits::default()).clean(&keep).await.unwrap();
    for image in [&live, &kept, &held, &old, &tagged, &foreign] {
        assert!(there(image), "{image}");
    }
    // By size: the newest stay while they fit.
    let everything = Limit { age: Duration::from_secs(3600), bytes: u64::MAX };
    on(&bench, Limits { images: everything, ..none() }).clean(&keep).await.unwrap();
    assert!(there(&old) && there(&tagged));
    for _ in 0..2 {
        on(&bench, none()).clean(&keep).await.unwrap();
        assert!(there(&live) && there(&kept) && there(&held) && there(&foreign));
        assert!(!there(&old) && !there(&tagged));
    }
    assert_eq!(bench.get("/").await.0, 200);
    said(&["rm", &holder]);
    bench.host.retire("orders").await.unwrap();
    // What was live is kept by the list alone now, and it is not on it.
    on(&bench, none()).clean(&keep).await.unwrap();
    assert!(there(&kept) && !there(&live) && !there(&held));
    on(&bench, none()).clean(&Keep::default()).await.unwrap();
    assert!(!there(&kept) && there(&foreign));
    said(&["image", "rm", &foreign]);
}

async fn containers() {
    let (mut images, bench) = (Images::new(), Bench::new());
    for version in ["v0", "v1", "v2"] {
        bench.deploy(&images.work(&bench, version)).await.unwrap();
    }
    let (serving, instance) = (live(&bench), labels::instance(bench.folder.path()));
    let image = said(&["inspect", "--format", "{{.Image}}", &serving]);
    let create = |instance: &str, service: &str, environment: &str| {
        let mut arguments = vec!["create".to_owned()];
        for (name, value) in [
            (labels::INSTANCE, instance),
            (labels::SERVICE, service),
            (labels::ENVIRONMENT, environment),
            (labels::DEPLOYMENT, "x"),
        ] {
            arguments.extend(["--label".into(), format!("{name}={value}")]);
        }
        arguments.push(image.clone());
        said(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Of a service that is gone, of one whose keeper does not know it, and of another server's.
    create(&instance, "gone", "production");
    create(&instance, "orders", "production");
    let foreign = create("another", "gone", "production");
    let young = Limits { kept: Duration::from_secs(3600), ..none() };
    on(&bench, young).clean(&Keep::default()).await.unwrap();
    let states: Vec<String> = all(&bench).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["running", "exited", "exited"]);
    assert_eq!(said(&["inspect", "--format", "{{.State.Status}}", &foreign]), "created");
    said(&["rm", &foreign]);

    for _ in 0..2 {
        on(&bench, none()).clean(&Keep::default()).await.unwrap();
        assert_eq!(all(&bench), [(serving.clone(), "running".to_owned())]);
        assert_eq!(bench.place().load().unwrap().kept, []);
    }
    // The way back is open still: a new container of the same image.
    bench.deploy(&images.work(&bench, "v1")).await.unwrap();
    assert_eq!(bench.get("/").await, (200, "v1".into()));
}

async fn nobody() {
    let bench = Bench::new();
    let own = Daemon {
        host: Some(format!("unix://{}", bench.folder.path().join("nobody.sock").display())),
        certificates: None,
    };
    let host = bench.host.clone().with_daemon(own).with_limits(none());
    for _ in 0..2 {
        host.clean(&Keep::default()).await.unwrap();
        host.ensure().await.unwrap();
    }
    assert!(!bench.folder.path().join("daemons.json").exists());
}

async fn deleted() {
    for look in ["ensure", "clean"] {
        let mut daemon = OwnDaemon::start().await;
        let host = daemon.host();
        let bench = Bench::new();
        let mut work = of_image(&bench, "v0", image_on(Some(&host), "v0", &[8080]));
        container(&mut work).settings.host = Some(host.clone());
        bench.deploy(&work).await.unwrap();
        assert_eq!(all_on(&bench, Some(&host)).len(), 1);
        daemon.kill9();
        bench.host.retire("orders").await.unwrap();
        assert!(!bench.place().folder().exists());
        assert_eq!(known::all(bench.folder.path()).iter().map(|k| k.owes).collect::<Vec<_>>(), [true]);
        bench.host.ensure().await.unwrap(); // in vain

        daemon.restart().await;
        assert_eq!(all_on(&bench, Some(&host)).len(), 1, "it is there again");
        // As a server does that was started anew.
        let anew = ThisHost::new(bench.keepers());
        match look {
            "ensure" => anew.ensure().await.unwrap(),
            _ => anew.clean(&Keep::default()).await.unwrap(),
        }
        assert_eq!(all_on(&bench, Some(&host)), []);
        let name = network::name(bench.folder.path());
        assert_eq!(
            said_on(Some(&host), &["network", "ls", "--quiet", "--filter", &format!("name={name}")]),
            ""
        );
        assert!(known::all(bench.folder.path()).iter().all(|known| !known.owes));
        // With nothing there any more the daemon is forgotten.
        anew.clean(&Keep::default()).await.unwrap();
        assert_eq!(known::all(bench.folder.path()), []);
    }
}

async fn caches() {
    let daemon = OwnDaemon::start().await;
    let (host, bench) = (daemon.host(), Bench::new());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big"), vec![7; 1 << 20]).unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY big /\n").unwrap();
    let built = Command::new("docker")
        .env("DOCKER_HOST", &host)
        .env("DOCKER_BUILDKIT", "1")
        .args(["build", "--quiet", &folder.path().display().to_string()])
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let image = String::from_utf8(built.stdout).unwrap().trim().to_owned();
    said_on(Some(&host), &["image", "rm", &image]);
    let cached = || said_on(Some(&host), &["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]);
    assert!(!cached().contains("Build Cache 0"), "{}", cached());

    let clean = async |limit: Limit| {
        let own = Daemon { host: Some(host.clone()), certificates: None };
        let limits = Limits { build_cache: limit, images: Limits::default().images, ..none() };
        let here = bench.host.clone().with_daemon(own).with_limits(limits);
        here.clean(&Keep::default()).await.unwrap();
    };
    let nothing = Limit { age: Duration::ZERO, bytes: 0 };
    // A server that builds nothing there leaves the caches to whoever does.
    clean(nothing).await;
    assert!(!cached().contains("Build Cache 0"), "{}", cached());
    let label = format!("LABEL {}={}", labels::INSTANCE, labels::instance(bench.folder.path()));
    image_with(Some(&host), "v0", &[label]);
    clean(Limits::default().build_cache).await;
    assert!(!cached().contains("Build Cache 0"), "{}", cached());
    clean(nothing).await;
    assert!(cached().contains("Build Cache 0"), "{}", cached());
}

async fn one_network() {
    let bench = Bench::new();
    let daemon = Daemon { host: host(), certificates: None };
    let name = network::name(bench.folder.path());
    let there = || said(&["network", "ls", "--quiet", "--no-trunc", "--filter", &format!("name=^{name}$")]);
    let ensure = || network::ensure(&daemon, bench.folder.path());
    for made in futures::future::join_all((0..12).map(|_| ensure())).await {
        made.unwrap();
    }
    assert_eq!(there().lines().count(), 1);
    // What an earlier release may have left behind.
    let before = there();
    said(&["network", "rm", &before]);
    let create: Vec<_> = (0..8).map(|_| docker(&["network", "create", &name]).spawn().unwrap()).collect();
    for mut one in create {
        one.wait().unwrap();
    }
    ensure().await.unwrap();
    assert_eq!(there().lines().count(), 1);
    said(&["network", "rm", &name]);
}
