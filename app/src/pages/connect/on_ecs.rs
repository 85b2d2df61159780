//! A service on ECS that is not there yet: what it is to be, asked for on a page of its own, and back to the form that wanted it.
//!
//! Refuses to lose what was typed, here or there: both travel in the address.

use domain::{
    cloud::{CloudAccount, FARGATE},
    stage::EnvironmentName,
};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::{self, CreateCloudService},
    components::{Crumbs, Failure, Icon, Loading, Pick, Refused, Top},
    form::{CloudForm, Purpose},
    pages::{
        refusal,
        service::form::{Ask, Why, pairs, posted, tick},
    },
    text::words,
};

/// The page.
#[component]
pub fn NewOnEcsPage() -> impl IntoView {
    let data = Resource::new(|| (), |()| api::cloud());
    let steps = vec![("/".into(), "Overview".into()), ("/services/new".into(), "Connect a service".into())];
    view! {
        <Title text="A new service on ECS"/>
        <Top><Crumbs steps here="On ECS"/></Top>
        <Suspense fallback=Loading>
            {move || Suspend::new(async move {
                match data.await {
                    Ok(Ok(account)) => view! { <Whole account/> }.into_any(),
                    Ok(Err(why)) => view! {
                        <section class="empty card">
                            <h1>"AWS cannot be asked."</h1>
                            <p class="sub">{words::sentence(&why)}"."</p>
                        </section>
                    }
                    .into_any(),
                    Err(error) => view! { <Failure error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Whole(account: CloudAccount) -> impl IntoView {
    let query = use_query_map().get_untracked();
    let purpose = query.get("for").and_then(|text| Purpose::read(&text)).unwrap_or_default();
    let error = refusal::<CreateCloudService>();
    let typed = query.get("typed").and_then(|text| serde_json::from_str::<CloudForm>(&text).ok());
    let proposed = || match purpose.environment {
        Some(environment) => CloudForm::proposed(&purpose.form, environment),
        None => CloudForm::default(),
    };
    let form = typed.unwrap_or_else(proposed);
    let (title, whose) = match purpose.environment {
        Some(environment) => {
            let name = if purpose.form.name.is_empty() { "it" } else { &purpose.form.name };
            let title = if environment == EnvironmentName::Staging { "Staging" } else { "Production" };
            (
                format!("{title} of {name}, on ECS"),
                "Then it is picked on the form that you came from, which comes back as it was.",
            )
        }
        None => ("A new service on ECS".to_owned(), "Then it can be picked on the form of any service."),
    };
    let made = query.get("made").map(|made| view! { <p class="done" role="status"><Icon name="check"/><span><b>{made}</b>" is there. Pick it on a service's form."</span></p> });
    if account.clusters.is_empty() {
        return view! {
            <section class="empty card">
                <h1>"There is no cluster yet."</h1>
                <p class="sub">"Services on ECS are in clusters, and this account has none in its region. Make one in AWS's console or with "<code>"aws ecs create-cluster --cluster-name main"</code>", then reload this page."</p>
            </section>
        }
        .into_any();
    }
    let cancel = purpose.environment.map(|_| view! { <button class="btn quiet" name="leave" value="yes" formnovalidate>"Back without it"</button> });
    let ask = Ask { why: Why::default(), wrong: error.clone() };
    view! {
        {made}
        <div class="well"><h1>{title}</h1><span class="sub">{whose}</span></div>
        <Refused error=error/>
        <form method="post" action=CreateCloudService::PATH>
            <input type="hidden" name="purpose" value=purpose.write()/>
            // Enter in a field creates, whatever comes first on the page.
            <button class="vh" tabindex="-1" aria-hidden="true">"Create"</button>
            {identity(&form, &ask, &account)}
            {tasks(&form, &ask)}
            {network(&form, &ask)}
            <div class="submit card">
                <span class="row wrap right">{cancel}<button class="btn primary">"Create it"</button></span>
            </div>
        </form>
    }
    .into_any()
}

fn identity(f: &CloudForm, ask: &Ask, account: &CloudAccount) -> AnyView {
    let wrong = || ask.wrong.clone();
    let mut clusters: Vec<_> = account.clusters.iter().map(|name| (name.clone(), name.clone())).collect();
    if !f.cluster.is_empty() && !account.clusters.contains(&f.cluster) {
        clusters.push((f.cluster.clone(), format!("{} (not in this account and region)", f.cluster)));
    }
    let mut like = vec![(String::new(), "none: all of it is said below".to_owned())];
    like.extend(account.services.iter().map(|one| {
        (format!("{}/{}", one.cluster, one.service), format!("{} in {}", one.service, one.cluster))
    }));
    let name = ask
        .line("Name", "service", &f.service)
        .code()
        .hint("Letters, digits, hyphens and underscores")
        .required();
    view! {
        <fieldset class="card panel">
            <legend>"What it is"</legend>
            <div class="fields three">
                <Pick label="Cluster" name=posted("cluster") path="cluster" value=f.cluster.clone() options=clusters hint="" wrong=wrong()/>
                {name.show()}
                <Pick label="Like" name=posted("like") path="like" value=f.like.clone() options=like
                    hint="Its launch type, network, execution role and logging are taken where they are not said" wrong=wrong()/>
            </div>
        </fieldset>
    }
    .into_any()
}

fn tasks(f: &CloudForm, ask: &Ask) -> AnyView {
    let sizes = FARGATE.map(|(cpu, ..)| {
        let cores = f64::from(cpu) / 1024.0;
        (cpu.to_string(), format!("{cores} {}", if cores == 1.0 { "core" } else { "cores" }))
    });
    let mut sizes = sizes.to_vec();
    if !f.cpu.is_empty() && !sizes.iter().any(|(value, _)| *value == f.cpu) {
        sizes.push((f.cpu.clone(), f.cpu.clone()));
    }
    let fields = [
        ask.line("Image", "image", &f.image)
            .code()
            .empty("none: nothing runs before the first deployment")
            .hint("What it runs at once, until it is deployed to from here"),
        ask.line("Port", "port", &f.port).code().empty("none").hint("Where its container listens"),
    ];
    let memory = ask.line("Memory", "memory", &f.memory).at("memory_mb").hint("Such as 512 MiB or 2 GiB");
    let tasks = ask.line("Tasks", "tasks", &f.tasks).hint("From the first deployment on");
    view! {
        <fieldset class="card panel">
            <legend>"Its tasks"</legend>
            {pairs(fields)}
            <div class="fields three">
                <Pick label="CPU" name=posted("cpu") path="cpu" value=f.cpu.clone() options=sizes hint="Of each task" wrong=ask.wrong.clone()/>
                {memory.show()}
                {tasks.show()}
            </div>
        </fieldset>
    }
    .into_any()
}

fn network(f: &CloudForm, ask: &Ask) -> AnyView {
    let said = ask.any_wrong(&["target_group", "connect_name", "task_role"])
        || [&f.target_group, &f.connect_name, &f.task_role].iter().any(|text| !text.is_empty());
    let reached = [
        ask.lines("Subnets", "subnets", &f.subnets)
            .rows(2)
            .empty("subnet-0a1b2c3d4e5f67890")
            .hint("Their ids, one on a line; those of “Like” when empty"),
        ask.lines("Security groups", "security_groups", &f.security_groups)
            .rows(2)
            .empty("sg-0a1b2c3d4e5f67890")
            .hint("Their ids, one on a line; those of “Like”, or else the VPC's default one, when empty"),
    ];
    let role = ask
        .line("Execution role", "execution_role", &f.execution_role)
        .code()
        .empty("arn:aws:iam::123456789012:role/ecsTaskExecutionRole")
        .hint("Fetches its image, reads its secrets and writes its log; that of “Like” when empty");
    let logs = ask
        .line("Log group", "log_group", &f.log_group)
        .code()
        .empty("none")
        .hint("In CloudWatch, and there already: what its tasks print; as “Like” has it when empty");
    let more = [
        ask.line("Target group", "target_group", &f.target_group)
            .code()
            .empty("arn:aws:elasticloadbalancing:…:targetgroup/…")
            .hint("Of a load balancer that sends to the port above; its type must be ip"),
        ask.line("Name in Service Connect", "connect_name", &f.connect_name)
            .code()
            .empty("none")
            .hint("In the cluster's default namespace, for the port above"),
        ask.line("Task role", "task_role", &f.task_role)
            .code()
            .empty("none")
            .hint("What the service itself may do in AWS"),
    ];
    let public = "Needed in subnets without a NAT gateway, or no image can be fetched";
    view! {
        <fieldset class="card panel">
            <legend>"Its network, roles and log"</legend>
            {pairs(reached)}
            <div class="checks">{tick("Its tasks get public addresses", "public_address", &f.public_address, public)}</div>
            {pairs([role, logs])}
            <details open=said>
                <summary>"Load balancer, Service Connect, task role"</summary>
                {pairs(more)}
            </details>
        </fieldset>
    }
    .into_any()
}

/// What a form says at its head when it comes back from here.
#[component]
pub fn Picked(purpose: Purpose) -> impl IntoView {
    let lacks = purpose.form.lacks_secrets();
    let environment = purpose.environment.unwrap_or(EnvironmentName::Production);
    let said = match purpose.made {
        Some(made) => view! { <span><b>{made}</b>{format!(" is there, and picked for {environment}. Nothing else is kept yet: ")}"this form is as you left it."</span> }.into_any(),
        None => view! { <span>"This form is as you left it."</span> }.into_any(),
    };
    view! {
        <p class="done" role="status"><Icon name="check"/>{said}</p>
        {lacks.then(|| view! { <div class="alerts"><p class="notice"><Icon name="warn"/><span>"Secrets do not travel: enter those again that you had typed."</span></p></div> })}
    }
    .into_any()
}
