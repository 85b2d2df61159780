//! The process `seamless runner`: takes its credentials from its standard input, leaves its parent's session, and works.
//!
//! The descriptor it got as standard input stays open for its whole life, because the server's lock on it tells that the
//! runner lives. It is kept out of reach of everything that the runner starts.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use domain::protocol::Credentials;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    ending::{Cause, Ending},
    stage::{Adoption, End, attempt},
    target::Target,
};

/// Does the stage attempt whose credentials lie on standard input; answers the exit code.
pub async fn run(target: Arc<dyn Target>) -> i32 {
    let (credentials, _life) = match credentials() {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "no credentials on standard input: `seamless runner` is started by the server");
            return End::NoCredentials.code();
        }
    };
    lead();
    let ending = Ending::default();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let ending = ending.clone();
        match signal(kind) {
            Ok(mut signals) => drop(tokio::spawn(async move {
                signals.recv().await;
                ending.end(Cause::Stopped);
            })),
            Err(error) => tracing::warn!(%error, "a signal cannot be heard"),
        }
    }
    attempt(&credentials, target, ending, Adoption::All).await.code()
}

/// Leaves the parent's session and takes in whatever a stage's processes leave behind.
pub(crate) fn lead() {
    // Fails when it leads a session already, which is as good.
    let _ = rustix::process::setsid();
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "processes that fork twice can be found by their cookie only");
    }
    // The same commit gives the same file modes, and so the same artifact, whoever started the server.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Reads the credentials and puts `/dev/null` in their place; answers them and the descriptor that must stay open.
fn credentials() -> io::Result<(Credentials, File)> {
    let mut file = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let regular = file.metadata()?.is_file();
    if regular {
        file.seek(SeekFrom::Start(0))?;
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(64 << 10).read_to_string(&mut text)?;
    let credentials =
        serde_json::from_str(&text).map_err(|_| io::Error::other("not the credentials of a stage"))?;
    if regular {
        // The token need not lie on the disk any longer.
        file.set_len(0)?;
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok((credentials, file))
}
