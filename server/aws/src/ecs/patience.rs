//! How long a deployment may take, from what the service itself says about its health.
//!
//! The circuit breaker has the first word: it knows tasks that fail. This is for those that neither fail nor become healthy. AWS
//! has no such limit itself. Refuses to know what a load balancer's target group says: its deregistration delay is taken to be
//! AWS's default.

use std::time::Duration;

use aws_sdk_ecs::types::{Service, TaskDefinition};

/// From a task that is wanted to its containers that run: a network interface, an image to fetch.
const START: u64 = 180;
/// How long a load balancer goes on with connections of what it takes out, where nothing else was set there.
const DRAIN: u64 = 300;
/// From SIGTERM to SIGKILL, where nothing else was set.
const STOP: u64 = 30;
/// What a load balancer takes to call a target healthy: five checks, every thirty seconds.
const BALANCED: u64 = 150;
/// How long ECS may go on watching alarms when all tasks run: it computes that from the alarms and does not say it.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html>
const WATCHED: u64 = 45 * 60;
/// For everything between the steps.
const MARGIN: u64 = 120;
/// What nobody waits for longer than.
const LONGEST: u64 = 3 * 3600;

/// The limit, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patience {
    pub limit: Duration,
    pub why: String,
}

impl Patience {
    /// `health_s` is what the service's settings in Seamless say.
    pub fn of(service: &Service, definition: &TaskDefinition, health_s: u32) -> Self {
        let wanted = u64::try_from(service.desired_count()).unwrap_or(0).max(1);
        let rules = service.deployment_configuration();
        let percent = |value: Option<i32>, usual| u64::try_from(value.unwrap_or(usual)).unwrap_or(0);
        let most = wanted * percent(rules.and_then(|r| r.maximum_percent()), 200) / 100;
        let least = (wanted * percent(rules.and_then(|r| r.minimum_healthy_percent()), 100)).div_ceil(100);
        let at_once = most.saturating_sub(least).max(1);
        let rounds = wanted.div_ceil(at_once);
        let containers = definition.container_definitions();
        let seconds = |value: Option<i32>, usual| u64::try_from(value.unwrap_or(usual)).unwrap_or(0);
        let checked = containers.iter().filter_map(|c| c.health_check()).map(|check| {
            seconds(check.start_period(), 0) + seconds(check.interval(), 30) * seconds(check.retries(), 3)
        });
        let balanced = !service.load_balancers().is_empty();
        let grace = seconds(service.health_check_grace_period_seconds(), 0);
        let behind = if balanced { grace + BALANCED } else { grace };
        let health = checked.max().unwrap_or(0).max(behind).max(u64::from(health_s));
        let stop = containers.iter().map(|c| seconds(c.stop_timeout(), 30)).max().unwrap_or(STOP);
        let drain = if balanced { DRAIN } else { 0 } + stop;
        let bake = rules.and_then(|r| r.bake_time_in_minutes()).map_or(0, |m| seconds(Some(m), 0) * 60);
        let alarms = rules.and_then(|r| r.alarms()).is_some_and(|alarms| alarms.enable());
        let watched = if alarms { WATCHED } else { 0 };
        // The breaker lets half as many fail as there are wanted, three at least; where it would judge, it is waited for.
        let breaker = wanted.div_ceil(2).clamp(3, 200).div_ceil(at_once.max(1)) * (START + health);
        let all = (rounds * (START + health + drain)).max(breaker) + bake + watched + MARGIN;
        let limit = Duration::from_secs(all.min(LONGEST));
        let mut why = format!(
            "{rounds} rounds of at most {at_once} tasks, each {START} s to start, {health} s to become healthy, {drain} s to end the old ones"
        );
        if alarms {
            why += &format!(", {watched} s in which ECS watches the alarms");
        }
        Self { limit, why: why.replacen("1 rounds", "1 round", usize::from(rounds == 1)) }
    }
}
