//! The same files give the same artifact; another content never passes for it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use runner::artifact::{self, ArtifactError, bundle, unpack};

/// A folder with everything that is awkward; `order` and `age` must not matter.
fn awkward(folder: &Path, backwards: bool, age: u64) {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut files = vec![("a", "1"), ("a.b", "2"), ("b/c", "3"), (&long, "4"), ("ä", "5")];
    if backwards {
        files.reverse();
    }
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::create_dir_all(folder.join(".git/objects")).unwrap();
    fs::write(folder.join(".git/HEAD"), age.to_string()).unwrap();
    fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", folder.join("outside")).unwrap();
    symlink("b/c", folder.join("inside")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap());
}

#[test]
fn only_content_names_and_modes_count() {
    let root = tempfile::tempdir().unwrap();
    let (one, two, artifacts) =
        (root.path().join("one"), root.path().join("two"), root.path().join("artifacts"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    awkward(&one, false, 10);
    awkward(&two, true, 100_000);
    let first = bundle(&one, &artifacts).unwrap();
    assert_eq!(bundle(&two, &artifacts).unwrap(), first);
    assert_eq!(fs::read_dir(&artifacts).unwrap().count(), 1, "nothing half-made stays");

    let out = root.path().join("out");
    unpack(&artifacts, &first.digest, &out).unwrap();
    assert_eq!(fs::read_to_string(out.join("inside")).unwrap(), "3");
    assert_eq!(fs::read_link(out.join("outside")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::metadata(out.join("a")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(out.join("empty").is_dir() && !out.join(".git").exists() && !out.join("socket").exists());
    assert_eq!(bundle(&out, &artifacts).unwrap(), first, "there and back");

    fs::write(two.join("b/c"), "changed").unwrap();
    assert_ne!(bundle(&two, &artifacts).unwrap().digest, first.digest);
}

#[test]
fn what_is_damaged_or_gone_is_not_unpacked() {
    let root = tempfile::tempdir().unwrap();
    let (one, artifacts, out) =
        (root.path().join("one"), root.path().join("artifacts"), root.path().join("out"));
    fs::create_dir(&one).unwrap();
    fs::write(one.join("a"), "1").unwrap();
    let good = bundle(&one, &artifacts).unwrap().digest;
    fs::write(one.join("a"), "2").unwrap();
    let other = bundle(&one, &artifacts).unwrap().digest;

    fs::copy(artifact::path(&artifacts, &other), artifact::path(&artifacts, &good)).unwrap();
    assert!(
        matches!(unpack(&artifacts, &good, &out), Err(ArtifactError::Damaged { found, .. }) if found == other)
    );
    fs::write(artifact::path(&artifacts, &good), "nonsense").unwrap();
    assert!(matches!(unpack(&artifacts, &good, &out), Err(ArtifactError::Io { .. })));
    assert!(matches!(unpack(&artifacts, "none", &out), Err(ArtifactError::Gone(_))));
    assert!(!out.exists());
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
