//! A real Docker daemon for tests: the one that `SEAMLESS_TEST_DOCKER` names (as `DOCKER_HOST` would), else the usual one.
//!
//! Where none answers, a test says its own name and that it was skipped. Refuses to pull anything: the images that tests start
//! from are made of this machine's own programs.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::free_port;

/// What the images of tests hold.
const PROGRAMS: [&str; 20] = [
    "sh",
    "cat",
    "env",
    "id",
    "ls",
    "sleep",
    "head",
    "tail",
    "seq",
    "touch",
    "mkdir",
    "rm",
    "grep",
    "wc",
    "test",
    "true",
    "false",
    "sort",
    "stat",
    "sha256sum",
];

/// A daemon that answers.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Its address.
    pub host: String,
}

/// A registry of one's own; it ends with its holder.
#[derive(Debug)]
pub struct Registry {
    /// Host and port.
    pub address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// The daemon, or none, and then the test that asks is skipped by its name.
    pub fn find(test: &str) -> Option<Self> {
        let named = |name| env::var(name).ok().filter(|host: &String| !host.is_empty());
        let host = named("SEAMLESS_TEST_DOCKER")
            .or_else(|| named("DOCKER_HOST"))
            .unwrap_or_else(|| "unix:///var/run/docker.sock".into());
        let daemon = Self { host };
        let mut asked = daemon.docker(&["version", "--format", "{{.Server.Version}}"]);
        let answers = asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
        if !answers {
            skipped(test, "no Docker daemon");
        }
        answers.then_some(daemon)
    }

    /// The program, for this daemon.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", &self.host).args(arguments);
        command
    }

    /// What it says to that; it must not refuse.
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "docker {arguments:?}: {err}");
        out.trim().to_owned()
    }

    /// An image with a shell and a few programs, and the variable `FROM_IMAGE`; made once for all tests.
    pub fn base(&self) -> String {
        let name = "seamless-test/base:1";
        if self
            .docker(&["image", "inspect", name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            return name.into();
        }
        let root = tempfile::tempdir().unwrap();
        for program in PROGRAMS {
            add(root.path(), &found(program));
        }
        let bin = root.path().join("bin");
        for folder in ["tmp", "etc", "run"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        assert!(bin.join("sh").is_file(), "a shell in {}", bin.display());
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut import = self.docker(&[
            "import",
            "--change",
            "ENV PATH=/bin:/own/bin",
            "--change",
            "ENV FROM_IMAGE=yes",
            "-",
            name,
        ]);
        let made = import.stdin(tar.stdout.take().unwrap()).stdout(Stdio::null()).status().unwrap();
        assert!(tar.wait().unwrap().success() && made.success(), "an image of this machine's programs");
        name.into()
    }
}

impl Daemon {
    /// One at this address.
    pub fn at(host: &str) -> Self {
        Self { host: host.into() }
    }

    /// `base` with a web service in it, `/bin/web` (`fixtures/web.c`), that answers on `PORT`.
    pub fn served(&self) -> String {
        let name = "seamless-test/served:1";
        let base = self.base();
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/web.c");
        let mut cc = Command::new("cc");
        let made = cc
            .args(["-static", "-O1", "-w", "-o"])
            .arg(folder.path().join("web"))
            .arg(source)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = format!("FROM {base}\nCOPY --chmod=755 web /bin/web\nEXPOSE 7070\nCMD [\"/bin/web\"]\n");
        fs::write(folder.path().join("Dockerfile"), text).unwrap();
        self.said(&["build", "--quiet", "--tag", name, &folder.path().to_string_lossy()]);
        name.into()
    }
}

/// Says that a test did nothing, and why; also into the file that `SEAMLESS_TEST_SKIPPED` names, for whoever counts.
pub fn skipped(test: &str, why: &str) {
    println!("skipped: {test} ({why})");
    if let Some(path) = env::var_os("SEAMLESS_TEST_SKIPPED") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        io::Write::write_all(&mut file, format!("{test} ({why})\n").as_bytes()).unwrap();
    }
}

/// Where this machine has a program.
fn found(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("this machine has no {program}"))
}

/// A program under `/bin`, and the libraries it needs under their own paths.
fn add(root: &Path, program: &Path) {
    let copy = |from: &Path, to: PathBuf| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if !to.exists() {
            fs::copy(from, to).unwrap();
        }
    };
    copy(program, root.join("bin").join(program.file_name().unwrap()));
    let needs = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8_lossy(&needs.stdout).split_whitespace().filter(|word| word.starts_with('/'))
    {
        copy(Path::new(word), root.join(word.trim_start_matches('/')));
    }
}

impl Registry {
    /// A registry, when the program is there; it lets in `ci` with `right-password` only.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_on(test, "127.0.0.1")
    }

    /// The same on another address of this machine.
    pub fn start_on(test: &str, address: &str) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("seamless-registry-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let address = format!("{address}:{}", free_port());
        // `right-password`, as bcrypt has it.
        fs::write(at("users"), "ci:$2b$04$ts48ys.RRq6pHhDs2VB5euKBJmW8/a1Ngb7ET61ybbjgl.8alDjdm\n").unwrap();
        let settings = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: '{address}'}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nauth: {{htpasswd: {{realm: test, path: '{}'}}}}\n",
            at("data").display(),
            at("users").display()
        );
        fs::write(at("settings.yml"), settings).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(at("settings.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            skipped(test, "no docker-registry");
            return None;
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the registry ended");
            assert!(std::time::Instant::now() < deadline, "the registry did not listen on {address}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Some(Self { address, child, _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
