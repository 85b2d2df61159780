//! Services on ECS as a person has them: picked from the account, made from a form where they are not there yet, connected.
//!
//! The account is the stand-in's (`testkit::aws`): moto's ECS, which takes what it is given and runs none of it.

#![allow(clippy::unwrap_used)]

use domain::{containers::EcsService, view::Service};
use serde_json::{Value, json};
use testkit::{Options, Server, Visitor, aws::Aws, docker::Daemon, tiny};

const SEAMLESS: &str = env!("CARGO_BIN_EXE_seamless");
const ROLE: &str = "arn:aws:iam::000000000000:role/start";

async fn ecs(aws: &Aws, operation: &str, body: Value) -> Value {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    aws.call(&target, &body).await.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
}

/// A server that knows the account, in which a cluster has one service.
async fn begin(aws: &Aws, docker: Daemon) -> Server {
    ecs(aws, "CreateCluster", json!({ "clusterName": "shop" })).await;
    let container = json!({ "name": "orders", "image": "shop/orders:7", "memory": 512 });
    ecs(aws, "RegisterTaskDefinition", json!({ "family": "orders", "containerDefinitions": [container] }))
        .await;
    let orders =
        json!({ "cluster": "shop", "serviceName": "orders", "taskDefinition": "orders", "desiredCount": 0 });
    ecs(aws, "CreateService", orders).await;
    let mut environment = aws.environment();
    environment.push(("SEAMLESS_REGISTRY", "registry.example.org/shop".into()));
    Server::start_with(SEAMLESS, Options { docker: Some(docker.host), environment, ..Options::default() })
        .await
}

fn made(aws: &Aws) -> Vec<Value> {
    let all = aws.requests().into_iter().filter(|request| request["operation"] == "CreateService");
    let bodies = all.map(|request| serde_json::from_str(request["body"].as_str().unwrap()).unwrap());
    bodies.filter(|body: &Value| body["serviceName"] != "orders").collect()
}

#[tokio::test]
async fn a_service_that_is_not_there_is_made_from_the_form_and_connected() {
    let test = "ecs::a_service_that_is_not_there_is_made_from_the_form_and_connected";
    let (Some(docker), Some(aws)) = (Daemon::find(test), Aws::find(test).await) else { return };
    let server = begin(&aws, docker).await;
    let person = Visitor::log_in(&server).await;
    let (repository, _) = tiny(&server, "stock");
    let repository = repository.path();

    // What there is can be picked, with what it runs; and there is a way to what is not.
    let new = format!("/services/new?repository={repository}");
    ecs(&aws, "CreateCluster", json!({ "clusterName": "closed" })).await;
    let denied = json!({
        "operation": "ListServices", "containing": ["closed"], "times": 1,
        "error": "AccessDeniedException", "message": "User: x is not authorized",
    });
    aws.fault(&denied).await;
    let page = person.page(&new).await;
    assert!(page.contains("the cluster closed cannot be listed: AWS refuses ecs:ListServices"), "{page}");
    assert!(page.contains("<option value=\"shop/orders\">orders in shop: orders orders:7"), "{page}");
    // It is believed for a moment.
    let page = testkit::until("everything to be listed", async || {
        let page = person.page(&new).await;
        (!page.contains("cannot be listed")).then_some(page)
    })
    .await;
    assert!(page.contains("orders in shop: orders orders:7 (0 of 0 tasks run)"), "{page}");
    assert!(page.contains("One that is not there yet"));
    let pipeline = [
        ("form[name]", "stock"),
        ("form[repository]", &repository),
        ("form[unit_test]", "echo tested"),
        ("form[secrets]", "KEY=correct-horse-battery"),
        ("form[containers][target]", "ecs"),
        ("form[containers][dockerfile]", "Dockerfile"),
        ("form[containers][port]", "9000"),
    ];
    let begun = [&pipeline[..], &[("environment", "production")]].concat();
    let asks = person.post(&new, "/fn/begin_cloud_service", &begun).await;
    assert!(asks.starts_with("/services/new/ecs?for="), "{asks}");
    assert!(!asks.contains("correct-horse-battery"), "no secret is in an address");
    let page = person.page(&asks).await;
    assert!(page.contains("Production of stock, on ECS") && page.contains("value=\"9000\""), "{page}");
    let purpose = page.split("name=\"purpose\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let purpose = purpose.replace("&quot;", "\"").replace("&amp;", "&");

    // What is wrong stands beside its field, and what was typed stays: seen here, and refused by AWS.
    let asked = [
        ("form[cluster]", "shop"),
        ("form[service]", "stock"),
        ("form[port]", "9000"),
        ("form[cpu]", "512"),
        ("form[memory]", "1 GiB"),
        ("form[tasks]", "2"),
        ("form[execution_role]", ROLE),
        ("form[log_group]", "/ecs/stock"),
        ("purpose", &purpose),
    ];
    let subnet = aws.subnet().await;
    let good = [&asked[..], &[("form[subnets]", &*subnet)]].concat();
    let in_subnet = async |id: &str| {
        let fields = [&asked[..], &[("form[subnets]", id)]].concat();
        person.post(&asks, "/fn/create_cloud_service", &fields).await
    };
    let page = person.page(&in_subnet("the blue one").await).await;
    assert!(page.contains("is no subnet&#x27;s id") || page.contains("is no subnet's id"), "{page}");
    assert!(page.contains("the blue one") && page.contains("value=\"1 GiB\""), "{page}");
    let page = person.page(&in_subnet("subnet-0a1b2c3d").await).await;
    assert!(page.contains("name subnets of this account and region"), "{page}");
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 1, "{page}");
    let denied = json!({
        "operation": "CreateService", "containing": ["stock"], "times": 1,
        "error": "AccessDeniedException", "message": "User: x is not authorized",
    });
    aws.fault(&denied).await;
    let page = person.reads(&in_subnet(&subnet).await).await;
    assert!(page.contains("AWS refuses ecs:CreateService: User: x is not authorized; allow it"), "{page}");
    let refusals = made(&aws).len();

    // Pressed twice, it is one; the form comes back with it picked, and as it was.
    let (one, two) = tokio::join!(
        person.post(&asks, "/fn/create_cloud_service", &good),
        person.post(&asks, "/fn/create_cloud_service", &good)
    );
    assert_eq!(one, two);
    assert!(one.starts_with("/services/new?repository="), "{}", person.reads(&one).await);
    assert_eq!(person.post(&asks, "/fn/create_cloud_service", &good).await, one);
    let listed = ecs(&aws, "ListServices", json!({ "cluster": "shop" })).await;
    assert_eq!(listed["serviceArns"].as_array().unwrap().len(), 2, "{listed}");
    let made = made(&aws);
    assert!((1..=2).contains(&(made.len() - refusals)), "{made:#?}");
    let last = made.last().unwrap();
    assert_eq!((&last["desiredCount"], &last["launchType"]), (&json!(0), &json!("FARGATE")));
    let page = person.page(&one).await;
    let told = person.reads(&one).await;
    assert!(told.contains("shop/stock is there, and picked for production"), "{told}");
    assert!(told.contains("Secrets do not travel"), "{told}");
    assert!(page.contains("<option value=\"shop/stock\" selected"), "{page}");
    assert!(page.contains("value=\"stock\"") && page.contains("echo tested"), "{page}");

    // Connected, it deploys there.
    let connect = [&pipeline[..], &[("form[containers][production][ecs]", "shop/stock")]].concat();
    let connected = person.post(&one, "/fn/create_service", &connect).await;
    let id = connected.strip_prefix("/services/").unwrap_or_else(|| panic!("{connected}"));
    let service: Service = server.api.get(&format!("/services/{id}")).await.to(200);
    let place = EcsService { cluster: "shop".into(), service: "stock".into(), container: None };
    assert_eq!(service.settings.environments.production.ecs, Some(place));

    // Programs have the same.
    let wish = json!({
        "cluster": "shop", "service": "mail", "cpu": 256, "memory_mb": 512, "like": "stock", "image": "shop/mail:1",
    });
    for _ in 0..2 {
        let made = server.api.post("/cloud/services", wish.clone()).await.is(201);
        assert_eq!((&made["cluster"], &made["service"]), (&json!("shop"), &json!("mail")));
    }
    let mut other = wish;
    other["cpu"] = json!(512);
    let why = server.api.post("/cloud/services", other).await.is(422);
    assert_eq!(why["errors"][0]["field"], "service", "{why}");
    let account = server.api.get("/cloud/services").await.is(200);
    assert_eq!(account["clusters"], json!(["closed", "shop"]));
    assert_eq!(account["unlisted"], json!([]));
    assert_eq!(account["services"].as_array().unwrap().len(), 3, "{account}");
}
