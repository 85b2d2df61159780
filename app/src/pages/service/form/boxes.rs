//! What the form asks about containers: the target, the image, its limits and daemons, toolchains, tests by Compose.
//!
//! Refuses to be in the way: what a service does not use is folded or out of sight, but never when something is wrong with it.

use domain::{
    cloud::{CloudAccount, CloudContainer, CloudService},
    containers::{RestartPolicy, TargetKind, short_digest},
    stage::EnvironmentName,
    view::{Containers, Daemon},
};
use leptos::{prelude::*, server_fn::ServerFn};

use super::ask::{Ask, pairs, posted, tick};
use crate::{
    api::BeginCloudService,
    components::{Choice, Icon, Pick, Select},
    form::{ContainersForm, PlaceForm},
};

/// How the service runs; first in its fieldset, because everything else depends on it.
pub fn target(c: &ContainersForm, ask: &Ask, here: &Containers) -> AnyView {
    let path = "environments.production.target";
    let proposed = match ask.reason(path, "") {
        why if why.is_empty() => why,
        why => format!(". {why}"),
    };
    const ENDS: &str =
        "not possible here, where each stage is a task that ends and takes with it what it started";
    let docker = match &here.daemon {
        _ if here.ecs_alone => format!("An image from its Dockerfile; {ENDS}"),
        Daemon::Answers { version, host } => {
            format!("An image from its Dockerfile, in Docker {version} at {host}{proposed}")
        }
        Daemon::Away(why) => format!("An image from its Dockerfile; not possible just now: {why}"),
        Daemon::Elsewhere => "Not where stages run on AWS: choose Amazon ECS".to_owned(),
    };
    let ecs = match &here.cloud {
        Ok(_) => "An image from its Dockerfile, in a service of ECS that is picked below".to_owned(),
        Err(why) => {
            format!("An image from its Dockerfile, in a service of ECS; not possible just now: {why}")
        }
    };
    let process = match here.ecs_alone {
        true => format!("What its build leaves, started by its start command; {ENDS}"),
        false => "What its build leaves, supervised here, started by its start command".to_owned(),
    };
    let options = vec![
        (TargetKind::Process.as_str(), "As processes of this machine", process),
        (TargetKind::Docker.as_str(), "In containers", docker),
        (TargetKind::Ecs.as_str(), "On Amazon ECS", ecs),
    ];
    let (name, value, wrong) = (posted("containers.target"), c.target.clone(), ask.wrong.clone());
    view! { <Choice label="How it runs" name path value options wrong/> }.into_any()
}

/// Everything about its image and containers. Shown when containers are chosen above, or when something in it is wrong.
pub fn image(c: &ContainersForm, ask: &Ask, here: &Containers) -> AnyView {
    let wrong = ask.any_wrong(&[
        "dockerfile",
        "container_port",
        "build",
        "integration",
        "environments.staging.container",
        "environments.production.container",
    ]);
    let goes = match &here.registry {
        Some(address) => format!("Images go to {address} and are known by their digest from then on."),
        None => "Images stay with the daemon that builds them; SEAMLESS_REGISTRY names a registry for them."
            .into(),
    };
    let build = [
        ask.line("Dockerfile", "containers.dockerfile", &c.dockerfile)
            .at("dockerfile")
            .code()
            .empty("Dockerfile")
            .hint("Its path in the repository; the folder above is the context"),
        ask.line("Port inside", "containers.port", &c.port)
            .at("container_port")
            .code()
            .empty("what the image exposes, else 8080")
            .hint("Where the service listens in its container; told to it in PORT"),
        ask.lines("Build arguments", "containers.arguments", &c.arguments)
            .at("build.arguments")
            .rows(2)
            .empty("NODE_ENV=production")
            .hint("NAME=value lines; they stay readable in the image"),
        ask.lines("Build secrets", "containers.secrets", &c.secrets)
            .at("build.secrets")
            .rows(2)
            .empty("NPM_TOKEN")
            .hint("Names of secrets below, for RUN --mount=type=secret,id=NAME; they stay in no layer"),
    ];
    let places = [
        (EnvironmentName::Staging, "Staging", &c.staging),
        (EnvironmentName::Production, "Production", &c.production),
    ]
    .map(|(environment, title, of)| place(environment, title, of, ask))
    .into_iter()
    .collect_view();
    let picked = [
        (EnvironmentName::Staging, "Staging on ECS", &c.staging),
        (EnvironmentName::Production, "Production on ECS", &c.production),
    ];
    let cloud = picked.map(|(environment, title, of)| cloud(environment, title, of, ask, here));
    let lost = ask.any_wrong(&["environments.staging.ecs", "environments.production.ecs"]);
    view! {
        <fieldset class="card panel clouded" class:told=lost>
            <legend>"Its services on ECS"</legend>
            <p class="sub">"The live task definition goes on as it is, with another image and these variables in one container."</p>
            {cloud.into_iter().collect_view()}
        </fieldset>
        <fieldset class="card panel contained" class:told=wrong>
            <legend>"Its containers"</legend>
            <p class="sub">{goes}</p>
            {pairs(build)}
            {places}
            {compose(c, ask)}
        </fieldset>
    }
    .into_any()
}

/// The service on ECS that an environment is: picked from those there are, typed where AWS cannot be asked.
fn cloud(
    environment: EnvironmentName,
    title: &'static str,
    of: &PlaceForm,
    ask: &Ask,
    here: &Containers,
) -> AnyView {
    let (name, at) = (format!("containers.{environment}.ecs"), format!("environments.{environment}.ecs"));
    let known = here.cloud.iter().flat_map(|all| &all.services);
    let known = known.map(|one| (format!("{}/{}", one.cluster, one.service), runs(one)));
    let service = match not_listed(&here.cloud) {
        None => {
            let mut options = vec![(String::new(), "none".to_owned())];
            options.extend(known);
            if !options.iter().any(|(value, _)| *value == of.ecs) {
                options.push((of.ecs.clone(), format!("{} (not in this account and region)", of.ecs)));
            }
            view! {
                <Pick label="Service" name=posted(&name) path=at.clone() value=of.ecs.clone() options
                    hint="With what it runs now" wrong=ask.wrong.clone()/>
            }
            .into_any()
        }
        Some(why) => ask
            .line("Service", name.clone(), &of.ecs)
            .at(at.clone())
            .code()
            .empty("cluster/service")
            .known(known.collect())
            .hint(format!("Typed, because {why}"))
            .show(),
    };
    // With what was typed: it comes back from there.
    let new = here.cloud.is_ok().then(|| view! {
        <p class="row"><button class="btn" formaction=BeginCloudService::PATH name="environment" value=environment.as_str() formnovalidate><Icon name="plus"/>"One that is not there yet"<span class="vh">", for "{title}</span></button></p>
    });
    let container = ask
        .line("Container", format!("{name}_container"), &of.ecs_container)
        .at(format!("{at}.container"))
        .code()
        .empty("its own")
        .hint("Where its tasks have several");
    view! {
        <section class="part" role="group" aria-label=title>
            <h2>{title}</h2>
            <div class="fields two">{service}{container.show()}</div>
            {new}
        </section>
    }
    .into_any()
}

/// Why what there is to pick from is not the whole, if it is not.
fn not_listed(cloud: &Result<CloudAccount, String>) -> Option<String> {
    let all = match cloud {
        Ok(all) => all,
        Err(why) => return Some(format!("AWS cannot be asked: {why}")),
    };
    let first = all.unlisted.first()?;
    let more = match all.unlisted.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!("the cluster {}{more} cannot be listed: {}", first.cluster, first.reason))
}

/// What a service of a cloud runs, in a line.
fn runs(one: &CloudService) -> String {
    let images = one.containers.iter().map(|CloudContainer { name, image }| {
        let image = image.rsplit('/').next().unwrap_or(image);
        let image = image
            .split_once('@')
            .map_or(image.to_owned(), |(of, digest)| format!("{of} {}", short_digest(digest)));
        format!("{name} {image}")
    });
    let images: Vec<_> = images.collect();
    let images = if images.is_empty() { String::new() } else { format!(": {}", images.join(", ")) };
    format!("{} in {}{images} ({} of {} tasks run)", one.service, one.cluster, one.running, one.desired)
}

/// Limits, restarts and the daemon of one environment.
fn place(environment: EnvironmentName, title: &'static str, of: &PlaceForm, ask: &Ask) -> AnyView {
    let name = |field: &str| format!("containers.{environment}.{field}");
    let at = |field: &str| format!("environments.{environment}.container.{field}");
    let limits = limits(ask, &name, &at, &of.memory, &of.cores);
    let daemon = [
        ask.line("Daemon", name("host"), &of.host)
            .at(at("host"))
            .code()
            .empty("the server's own")
            .hint("unix:///path, tcp://host:2376 with certificates, or ssh://user@host"),
        ask.line("Certificates", name("certificates"), &of.certificates)
            .at(at("certificates"))
            .code()
            .empty("none")
            .hint("Folder on the server with ca.pem, cert.pem and key.pem"),
    ];
    let elsewhere = !of.host.is_empty()
        || !of.certificates.is_empty()
        || ask.any_wrong(&[at("host").as_str(), at("certificates").as_str()]);
    let wrong = ask.any_wrong(&[format!("environments.{environment}.container").as_str()]);
    let policies = RestartPolicy::ALL.map(|policy| (policy.as_str(), says(policy))).to_vec();
    let value =
        if of.restart.is_empty() { RestartPolicy::default().as_str().into() } else { of.restart.clone() };
    let restart = view! {
        <Select label="Started again" name=posted(&name("restart")) path=at("restart") value options=policies
            hint="When it has ended by itself" wrong=ask.wrong.clone()/>
    };
    view! {
        <section class="part dockered" class:told=wrong role="group" aria-label=title>
            <h2>{title}</h2>
            <div class="fields three">{limits}{restart}</div>
            <details open=elsewhere>
                <summary>"On another daemon"</summary>
                {pairs(daemon)}
            </details>
        </section>
    }
    .into_any()
}

fn says(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::UnlessStopped => "unless a person stopped it",
        RestartPolicy::OnFailure => "when it ended with an error",
        RestartPolicy::Always => "always",
        RestartPolicy::Never => "never",
    }
}

/// Memory and cores, the same for commands and for the service.
fn limits(
    ask: &Ask,
    name: &impl Fn(&str) -> String,
    at: &impl Fn(&str) -> String,
    memory: &str,
    cores: &str,
) -> AnyView {
    let fields = [
        ask.line("Memory", name("memory"), memory)
            .at(at("resources.memory_mb"))
            .empty("no limit")
            .hint("Such as 512 MiB or 2 GiB"),
        ask.line("Cores", name("cores"), cores)
            .at(at("resources.cpu_millis"))
            .empty("no limit")
            .hint("Such as 2 or 0.5"),
    ];
    fields.map(super::ask::Field::show).into_iter().collect_view().into_any()
}

/// The toolchain image, folded while there is none. It is of use to processes and containers alike.
pub fn toolchain(c: &ContainersForm, ask: &Ask) -> AnyView {
    let wrong = ask.any_wrong(&["image", "toolchain"]);
    let image = ask
        .line("Toolchain image", "containers.image", &c.image)
        .at("image")
        .code()
        .empty("none: on this machine")
        .hint("Prepare, Code Quality, Unit Test and the build command run in it");
    let name = |field: &str| format!("containers.{field}");
    let at = |field: &str| format!("toolchain.{field}");
    let limits = limits(ask, &name, &at, &c.memory, &c.cores);
    let hint = "Without it, what they need has to be in the image or the caches";
    view! {
        <details open=wrong || !c.image.is_empty()>
            <summary>"Run them in an image"</summary>
            <div class="fields three">{image.show()}{limits}</div>
            <div class="checks">{tick("They reach the network", "containers.network", &c.network, hint)}</div>
        </details>
    }
    .into_any()
}

/// Integration tests by Compose, folded while there are none.
fn compose(c: &ContainersForm, ask: &Ask) -> AnyView {
    let on = c.compose.is_some();
    let fields = [
        ask.line("Compose file", "containers.compose_file", &c.compose_file)
            .at("integration.compose_file")
            .code()
            .empty("compose.test.yaml and its kin")
            .hint("Its path in the repository of the tests"),
        ask.line("Tests are in", "containers.compose_repository", &c.compose_repository)
            .at("integration.repository")
            .code()
            .empty("the service's own repository")
            .hint("Path or address; its default branch is used"),
        ask.line("This service in it", "containers.compose_service", &c.compose_service)
            .at("integration.service")
            .code()
            .empty("its own name")
            .hint("The candidate's image is put in for it"),
        ask.line("Verdict of", "containers.compose_test", &c.compose_test)
            .at("integration.test_service")
            .code()
            .empty("test")
            .hint("The service of the file whose exit code decides"),
    ];
    let hint =
        "Otherwise Seamless puts the candidate beside its neighbours and runs the integration command there";
    view! {
        <section class="part" role="group" aria-label="Integration">
            <h2>"Integration"</h2>
            <div class="checks">{tick("A Compose file tests it", "containers.compose", &c.compose, hint)}</div>
            <details open=on || ask.any_wrong(&["integration"])>
                <summary>"Which file, and which services of it"</summary>
                {pairs(fields)}
            </details>
        </section>
    }
    .into_any()
}
