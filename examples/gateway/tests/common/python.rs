//! An upstream in Python.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::raw::exchange;

pub(crate) struct Python {
    child: Child,
    pub(crate) address: String,
}

impl Python {
    /// None, said so, where there is no Python.
    pub(crate) fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/upstream.py");
        let Ok(mut child) = Command::new("python3").arg(script).stdout(Stdio::piped()).spawn() else {
            println!("skipped: the upstream in Python, for there is no python3");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Some(Self { child, address: format!("127.0.0.1:{}", line.trim()) })
    }

    /// How often each operation came.
    pub(crate) fn counts(&self) -> Value {
        let answer = exchange(&self.address, "GET /counts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
