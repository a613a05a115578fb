//! What goes over the wire: requests made of bytes, and answers read strictly.

use std::time::Duration;

use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Only against hanging: nothing here takes more than a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where all batches are sent to, unless a case says otherwise.
pub(crate) const HOST: &str = "api.example.com";

/// A request to the batch endpoint with these header lines and this body, whose length it tells.
pub(crate) fn request(lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = format!("content-length: {}", body.as_ref().len());
    let mut bytes = head(&[lines, &[&length]].concat());
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// The same in chunks of so many bytes.
pub(crate) fn chunked(lines: &[&str], body: impl AsRef<[u8]>, size: usize) -> Vec<u8> {
    let mut bytes = head(&[lines, &["transfer-encoding: chunked"]].concat());
    for chunk in body.as_ref().chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The head of a request to the batch endpoint.
pub(crate) fn head(lines: &[&str]) -> Vec<u8> {
    format!("POST /batch HTTP/1.1\r\nhost: {HOST}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client's side of a connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has come of the next answer.
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Sends this in pieces, while it reads: who only wrote could wait for a server that waits for it to read. A server
    /// needn't take all of it.
    pub(crate) async fn exchange(&mut self, sent: &[u8], piece: usize, ends: bool) -> Result<Option<Response>, String> {
        let (mut reader, mut writer) = self.stream.split();
        let writing = async {
            for piece in sent.chunks(piece) {
                if writer.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if ends {
                writer.shutdown().await.unwrap_or_default();
            }
        };
        let (answer, ()) = tokio::join!(read(&mut reader, &mut self.read), writing);
        answer
    }

    /// Sends this, and doesn't wait for an answer.
    pub(crate) async fn send(&mut self, sent: &[u8]) {
        self.stream.write_all(sent).await.unwrap_or_default();
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Response>, String> {
        read(&mut self.stream, &mut self.read).await
    }
}

/// The next answer; `None` where the connection ends before one begins.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut Vec<u8>) -> Result<Option<Response>, String> {
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if fill(stream, bytes).await {
                continue;
            }
            return if bytes.is_empty() { Ok(None) } else { Err("the head of the answer is cut off".to_owned()) };
        };
        let head: Vec<u8> = bytes.drain(..end + 4).collect();
        let (status, headers) = parse(std::str::from_utf8(&head[..end]).map_err(|error| error.to_string())?)?;
        // `100 Continue` is no answer yet.
        if status >= 200 {
            let body = body(stream, bytes, &headers).await.ok_or("the answer is cut off, or its chunks are broken")?;
            return Ok(Some(Response { status, headers, body }));
        }
    }
}

/// Waits for more; whether any came.
async fn fill(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut Vec<u8>) -> bool {
    stream.read_buf(bytes).await.is_ok_and(|length| length > 0)
}

fn parse(head: &str) -> Result<(u16, HeaderMap), String> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("`{line}` is no header"))?;
        let name: http::HeaderName = name.parse().map_err(|_| format!("`{name}` is no name"))?;
        headers.append(name, value.parse().map_err(|_| format!("`{value}` is no value"))?);
    }
    Ok((status.ok_or_else(|| format!("no status line: {head}"))?, headers))
}

async fn body(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut Vec<u8>, headers: &HeaderMap) -> Option<Vec<u8>> {
    let Some(length) = headers.get("content-length") else {
        if !headers.contains_key("transfer-encoding") {
            return Some(Vec::new());
        }
        let mut body = Vec::new();
        loop {
            while !bytes.windows(2).any(|two| two == b"\r\n") {
                fill(stream, bytes).await.then_some(())?;
            }
            let end = bytes.windows(2).position(|two| two == b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
            while bytes.len() < end + 2 + size + 2 {
                fill(stream, bytes).await.then_some(())?;
            }
            let chunk: Vec<u8> = bytes.drain(..end + 2 + size + 2).skip(end + 2).collect();
            body.extend_from_slice(chunk.strip_suffix(b"\r\n")?);
            if size == 0 {
                return Some(body);
            }
        }
    };
    let length: usize = length.to_str().ok()?.parse().ok()?;
    while bytes.len() < length {
        fill(stream, bytes).await.then_some(())?;
    }
    Some(bytes.drain(..length).collect())
}
