//! A real PostgreSQL, started once per test process, or one that `TEST_POSTGRES_URL` names; a database of its own for each test.
//!
//! It can be made to fall and start again. Refuses to skip: a test that asks for PostgreSQL where there is none fails and says what to install.

use std::{
    env, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::free_port;

const MISSING: &str = "this test needs PostgreSQL: install it (Debian: `apt-get install postgresql`), or name a server \
     with TEST_POSTGRES_URL=postgres://user:password@host:port and install its client, psql";

struct Postgres {
    /// Without the database's name.
    url: String,
    /// Ends when this process does, however that happens: its standard input is closed then.
    own: Option<(Mutex<Child>, PathBuf)>,
}

static SERVER: OnceLock<Postgres> = OnceLock::new();

/// Ends this process's PostgreSQL as a fall would, and starts it again on the same data and port.
pub(crate) fn restart() {
    let own = SERVER.get().and_then(|server| server.own.as_ref());
    let (keeper, folder) = own.expect("PostgreSQL is not this test's own");
    let mut keeper = keeper.lock().unwrap();
    keeper.stdin.as_mut().unwrap().write_all(b"again\n").unwrap();
    expect_ready(&mut keeper, folder);
}

/// The URL of a fresh, empty database.
pub fn fresh_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(|| match env::var("TEST_POSTGRES_URL") {
        Ok(url) => Postgres { url: url.trim_end_matches('/').to_owned(), own: None },
        Err(_) => start(),
    });
    let name = format!("seamless_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let psql = program("psql").expect(MISSING);
    let made = Command::new(psql)
        .args([&format!("{}/postgres", server.url), "-q", "-c", &format!("CREATE DATABASE {name}")])
        .output()
        .unwrap();
    assert!(made.status.success(), "no database could be made: {}", String::from_utf8_lossy(&made.stderr));
    format!("{}/{name}", server.url)
}

/// On the path, else where Debian and others put what is not on it.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    for root in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"] {
        let versions = fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path().join("bin"));
        let mut versions: Vec<PathBuf> = versions
            .filter(|f| f.to_string_lossy().contains("pg") || f.to_string_lossy().contains("postgres"))
            .collect();
        versions.sort();
        versions.reverse();
        folders.extend(versions);
    }
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn start() -> Postgres {
    let initdb = program("initdb").expect(MISSING);
    let bin = initdb.parent().unwrap().to_owned();
    let folder = tempfile::Builder::new().prefix("seamless-test-pg-").tempdir().unwrap().keep();
    let port = free_port();
    // PostgreSQL does not run as root; as root it is handed to its own user. It outlives no test process: the shell that
    // started it waits for the end of its standard input, then ends it and removes what it kept.
    let script = r#"
        set -e
        as() { if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder"; setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }
        cd "$folder"
        as "$bin/initdb" -D "$folder/data" -A trust -U postgres --no-sync --locale=C.UTF-8 -E UTF8 >"$folder/initdb.log" 2>&1
        as "$bin/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/log" -o "-c listen_addresses=127.0.0.1 -p $port -k $folder -c fsync=off -c max_connections=200" start >"$folder/start.log" 2>&1
        echo ready
        while read -r _; do
            as "$bin/pg_ctl" -D "$folder/data" -m immediate -w -t 60 -l "$folder/log" restart >"$folder/start.log" 2>&1
            echo ready
        done
        as "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || :
        rm -rf "$folder"
    "#;
    let mut keeper = Command::new("/bin/sh")
        .args(["-c", script])
        .env("bin", &bin)
        .env("folder", &folder)
        .env("port", port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    expect_ready(&mut keeper, &folder);
    Postgres { url: format!("postgres://postgres@127.0.0.1:{port}"), own: Some((Mutex::new(keeper), folder)) }
}

/// Reads byte by byte: what comes later is for whoever waits then.
fn expect_ready(keeper: &mut Child, folder: &Path) {
    let mut said = [0; 6];
    let read = keeper.stdout.as_mut().unwrap().read_exact(&mut said);
    assert!(read.is_ok() && &said == b"ready\n", "PostgreSQL did not start: {}", told(folder));
}

fn told(folder: &Path) -> String {
    ["initdb.log", "start.log", "log"]
        .map(|f| fs::read_to_string(folder.join(f)).unwrap_or_default())
        .join("\n")
}
