//! The inbox: what hooks said and what became of it.
//!
//! Refuses to judge a delivery again by itself; `replay` asks `control` to.

use domain::{
    DeliveryId,
    view::{Delivery, Page, Stranger},
};
use leptos::prelude::*;

use super::{Answer, Dated};

#[cfg(feature = "ssr")]
use super::server::{actor, control, dated, refuse};

/// A page of deliveries.
#[server(name = ReadDeliveries, prefix = "/fn", endpoint = "deliveries")]
pub async fn deliveries(before: Option<DeliveryId>) -> Answer<Dated<Page<Delivery>>> {
    control()?.deliveries(before, 30).await.map(dated).map_err(refuse)
}

/// Lets a delivery run that waits for somebody to have looked at it.
#[server(prefix = "/fn", endpoint = "release")]
pub async fn release(id: DeliveryId) -> Answer<Delivery> {
    control()?.release(&actor()?, id).await.map_err(refuse)
}

/// Turns a delivery away that waits for somebody to have looked at it.
#[server(prefix = "/fn", endpoint = "turn_away")]
pub async fn turn_away(id: DeliveryId) -> Answer<Delivery> {
    control()?.turn_away(&actor()?, id).await.map_err(refuse)
}

/// What strangers propose and nobody has looked at yet.
#[server(name = ReadStrangers, prefix = "/fn", endpoint = "strangers")]
pub async fn strangers() -> Answer<Dated<Vec<Stranger>>> {
    control()?.strangers().await.map(dated).map_err(refuse)
}

/// Deals with a delivery once more.
#[server(prefix = "/fn", endpoint = "replay")]
pub async fn replay(id: DeliveryId) -> Answer<Delivery> {
    control()?.replay(&actor()?, id).await.map_err(refuse)
}
