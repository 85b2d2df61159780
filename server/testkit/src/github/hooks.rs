//! The stand-in's hooks: told, signed, remembered, told again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Shared, state::Delivery};
use crate::signature;

/// GitHub waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Tells every active hook that listens.
pub(super) async fn tell(shared: &Shared, full_name: &str, event: &str, payload: Value) -> Vec<u16> {
    let hooks: Vec<u64> = {
        let mut state = shared.state();
        let hooks = state.repository(full_name).hooks.iter();
        let listening = |h: &&super::Hook| h.active && h.events.iter().any(|e| e == event || e == "*");
        hooks.filter(listening).map(|h| h.id).collect()
    };
    let mut statuses = Vec::new();
    for hook in hooks {
        let guid = format!("0000{:04x}-standin-{full_name}", shared.state().number());
        statuses
            .push(send(shared, full_name, hook, guid.replace('/', "-"), event, payload.clone(), false).await);
    }
    statuses
}

/// One attempt.
pub(super) async fn send(
    shared: &Shared,
    full_name: &str,
    hook: u64,
    guid: String,
    event: &str,
    payload: Value,
    redelivery: bool,
) -> u16 {
    let (url, secret) = {
        let mut state = shared.state();
        let Some(hook) = state.repository(full_name).hooks.iter().find(|h| h.id == hook) else { return 0 };
        (hook.url.clone(), hook.secret.clone())
    };
    let body = payload.to_string();
    let request = shared
        .http
        .post(url)
        .timeout(PATIENCE)
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", &guid)
        .header("x-github-hook-id", hook)
        .header("x-hub-signature-256", signature(&secret, body.as_bytes()))
        .body(body);
    let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
    let mut state = shared.state();
    let id = state.number();
    let delivery = Delivery { id, guid, event: event.into(), payload, status, redelivery, at: now() };
    if let Some(hook) = state.repository(full_name).hooks.iter_mut().find(|h| h.id == hook) {
        hook.deliveries.push(delivery);
    }
    status
}
