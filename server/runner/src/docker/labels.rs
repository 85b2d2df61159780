//! The labels by which Seamless knows what it made: containers, networks, volumes and images.
//!
//! Whatever a stage attempt makes carries the attempt, so that whoever comes after a crash finds it. Refuses to know
//! anything by its name alone: names can be taken by anybody.

use std::path::Path;

use sha2::{Digest, Sha256};

/// Which server made it: two servers on one machine leave each other's things alone.
pub const INSTANCE: &str = "seamless.instance";
/// The stage attempt that made it and takes it down again: `<stage>.<attempt>`.
pub const ATTEMPT: &str = "seamless.attempt";
/// The service it belongs to.
pub const SERVICE: &str = "seamless.service";
/// The environment it is deployed to.
pub const ENVIRONMENT: &str = "seamless.environment";
/// The deployment it was first started for.
pub const DEPLOYMENT: &str = "seamless.deployment";
/// Identity of everything a container was made with.
pub const CONFIG: &str = "seamless.config";
/// Identity of everything an image was built from.
pub const INPUTS: &str = "seamless.inputs";

/// The instance that keeps its things in a data folder: twelve hexadecimal digits.
pub fn instance(data: &Path) -> String {
    let mut digest = hex::encode(Sha256::digest(data.as_os_str().as_encoded_bytes()));
    digest.truncate(12);
    digest
}
