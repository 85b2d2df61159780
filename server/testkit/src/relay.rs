//! A way between two programs that can be cut: nothing passes then, and neither side is told, as when a cable is pulled.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

use crate::free_port;

/// Passes connections on to a port, while it is not cut.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens on the loopback address.
    pub port: u16,
    cut: watch::Sender<bool>,
}

impl Relay {
    /// To a port of the loopback address, whoever listens there.
    pub async fn to(port: u16) -> Self {
        let own = free_port();
        let listener = TcpListener::bind(("127.0.0.1", own)).await.unwrap();
        let (cut, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    let mut open = state.clone();
                    if open.wait_for(|cut| !cut).await.is_err() {
                        return;
                    }
                    let Ok(to) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else {
                        return;
                    };
                    let _ = (from.set_nodelay(true), to.set_nodelay(true));
                    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
                    tokio::select! {
                        () = pass(from_read, to_write, state.clone()) => {}
                        () = pass(to_read, from_write, state) => {}
                    }
                });
            }
        });
        Self { port: own, cut }
    }

    /// Nothing passes from now on.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// What was sent meanwhile arrives.
    pub fn mend(&self) {
        self.cut.send_replace(false);
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if cut.wait_for(|cut| !cut).await.is_err()
            || read == 0
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
