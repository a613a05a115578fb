//! Upstreams that do what no server does, and a client that sends bytes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Reads the head of a request, and writes what it is told to: then the connection ends.
pub(crate) struct Raw {
    pub(crate) address: String,
    requests: Arc<AtomicUsize>,
}

impl Raw {
    /// `answer` gets the number of the request, from 0.
    pub(crate) fn start(answer: impl Fn(usize) -> &'static str + Send + Sync + 'static) -> Self {
        Self::new(move |number, _| answer(number))
    }

    /// `answer` gets the head of the request.
    pub(crate) fn reading(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> Self {
        Self::new(move |_, head| answer(head))
    }

    fn new(answer: impl Fn(usize, &str) -> &'static str + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicUsize::new(0));
        let (counter, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &counter, &*answer));
            }
        });
        Self { address, requests }
    }

    /// Whole requests that have come. Connections without one are not counted.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

fn serve(mut stream: TcpStream, counter: &AtomicUsize, answer: &dyn Fn(usize, &str) -> &'static str) {
    if let Some(head) = read_head(&mut stream) {
        let answer = answer(counter.fetch_add(1, SeqCst), &String::from_utf8(head).unwrap());
        // The gateway may have gone.
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(head)
}

/// A port at which nobody listens.
pub(crate) fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Sends bytes, and gives all that comes back until the connection ends.
pub(crate) fn exchange(address: &str, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // It may end by a reset, where the gateway didn't read all.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}
