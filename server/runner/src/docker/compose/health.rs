//! Whether a container answers, asked from outside: images need no program of their own for it.
//!
//! Refuses to take an open port for an answer where a path was named, and Docker's own open door for the service's.

use std::time::Duration;

use reqwest::{Client, redirect::Policy};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::member::Member;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What forwards a port closes the connection at once when nobody listens behind it.
const OPEN: Duration = Duration::from_millis(250);

/// Asks a member's published port until it is well; answers why not when its time is over.
pub(super) async fn well(member: &Member<'_>, published: u16) -> Result<(), String> {
    let (launch, inside) = (member.launch, member.port);
    let limit = Duration::from_secs(u64::from(launch.health_timeout_s.max(1)));
    let (end, mut pause) = (Instant::now() + limit, Duration::from_millis(20));
    let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build();
    let client = client.map_err(|e| format!("it cannot be asked for its health: {e}"))?;
    loop {
        let ill = match &launch.health_path {
            Some(path) => asked(&client, path, published, inside).await,
            None => open(published, inside).await,
        };
        let Err(why) = ill else { return Ok(()) };
        if Instant::now() + pause >= end {
            return Err(format!("it was not healthy within {} s: {why}", limit.as_secs()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(300));
    }
}

async fn asked(client: &Client, path: &str, published: u16, inside: u16) -> Result<(), String> {
    match client.get(format!("http://127.0.0.1:{published}{path}")).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("GET {path} answered {}", answer.status().as_u16())),
        Err(error) if error.is_timeout() => Err(format!("GET {path} got no answer")),
        Err(_) => Err(closed(inside)),
    }
}

async fn open(published: u16, inside: u16) -> Result<(), String> {
    let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(("127.0.0.1", published))).await else {
        return Err(closed(inside));
    };
    match timeout(OPEN, stream.read(&mut [0; 1])).await {
        // Nobody spoke and nobody hung up, or somebody spoke first: a service.
        Err(_) | Ok(Ok(1..)) => Ok(()),
        Ok(_) => Err(closed(inside)),
    }
}

fn closed(port: u16) -> String {
    format!(
        "nothing answers on port {port} inside; it must listen on 0.0.0.0 and on the port that PORT names (container_port says which, else the image's EXPOSE, else 8080)"
    )
}
