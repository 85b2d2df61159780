//! A target that starts nothing but a port which answers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{Router, routing::get};
use domain::protocol::*;
use runner::{LogSink, Started, Stop, Target, TargetError};
use tokio_util::sync::CancellationToken;

/// Remembers what it was asked for; what it starts answers its own service's name.
#[derive(Default)]
pub struct FakeTarget {
    pub calls: Mutex<Vec<String>>,
    pub refuses: Option<String>,
    pub deploy_waits: bool,
    pub alive: Arc<Mutex<Vec<String>>>,
}

struct FakeStop(tokio::task::JoinHandle<()>, String, Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Stop for FakeStop {
    async fn stop(self: Box<Self>) {
        self.0.abort();
        self.2.lock().unwrap().retain(|name| *name != self.1);
    }
}

#[async_trait]
impl Target for FakeTarget {
    async fn deploy(
        &self,
        work: &DeployWork,
        log: &LogSink,
        cancel: &CancellationToken,
    ) -> Result<(), TargetError> {
        self.calls.lock().unwrap().push(format!("deploy {} to {}", work.launch.service, work.environment));
        log.system("starting");
        if self.deploy_waits {
            cancel.cancelled().await;
            return Err(TargetError::new("undone"));
        }
        assert!(self.refuses.as_deref() != Some("panic"), "asked to panic");
        self.refuses.as_ref().map_or(Ok(()), |why| Err(TargetError::new(why)))
    }

    async fn start_for_test(
        &self,
        launch: &Launch,
        extra: &[JobVariable],
        cookie: &str,
        log: &LogSink,
    ) -> Result<Started, TargetError> {
        let names: Vec<_> = extra.iter().map(|v| v.name.as_str()).collect();
        self.calls.lock().unwrap().push(format!(
            "start {} with {} as {}",
            launch.service,
            names.join(" "),
            !cookie.is_empty()
        ));
        if self.refuses.as_deref() == Some(launch.service.as_str()) {
            return Err(TargetError::new("it answered 500"));
        }
        let port: u16 = extra.iter().find(|v| v.name == "PORT").unwrap().value.parse().unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let name = launch.service.clone();
        log.system(format!("{name} is healthy"));
        let router = Router::new().route(
            "/",
            get({
                let name = name.clone();
                move || async move { name }
            }),
        );
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        self.alive.lock().unwrap().push(name.clone());
        let stop = Box::new(FakeStop(task, name, self.alive.clone()));
        Ok(Started { port, url: format!("http://127.0.0.1:{port}"), stop })
    }
}
