//! The gateway as a process, upstreams that can be killed, and a client.

#![allow(clippy::unwrap_used, dead_code, reason = "each test file uses what it needs")]

pub(crate) mod client;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod upstream;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running gateway. It ends when this is dropped, however the test ends.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: String,
}

impl Gateway {
    pub(crate) fn start(upstreams: &[&str], options: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        for upstream in upstreams {
            command.args(["--upstream", &format!("http://{upstream}")]);
        }
        command.args(options.split_whitespace());
        if !options.contains("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").expect("it says where it listens");
        Self { child, address: address.to_owned() }
    }

    /// As whoever runs a service would end it.
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> i32 {
        self.child.wait().unwrap().code().expect("it was not killed")
    }

    /// The most memory that it ever had, where the system tells.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself; the test has seen that, if it minds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so. The bound is there only so that a test which fails ends.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
