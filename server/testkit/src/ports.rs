//! Ports that no other test takes: each is held by a locked file for as long as this process lives.

use std::{
    fs::{self, File},
    net::SocketAddr,
    sync::Mutex,
};

use tokio::net::TcpSocket;

/// Below the ports that the kernel and the process target hand out by themselves.
const FIRST: u16 = 10_000;
const COUNT: u16 = 9_500;

/// A port on which nothing listens, this process's own until it ends.
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("seamless-test-ports");
    fs::create_dir_all(&folder).unwrap();
    let mut held = HELD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Each process begins somewhere else, so that they seldom meet.
    let begin = u16::try_from(std::process::id() % 9_000).unwrap_or(0);
    for at in 0..COUNT {
        let port = FIRST + (begin + at) % COUNT;
        let file = File::create(folder.join(port.to_string())).unwrap();
        if file.try_lock().is_ok() && nobody_listens(port) {
            held.push(file);
            return port;
        }
    }
    panic!("no free port from {FIRST} on: what holds them?");
}

/// Looked at without listening: a process that is just being started holds our sockets for a moment.
fn nobody_listens(port: u16) -> bool {
    let may_be_taken = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))
    };
    may_be_taken().is_ok()
}
