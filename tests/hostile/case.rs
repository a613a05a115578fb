//! One attack as data: what is sent, and what has to come of it.

use std::collections::HashSet;

use serde_json::json;
use tokio::time::timeout;

use super::{
    answer::{self, Format},
    server::{Seen, Server, Stack},
    wire::{Connection, HOST, PATIENCE, Response, request},
};

pub(crate) struct Case {
    name: &'static str,
    stack: Stack,
    sent: Vec<u8>,
    /// Sent so many bytes at a time.
    piece: usize,
    then: Then,
    expected: Expected,
    /// What the service gets, in any order. Nothing, unless a case says so.
    reached: Vec<String>,
    /// Which host each of these is told.
    host: &'static str,
    /// Headers that each of these has, with all of their values.
    bears: Vec<(&'static str, Vec<&'static str>)>,
    /// The answer to what stands behind the batch on the same connection.
    followed_by: Option<u16>,
    /// Whether the connection has to be there for another batch.
    survives: bool,
}

/// What the client does when it has sent all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Waits,
    /// Closes its writing side, and waits.
    ShutsDown,
    HangsUp,
}

#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// A multistatus.
    Slots(Format, Vec<Slot>),
    /// A problem document for the whole batch, which says this.
    Refused(u16, &'static str),
    /// The answer of somebody else: of the HTTP server, of a layer outside, of the service to what is no batch.
    Others(u16),
    /// None, or a refusal with this status: it is open to the server whether it says something (RFC 9112 §8).
    NothingOr(u16),
}

/// What is expected of one operation; what is left empty is not looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) status: u16,
    pub(crate) id: Option<String>,
    pub(crate) body: Option<&'static str>,
    pub(crate) pointer: Option<String>,
    pub(crate) says: &'static str,
}

impl From<u16> for Slot {
    fn from(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

impl Slot {
    pub(crate) fn body(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(crate) fn id(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    pub(crate) fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }
}

/// Slots of which only the statuses matter.
pub(crate) fn statuses(format: Format, statuses: &[u16]) -> Expected {
    Expected::Slots(format, statuses.iter().map(|&status| status.into()).collect())
}

impl Case {
    pub(crate) fn new(name: &'static str, sent: Vec<u8>, expected: Expected) -> Self {
        // A server that answers before it has read all may close the connection.
        let survives = matches!(expected, Expected::Slots(..) | Expected::Refused(400, _));
        Self {
            name,
            stack: Stack::Plain,
            sent,
            piece: usize::MAX,
            then: Then::Waits,
            expected,
            reached: Vec::new(),
            host: HOST,
            bears: Vec::new(),
            followed_by: None,
            survives,
        }
    }

    pub(crate) fn on(self, stack: Stack) -> Self {
        Self { stack, ..self }
    }

    pub(crate) fn in_pieces(self, piece: usize) -> Self {
        Self { piece, ..self }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, survives: false, ..self }
    }

    pub(crate) fn reached<S: ToString>(self, lines: impl IntoIterator<Item = S>) -> Self {
        let reached = lines.into_iter().map(|line| line.to_string()).collect();
        Self { reached, ..self }
    }

    pub(crate) fn host(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    /// All values of a header that the service has to get, and no others.
    pub(crate) fn bears(mut self, name: &'static str, values: &[&'static str]) -> Self {
        self.bears.push((name, values.to_vec()));
        self
    }

    pub(crate) fn lacks(self, name: &'static str) -> Self {
        self.bears(name, &[])
    }

    pub(crate) fn followed_by(self, status: u16) -> Self {
        Self { followed_by: Some(status), survives: false, ..self }
    }

    pub(crate) fn ends_the_connection(self) -> Self {
        Self { survives: false, ..self }
    }

    async fn play(&self) -> Result<(), String> {
        let server = Server::new(self.stack).await;
        let (stream, served) = server.connect().await;
        let mut client = Connection::new(stream);
        if self.then == Then::HangsUp {
            client.send(&self.sent).await;
            // What has come must have been seen before the client is gone.
            tokio::task::yield_now().await;
        } else {
            let answer = client.exchange(&self.sent, self.piece.min(self.sent.len()), self.then == Then::ShutsDown);
            let answer = answer.await?;
            self.judge(answer.as_ref())?;
            if let Some(status) = self.followed_by {
                let next = client.next().await?.map(|next| next.status);
                require(next == Some(status), || format!("what stands behind it is answered with {next:?}"))?;
            }
            let closes = answer.is_none_or(|answer| answer.header("connection") == Some("close"));
            require(!(self.survives && closes), || "the connection is closed".to_owned())?;
            self.judge_reached(&server)?;
            if !closes && self.followed_by.is_none() && self.then == Then::Waits {
                let health = health(&mut client).await;
                require(!self.survives || health.is_ok(), || format!("on the same connection: {health:?}"))?;
                server.record.take();
            }
        }
        drop(client);
        served.await.map_err(|error| format!("the connection panicked: {error}"))?;
        if self.then == Then::HangsUp {
            self.judge_reached(&server)?;
        }
        let (stream, served) = server.connect().await;
        health(&mut Connection::new(stream)).await.map_err(|error| format!("on the next connection: {error}"))?;
        served.await.map_err(|error| format!("the next connection panicked: {error}"))
    }

    fn judge(&self, answer: Option<&Response>) -> Result<(), String> {
        let Some(answer) = answer else {
            let may_be_silent = matches!(self.expected, Expected::NothingOr(_));
            return require(may_be_silent, || "there is no answer".to_owned());
        };
        match &self.expected {
            Expected::Slots(format, slots) => {
                assert_ours(answer)?;
                let told = answer::read(answer, *format)?;
                let of = |told: &[answer::Told]| told.iter().map(|one| one.status).collect::<Vec<_>>();
                let expected: Vec<_> = slots.iter().map(|slot| slot.status).collect();
                require(of(&told) == expected, || format!("statuses {:?} instead of {expected:?}", of(&told)))?;
                told.iter().zip(slots).try_for_each(|(told, slot)| judge_slot(told, slot))
            }
            Expected::Refused(status, says) => {
                assert_ours(answer)?;
                assert_problem(answer, *status, says)
            }
            Expected::Others(status) => {
                require(answer.status == *status, || format!("answered with {}", answer.status))
            }
            Expected::NothingOr(status) => assert_problem(answer, *status, ""),
        }
    }

    fn judge_reached(&self, server: &Server) -> Result<(), String> {
        let seen = server.record.take();
        for Seen { line, headers, fault, .. } in &seen {
            require(fault.is_none(), || format!("`{line}`: {}", fault.unwrap_or_default()))?;
            let values = |name: &str| headers.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
            let hosts = values("host");
            require(hosts == [self.host.as_bytes()], || format!("`{line}` has the host {hosts:?}"))?;
            for (name, expected) in &self.bears {
                let is_right = values(name) == expected.iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
                require(is_right, || format!("`{line}` has {name}: {:?}", headers.get_all(*name)))?;
            }
        }
        let mut lines: Vec<_> = seen.into_iter().map(|seen| seen.line).chain(server.record.log.take()).collect();
        let mut expected = self.reached.clone();
        lines.sort();
        expected.sort();
        require(lines == expected, || format!("the service got {lines:?} instead of {expected:?}"))
    }
}

fn judge_slot(told: &answer::Told, slot: &Slot) -> Result<(), String> {
    let is_right = slot.id.as_ref().is_none_or(|id| told.id.as_ref() == Some(id))
        && slot.body.is_none_or(|body| told.body == json!(body))
        && slot.pointer.as_ref().is_none_or(|pointer| told.pointer.as_ref() == Some(pointer))
        && told.detail.as_deref().unwrap_or_default().contains(slot.says);
    require(is_right, || format!("{told:?} instead of {slot:?}"))
}

/// Nothing that a client sends becomes a header of the answer, and no cache keeps it.
fn assert_ours(answer: &Response) -> Result<(), String> {
    const KNOWN: [&str; 8] = [
        "accept-encoding",
        "accept-post",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "transfer-encoding",
    ];
    let unknown = answer.headers.keys().find(|name| !KNOWN.contains(&name.as_str()));
    require(unknown.is_none(), || format!("the answer has a header {unknown:?}"))?;
    require(answer.header("cache-control") == Some("no-store"), || "a cache may keep the answer".to_owned())
}

/// A refusal is short, whatever it refuses.
fn assert_problem(answer: &Response, status: u16, says: &str) -> Result<(), String> {
    let text = String::from_utf8_lossy(&answer.body);
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_right = answer.status == status
        && answer.header("content-type") == Some("application/problem+json")
        && problem["status"] == status
        && problem["type"] == "about:blank"
        && problem["title"].is_string()
        && problem["detail"].as_str().is_some_and(|detail| detail.contains(says))
        && answer.body.len() < 2000;
    require(is_right, || format!("answered with {}: {text:.500}", answer.status))
}

/// A batch without any fault gets its right answer, to the byte.
async fn health(client: &mut Connection) -> Result<(), String> {
    let batch = r#"[{"id":"well","path":"/well"},{"method":"POST","path":"/well","body":{"n":1}}]"#;
    let sent = request(&["content-type: application/json"], batch);
    let answer = client.exchange(&sent, sent.len(), false).await?.ok_or("a healthy batch gets no answer")?;
    let expected = concat!(
        r#"{"results":[{"index":0,"id":"well","status":200,"data":"GET /well"},"#,
        r#"{"index":1,"status":200,"data":"POST /well {\"n\":1}"}],"summary":{"total":2,"succeeded":2,"failed":0}}"#,
    );
    let is_right = answer.status == 207 && answer.body == expected.as_bytes();
    require(is_right, || format!("a healthy batch is answered with {answer:?}"))
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Plays all, and then says which of them have failed. `count` is how many there are at least: a corpus must not shrink
/// unnoticed.
pub(crate) async fn play(cases: Vec<Case>, count: usize) {
    let (mut names, mut failed) = (HashSet::new(), Vec::new());
    for case in &cases {
        assert!(names.insert(case.name), "`{}` stands there twice", case.name);
        let played = timeout(PATIENCE, case.play()).await.unwrap_or_else(|_| Err("it hangs".to_owned()));
        failed.extend(played.err().map(|why| format!("{}: {why}", case.name)));
    }
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    assert_eq!(cases.len(), count, "the number of cases has changed");
}
