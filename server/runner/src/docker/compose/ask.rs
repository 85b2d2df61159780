//! What the daemon tells of a run's containers and of their network.
//!
//! Refuses to know anything by its name alone: containers are those that carry the attempt's label.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::{
    super::{labels, stream},
    member::Member,
    pools,
    project::Project,
};
use crate::reason::Failure;

impl Project<'_> {
    /// The containers that were made: service and id.
    pub async fn made(&self) -> Result<BTreeMap<String, String>, Failure> {
        let attempt = format!("label={}={}", labels::ATTEMPT, self.stage.tree.cookie());
        let shown = "{{.Label \"com.docker.compose.service\"}}\t{{.ID}}";
        let question = ["ps", "--all", "--no-trunc", "--filter", &attempt, "--format", shown];
        let listed = stream::ask(self.stage, &self.docker, &question).await?;
        Ok(listed
            .lines()
            .filter_map(|l| l.split_once('\t'))
            .map(|(s, id)| (s.to_owned(), id.to_owned()))
            .collect())
    }

    /// A network of the run's own, made before the rest, so that the address of its gateway is known; by its name.
    pub async fn network(&self) -> Result<(String, IpAddr), Failure> {
        let name = format!("{}_test", self.name);
        let labels: Vec<String> =
            self.labels().iter().map(|(label, value)| format!("--label={label}={value}")).collect();
        let arguments: Vec<&str> = ["network", "create"]
            .into_iter()
            .chain(labels.iter().map(String::as_str))
            .chain([name.as_str()])
            .collect();
        let made = self.docker.ask(&arguments).await;
        made.map_err(|e| Failure::new(format!("no network for the test: {}", pools(&e.to_string()))))?;
        let shown = "{{range .IPAM.Config}}{{.Gateway}}\n{{end}}";
        let told =
            stream::ask(self.stage, &self.docker, &["network", "inspect", "--format", shown, &name]).await?;
        let gateway = told.lines().find_map(|line| line.split('/').next()?.trim().parse().ok());
        gateway
            .map(|gateway| (name, gateway))
            .ok_or_else(|| Failure::new("the test's network has no gateway on this host"))
    }

    /// The ports of this host at which members answer, in their order.
    pub async fn published(
        &self,
        members: &[Member<'_>],
        made: &BTreeMap<String, String>,
    ) -> Result<Vec<u16>, Failure> {
        let ids: Vec<&str> = members.iter().filter_map(|m| made.get(&m.name)).map(String::as_str).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let arguments: Vec<&str> = ["container", "inspect"].into_iter().chain(ids).collect();
        let seen = stream::ask(self.stage, &self.docker, &arguments).await?;
        let seen: Vec<Value> = serde_json::from_str(&seen).unwrap_or_default();
        let port = |(member, seen): (&Member<'_>, &Value)| {
            let ports = &seen["NetworkSettings"]["Ports"][format!("{}/tcp", member.port)];
            // One that has ended already has none; its end is told when its health is asked for.
            ports[0]["HostPort"].as_str().and_then(|port| port.parse().ok()).unwrap_or(0)
        };
        Ok(members.iter().zip(&seen).map(port).collect())
    }

    /// What the last of a container's own health checks said.
    pub async fn last_check(&self, id: &str) -> String {
        let shown = "{{with .State.Health}}{{range .Log}}{{.Output}}\n{{end}}{{end}}";
        let said =
            self.docker.ask(&["container", "inspect", "--format", shown, id]).await.unwrap_or_default();
        let last = said.stdout.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        last.map_or_else(
            || "its health check says nothing more".into(),
            |last| format!("its health check says `{}`", last.chars().take(300).collect::<String>()),
        )
    }
}
