//! The three programs, as processes of their own.

#![allow(clippy::unwrap_used, dead_code, reason = "each test file uses what it needs")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A running server with a database to itself. It ends when this is dropped, however the test ends.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    place: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let place = TempDir::new().unwrap();
        let (child, address) = spawn(place.path());
        Self { child, address, place }
    }

    /// As a power failure would end it, as far as a process can tell; and another one on what it has left.
    pub(crate) fn crash_and_restart(&mut self) {
        self.crash();
        (self.child, self.address) = spawn(self.place.path());
    }

    pub(crate) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A path for a file beside the database.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// What the generator prints.
    pub(crate) fn rows(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        let mut rows = Command::new(env!("CARGO_BIN_EXE_rows"));
        rows.args(arguments.split(' ')).stdout(File::create(&path).unwrap());
        assert!(rows.status().unwrap().success());
        path
    }

    pub(crate) fn count(&self) -> u64 {
        self.get("/products")["count"].as_u64().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    pub(crate) fn import(&self, file: &Path, options: &[&str]) -> Imported {
        import(file, &self.address).args(options).output().unwrap().into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; the test has seen that, if it minds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(place: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
        .env("LISTEN", "127.0.0.1:0")
        .env("DATABASE", place.join("products.db"))
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    let mut line = String::new();
    // Both lines, for a process that prints to nobody panics.
    stdout.read_line(&mut line).unwrap();
    stdout.read_line(&mut String::new()).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").expect("the address comes first");
    (child, address.to_owned())
}

/// The client.
pub(crate) fn import(file: impl AsRef<Path>, address: &str) -> Command {
    let mut import = Command::new(env!("CARGO_BIN_EXE_import"));
    import.arg(file.as_ref()).arg(format!("http://{address}/batch")).stdin(Stdio::null());
    import
}

/// How an import has ended.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) code: i32,
    /// Without the first line, which tells the time.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Imported {
    fn from(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let (first, rest) = stdout.split_once('\n').unwrap_or_default();
        assert!(first.is_empty() || first.ends_with("a second"), "{first}");
        Self {
            code: output.status.code().expect("it was not killed"),
            stdout: rest.to_owned(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Each line as JSON.
pub(crate) fn ndjson(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
