//! A corpus of malformed and malicious batches, sent over a socket as the bytes that they are.
//!
//! Each case says what has to come of it: the outcome of each operation, so that a lost sibling is noticed, or the refusal
//! of the whole, and all that may reach the service. After each one a healthy batch has to get its right answer. What is
//! expected comes from the standards and from what the documentation promises; a case names the incident that it guards
//! against, where there was one.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "hostile/answer.rs"]
mod answer;
#[path = "hostile/bombs.rs"]
mod bombs;
#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/http.rs"]
mod http_cases;
#[path = "hostile/json.rs"]
mod json;
#[path = "hostile/multipart.rs"]
mod multipart;
#[path = "support/multipart.rs"]
mod multipart_support;
#[path = "hostile/ndjson.rs"]
mod ndjson;
#[path = "hostile/odata.rs"]
mod odata;
#[path = "hostile/programs.rs"]
mod programs;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "common/recorder.rs"]
mod recorder;
#[path = "hostile/server.rs"]
mod server;
mod support;
#[path = "hostile/wire.rs"]
mod wire;
#[cfg(feature = "xml")]
#[path = "hostile/xml.rs"]
mod xml;
