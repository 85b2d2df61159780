//! The stable port on the network of this instance's containers, so that they reach their neighbours.
//!
//! Opened when the network is there and opened again when it comes back. Refuses to be in the way of the stable port itself:
//! what cannot be opened now is tried again later.

use std::{net::IpAddr, sync::Arc};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Shared, lock, proxy::hold_port};
use crate::docker::network;

/// An open gate; it closes when it is dropped.
#[derive(Debug)]
pub struct Gate {
    at: (IpAddr, u16),
    _closes: DropGuard,
}

impl Shared {
    /// Opens, moves or closes the gate, as the network and the stable port are now.
    pub(super) fn tend_gate(self: &Arc<Self>) {
        let gateway = network::known(&self.place.data).map(|network| network.gateway);
        // Whoever listens everywhere listens there too.
        let gateway = gateway.filter(|gateway| !self.address.is_unspecified() && *gateway != self.address);
        let wanted = gateway.zip(self.listening_on());
        let mut gate = lock(&self.gate);
        if gate.as_ref().map(|gate| gate.at) == wanted {
            return;
        }
        gate.take();
        let Some(at) = wanted else { return };
        let opened = hold_port(at.0, at.1).and_then(|socket| socket.listen(1024).map_err(|e| e.to_string()));
        match opened {
            Ok(listener) => {
                let stop = CancellationToken::new();
                tokio::spawn(self.front.clone().serve(listener, stop.clone()));
                *gate = Some(Gate { at, _closes: stop.drop_guard() });
            }
            // The network may not be up yet.
            Err(error) => tracing::debug!(error, gateway = %at.0, "not open to containers"),
        }
    }
}
