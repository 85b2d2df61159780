//! `seamless hook`: what a repository's post-receive hook calls. It leaves each moved ref in the data folder's inbox, then tells the
//! server to look; a server that is away finds it later.

use std::{io::BufRead, path::Path, time::Duration};

use control::inbox::{GitHook, Outcome};
use domain::{ServiceId, protocol::ADDRESSES};

use crate::inbox;

/// Reads `before after ref` lines from standard input. What goes wrong is said on standard error, which Git shows to who pushed.
pub async fn main(data: &Path, service: ServiceId) {
    let inbox = match inbox::Inbox::open(data) {
        Ok(inbox) => inbox,
        Err(e) => {
            return eprintln!("Seamless: {} cannot be opened: {e}; start the run by hand", data.display());
        }
    };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let (Some(before), Some(after), Some(reference)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let hook = GitHook {
            reference: reference.into(),
            before: before.into(),
            after: after.into(),
            by: std::env::var("USER").ok().filter(|u| !u.is_empty()),
            ..GitHook::default()
        };
        let guid = match guid() {
            Ok(guid) => guid,
            Err(e) => return eprintln!("Seamless: {e}; start the run by hand"),
        };
        if let Err(e) = inbox.leave(&guid, &inbox::Left { service, hook }) {
            eprintln!("Seamless: the push could not be noted: {e}; start the run by hand");
            continue;
        }
        tell(data, &guid).await;
    }
}

/// Sorts by time, so that a server that was away takes pushes in order.
fn guid() -> control::Result<String> {
    let millis = control::wall_clock().0.max(0) as u64;
    let random = u128::from_le_bytes(control::seal::random::<16>()?);
    Ok(domain::DeliveryId::from_parts(millis, random).to_string())
}

async fn tell(data: &Path, guid: &str) {
    let Ok(servers) = std::fs::read_to_string(data.join(ADDRESSES)) else {
        return eprintln!("Seamless: noted; no server runs yet, the next one takes it up");
    };
    // Reading the machine's certificates would take longer than everything else here, and the server's own address needs none.
    let client =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(5)).build();
    let Ok(client) = client else { return };
    // Whichever of this folder's servers answers: the first that does, takes it in.
    let mut sent = None;
    for server in servers.lines() {
        let look = client.post(format!("{server}/hooks/inbox")).json(&serde_json::json!({ "guid": guid }));
        if let Ok(answer) = look.send().await {
            sent = Some((server, answer));
            break;
        }
    }
    let Some((server, answer)) = sent else {
        return eprintln!("Seamless: noted; the server is away and takes it up when it is back");
    };
    match answer {
        answer if answer.status().is_success() => match answer.json::<Outcome>().await {
            Ok(Outcome { run: Some(run), .. }) => eprintln!("Seamless: {server}/runs/{run}"),
            Ok(Outcome { reason: Some(reason), .. }) => eprintln!("Seamless: {reason}"),
            _ => eprintln!("Seamless: noted"),
        },
        answer => eprintln!("Seamless: noted; the server answered {}", answer.status()),
    }
}
