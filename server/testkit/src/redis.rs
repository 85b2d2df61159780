//! A real Redis of one's own, on a port that stays the same when it is killed and started again.
//!
//! Where the program is not installed, a test says its own name and that it was skipped.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{docker::skipped, free_port};

/// A Redis server; it ends with its holder, and with the test's process however that ends.
#[derive(Debug)]
pub struct Redis {
    /// Its port on the loopback address.
    pub port: u16,
    folder: TempDir,
    keeper: Option<Child>,
}

impl Redis {
    /// Starts one, or none is installed, and then the test that asks is skipped by its name.
    pub fn find(test: &str) -> Option<Self> {
        let there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            skipped(test, "no redis-server");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("seamless-test-redis-").tempdir().unwrap();
        let mut redis = Self { port: free_port(), folder, keeper: None };
        redis.restart();
        Some(redis)
    }

    /// How it is reached.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, with nothing in it, and returns when it listens.
    pub fn restart(&mut self) {
        assert!(self.keeper.is_none(), "it runs");
        // The shell waits for the end of its standard input, which is ours to close, by hand or by ending.
        let script = r#"
            redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no --dir . --loglevel warning >redis.log 2>&1 &
            read -r _ || :
            kill -9 $!
            wait
        "#;
        let keeper = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env("port", self.port.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it without a word, with everything in it.
    pub fn kill9(&mut self) {
        let mut keeper = self.keeper.take().expect("it does not run");
        drop(keeper.stdin.take());
        keeper.wait().unwrap();
    }

    /// What it answers to a command of words without blanks: a line, or for a list how long it is.
    pub fn said(&self, command: &str) -> String {
        use std::io::Write;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(!line.starts_with('-'), "{command}: {line}");
        line.trim_end().trim_start_matches(['+', ':', '*', '$']).to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            self.kill9();
        }
    }
}
