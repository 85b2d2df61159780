//! Files as people write them, and what becomes of them.
#![allow(clippy::unwrap_used)]
use domain::protocol::{Container, JobVariable, Launch};

use super::*;

fn launch(service: &str, image: &str) -> Launch {
    Launch {
        service: service.into(),
        artifact: image.into(),
        commit: "c0ffee".into(),
        start: String::new(),
        context: None,
        health_path: None,
        health_timeout_s: 5,
        variables: vec![JobVariable { name: "PRICE".into(), value: "$5".into(), secret: false }],
        container: Some(Container::default()),
    }
}

fn made(resolved: Value) -> Result<Safe, String> {
    let (orders, stock) = (launch("orders", "sha256:0rder5"), launch("stock-api", "reg/stock@sha256:57ock"));
    let member = |launch| Member { name: String::new(), launch, port: 8080 };
    let wanted = Wanted {
        project: "seamless-1",
        labels: &[("seamless.attempt", "1.1".to_owned())],
        candidate: &Member { name: "web".into(), ..member(&orders) },
        neighbours: &[Member { name: "stock-api".into(), ..member(&stock) }],
        test: "test",
        told: &[("CI".into(), "true".into())],
        checkout: Path::new("/run/src"),
    };
    make(resolved, &wanted).map_err(|failure| failure.reason)
}

/// The services that nearly every file here has.
fn with(more: Value) -> Value {
    let mut services = json!({ "web": { "image": "a" }, "test": { "image": "t" } });
    services.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "services": services })
}

#[test]
fn versions_are_put_in_and_nothing_is_shared() {
    let safe = made(json!({
        "name": "fixed",
        "services": {
            "web": {
                "build": { "context": "/run/src" }, "image": "acme/web", "container_name": "web", "platform": "linux/arm64",
                "ports": [{ "target": 80, "published": "8080" }],
                "environment": { "PRICE": "from the file", "PORT": null },
                "volumes": [{ "type": "bind", "source": "/run/src/web", "target": "/app" }],
                "networks": { "back": { "ipv4_address": "10.5.0.4" } },
            },
            "stock-api": { "image": "acme/stock:latest", "pull_policy": "always" },
            "test": {
                "build": { "context": "/run/src/tests", "tags": ["acme/test:1"], "cache_to": ["x"] }, "image": "acme/test",
                "restart": "always", "deploy": { "replicas": 3, "resources": {} },
            },
            "again": { "image": "acme/test", "profiles": ["x"] },
            "seed": { "image": "acme/test", "logging": { "driver": "syslog" }, "stop_grace_period": "9s" },
        },
        "networks": { "back": { "name": "proxy", "external": true }, "default": { "name": "seamless-1_default", "ipam": {} } },
        "volumes": { "data": { "name": "seamless-1_data" }, "fixed": { "name": "fixed" } },
    }))
    .unwrap();
    assert_eq!(safe.built, ["test"]);
    insta::assert_snapshot!(safe.notes.join("\n"), @r#"
    left out, for the test does not ask for their profiles: again
    not published on this host, so that runs never collide (services reach each other by name): the ports of web
    left out, so that runs never collide: the container name of web
    left out, so that runs never collide: the fixed address of web
    this run has its own in the place of what is shared: network back
    this run has its own, so the fixed name is left out: volume fixed
    in this log instead of where it goes otherwise: the output of seed
    not started again when it ends, for that is the verdict: test
    warning: files of the checkout are mounted over an image, so there it is not the image that is tested: web (/app)
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&safe.project).unwrap(), @r#"
    {
      "name": "seamless-1",
      "networks": {
        "back": {
          "labels": {
            "seamless.attempt": "1.1"
          }
        },
        "default": {
          "labels": {
            "seamless.attempt": "1.1"
          }
        }
      },
      "services": {
        "seed": {
          "image": "seamless-1-test",
          "labels": {
            "seamless.attempt": "1.1"
          },
          "logging": {
            "driver": "json-file",
            "options": {}
          },
          "pull_policy": "never",
          "stop_grace_period": "9s"
        },
        "stock-api": {
          "environment": {
            "PORT": "8080",
            "PRICE": "$$5",
            "SEAMLESS_COMMIT": "c0ffee",
            "SEAMLESS_ENVIRONMENT": "test",
            "SEAMLESS_SERVICE": "stock-api",
            "SEAMLESS_URL_ORDERS": "http://web:8080"
          },
          "image": "reg/stock@sha256:57ock",
          "labels": {
            "seamless.attempt": "1.1"
          },
          "logging": {
            "driver": "json-file",
            "options": {}
          },
          "pull_policy": "never",
          "stop_grace_period": "2s"
        },
        "test": {
          "build": {
            "context": "/run/src/tests",
            "labels": {
              "seamless.attempt": "1.1"
            }
          },
          "deploy": {
            "resources": {}
          },
          "environment": {
            "CI": "true",
            "SEAMLESS_URL_ORDERS": "http://web:8080",
            "SEAMLESS_URL_STOCK_API": "http://stock-api:8080"
          },
          "image": "seamless-1-test",
          "labels": {
            "seamless.attempt": "1.1"
          },
          "logging": {
            "driver": "json-file",
            "options": {}
          },
          "stop_grace_period": "2s"
        },
        "web": {
          "environment": {
            "PORT": "8080",
            "PRICE": "from the file",
            "SEAMLESS_COMMIT": "c0ffee",
            "SEAMLESS_ENVIRONMENT": "test",
            "SEAMLESS_SERVICE": "orders",
            "SEAMLESS_URL_STOCK_API": "http://stock-api:8080"
          },
          "image": "sha256:0rder5",
          "labels": {
            "seamless.attempt": "1.1"
          },
          "logging": {
            "driver": "json-file",
            "options": {}
          },
          "networks": {
            "back": {}
          },
          "pull_policy": "never",
          "stop_grace_period": "2s",
          "volumes": [
            {
              "source": "/run/src/web",
              "target": "/app",
              "type": "bind"
            }
          ]
        }
      },
      "volumes": {
        "data": {
          "labels": {
            "seamless.attempt": "1.1"
          }
        },
        "fixed": {
          "labels": {
            "seamless.attempt": "1.1"
          }
        }
      }
    }
    "#);
}

#[test]
fn what_takes_more_of_its_host_is_told() {
    let socket = "/var/run/docker.sock";
    let safe = made(with(json!({
        "root": { "privileged": true, "pid": "host", "cap_add": ["NET_ADMIN"], "security_opt": ["seccomp:unconfined"] },
        "less": { "security_opt": ["no-new-privileges:true"], "cap_drop": ["ALL"], "privileged": false, "devices": [] },
        "dind": { "volumes": [{ "type": "bind", "source": socket, "target": socket }], "network_mode": "bridge" },
    })))
    .unwrap();
    insta::assert_snapshot!(safe.notes.join("\n"), @r#"
    this run has its own in the place of what is shared: network of dind
    warning: more rights on this host than a container usually has: root (pid: host), root (privileged), root (added capabilities), root (security options)
    warning: reaches files of this host outside the checkout, which other runs share: dind (/var/run/docker.sock)
    "#);
    assert_eq!(safe.project["services"]["dind"]["networks"], json!({ "default": null }));
}

#[test]
fn what_two_runs_would_share_is_refused() {
    let refused = |service: Value| made(with(json!({ "x": service }))).unwrap_err();
    insta::assert_snapshot!(
        [
            refused(json!({ "network_mode": "host" })),
            refused(json!({ "network_mode": "container:db" })),
            refused(json!({ "ipc": "container:db" })),
            refused(json!({ "external_links": ["db"] })),
            refused(json!({ "volumes_from": ["container:db"] })),
        ]
        .join("\n"), @r#"
    the service `x` of the Compose file uses the host's network, where two runs at a time would collide: take `network_mode: host` out and let services reach each other by name, or give the tests a file without it (integration.compose_file)
    the service `x` of the Compose file has `network_mode: container:db`: let it have a network of the file, or give the tests a file without it (integration.compose_file)
    the service `x` of the Compose file has `ipc: container:db`, a container outside of it: name a service instead, or give the tests a file without it (integration.compose_file)
    the service `x` of the Compose file links to containers outside of it (external_links): let the file hold what it needs, or give the tests a file without it (integration.compose_file)
    the service `x` of the Compose file takes volumes from a container outside of it (volumes_from): name a service instead, or give the tests a file without it (integration.compose_file)
    "#
    );
    let mut file = with(json!({}));
    file["volumes"] = json!({ "data": { "external": true } });
    assert!(made(file).unwrap_err().starts_with("the volume `data` of the Compose file is external"));
    let mut file = with(json!({}));
    file["networks"] = json!({ "lan": { "driver": "macvlan" } });
    assert!(
        made(file).unwrap_err().starts_with("the network `lan` of the Compose file has the driver `macvlan`")
    );
    assert!(
        made(json!({ "services": { "test": {} } }))
            .unwrap_err()
            .contains("no service `web`, which is this service")
    );
    assert!(
        made(json!({ "services": { "web": {} } }))
            .unwrap_err()
            .contains("no service `test`, which is the test")
    );
}

#[test]
fn profiles_nobody_asked_for_stay_out_unless_the_test_needs_them() {
    let file = json!({ "services": {
        "web": { "image": "a", "profiles": ["app"], "depends_on": { "db": { "required": true }, "tool": { "required": false } } },
        "test": { "image": "t", "profiles": ["test"], "depends_on": { "web": { "required": true } } },
        "db": { "image": "d", "profiles": ["app"] },
        "tool": { "image": "x", "profiles": ["debug"] },
    } });
    let safe = made(file).unwrap();
    let names: Vec<_> = safe.project["services"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["db", "test", "web"]);
    assert_eq!(safe.project["services"]["web"]["depends_on"], json!({ "db": { "required": true } }));
    assert_eq!(safe.notes, ["left out, for the test does not ask for their profiles: tool"]);
}
