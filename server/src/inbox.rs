//! The folder where `seamless hook` leaves what a repository's own hook said. Who may write there is the data folder's permissions;
//! a server that is away finds the files when it comes back, so that no push is lost.
//!
//! A file is written whole under another name, synced, then renamed; it is removed only after its delivery is stored. Its name is
//! the delivery's GUID, so that reading it twice makes one run.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use control::{Control, inbox::GitHook};
use domain::ServiceId;
use serde::{Deserialize, Serialize};

/// A hook on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Left {
    /// For which service.
    pub service: ServiceId,
    /// What was said.
    pub hook: GitHook,
}

/// The folder.
#[derive(Clone)]
pub struct Inbox {
    folder: PathBuf,
    /// One reader of this process at a time: two would only do the same work twice.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Inbox {
    /// Makes the folder where it is missing.
    pub fn open(data: &Path) -> std::io::Result<Self> {
        let folder = data.join("inbox");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, reading: Arc::default() })
    }

    /// Leaves a hook under its GUID.
    pub fn leave(&self, guid: &str, left: &Left) -> std::io::Result<()> {
        let draft = self.folder.join(format!(".{guid}"));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(left)?)?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(format!("{guid}.json")))?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// Stores everything that was left as deliveries.
    pub async fn take_in(&self, control: &Control) -> control::Result<()> {
        let _reading = self.reading.lock().await;
        let mut files: Vec<PathBuf> = fs::read_dir(&self.folder)?
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        for path in files {
            let Some(guid) = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned) else { continue };
            let text = match fs::read(&path) {
                Ok(text) => text,
                // Another server of this folder was quicker.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e.into()),
            };
            match serde_json::from_slice::<Left>(&text) {
                Ok(left) => {
                    control.receive("git", &guid, left.service, &left.hook).await?;
                    match fs::remove_file(&path) {
                        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
                        _ => {}
                    }
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "this is no hook of ours; it is set aside");
                    fs::rename(&path, path.with_extension("unreadable"))?;
                }
            }
        }
        Ok(())
    }
}
