//! A way from a run's containers to services that run as processes on this host, which listen on its loopback address alone.
//!
//! It listens on the gateway of the run's own network, where nobody but that network's containers has any business, and it ends
//! with its holder. Refuses to understand what goes through.

use std::{io, net::IpAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The relays of a run.
#[derive(Debug, Default)]
pub(super) struct Relays(JoinSet<()>);

impl Relays {
    /// Passes connections to `port` of the gateway on to the same port of the loopback address.
    pub async fn open(&mut self, gateway: IpAddr, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((gateway, port)).await?;
        self.0.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    taken = listener.accept() => match taken {
                        Ok((from, _)) => drop(open.spawn(pass(from, port))),
                        // Out of descriptors, perhaps: others will be given back.
                        Err(_) => tokio::task::yield_now().await,
                    },
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(())
    }
}

async fn pass(mut from: TcpStream, port: u16) {
    // Whoever asks sees a connection that ends, as it would from a service that is away.
    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_goes_in_comes_out_and_all_ends_with_its_holder() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = service.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut one, _) = service.accept().await.unwrap();
            let mut read = [0; 4];
            one.read_exact(&mut read).await.unwrap();
            one.write_all(b"pong").await.unwrap();
            read
        });
        let mut relays = Relays::default();
        let gateway: IpAddr = "127.0.0.9".parse().unwrap();
        relays.open(gateway, port).await.unwrap();
        let mut client = TcpStream::connect((gateway, port)).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!((answer.as_slice(), serving.await.unwrap()), (b"pong".as_slice(), *b"ping"));
        relays.0.shutdown().await;
        assert!(TcpStream::connect((gateway, port)).await.is_err());
    }
}
