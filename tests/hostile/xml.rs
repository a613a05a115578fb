//! Answers in XML to batches in JSON: nothing that a client or the service says can break the document, or add to it. The
//! reader is strict, and knows nothing of how the document is written.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play},
    json::{FAULTY, HEALTHY, JSON, LEGAL, among, between},
    wire::request,
};

const XML: &str = "accept: application/xml";

/// A name, an id as JSON has it, the same as a reader of XML gets it.
const IDS: &[(&str, &str, &str)] = &[
    ("xml: an id that closes its attribute", r#"x\" onload=\"y"#, "x\" onload=\"y"),
    ("xml: an id that closes its element", r#"x\"/></D:response><D:response>"#, "x\"/></D:response><D:response>"),
    ("xml: an id that closes a section", "x]]>y", "x]]>y"),
    ("xml: an id that closes a comment", "x--><script>alert(1)</script><!--", "x--><script>alert(1)</script><!--"),
    ("xml: xxe: an entity", "&xxe;", "&xxe;"),
    (
        "xml: xxe: a document type",
        r#"<!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]>"#,
        r#"<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>"#,
    ),
    ("xml: a billion laughs", "&lol9;&lol9;&lol9;", "&lol9;&lol9;&lol9;"),
    ("xml: an id that is escaped already", "&lt;&amp;amp;&#0;", "&lt;&amp;amp;&#0;"),
    ("xml: a processing instruction", "<?php system('id') ?>", "<?php system('id') ?>"),
    ("xml: single quotes", "x' y='z", "x' y='z"),
    ("xml: white space that attributes lose", r"a\r\n\tb  c ", "a\r\n\tb  c "),
    ("xml: NUL", r"a\u0000b", "a\u{fffd}b"),
    ("xml: a control character", r"a\u0001b", "a\u{fffd}b"),
    ("xml: escape and backspace", r"a\u001b[2J\bb", "a\u{fffd}[2J\u{fffd}b"),
    ("xml: DEL, and the controls behind it", r"a\u007f\u0085\u009f", "a\u{7f}\u{85}\u{9f}"),
    ("xml: U+FFFE", r"a\ufffeb", "a\u{fffd}b"),
    ("xml: U+FFFF", r"a\uffffb", "a\u{fffd}b"),
    ("xml: nothing but what XML has no place for", r"\u0000\u0001\ufffe\uffff", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
    ("xml: U+FDD0 and U+1FFFE, which XML bears", r"\ufdd0\ud83f\udffe", "\u{fdd0}\u{1fffe}"),
    ("xml: a line separator", r"a\u2028b", "a\u{2028}b"),
    ("xml: text from right to left", r"a\u202eb", "a\u{202e}b"),
    ("xml: a byte order mark", r"\ufeffa", "\u{feff}a"),
    ("xml: beyond the first plane", r"\ud83e\udd80", "\u{1f980}"),
    ("xml: an empty id", "", ""),
];

/// A name, a body that comes back as text, the same as JSON has it.
const BODIES: &[(&str, &str, &str)] = &[
    ("xml: a body that closes its element", r#"</b:body></b:result>"#, "</b:body></b:result>"),
    ("xml: a body that closes a section", "]]>", "]]>"),
    (
        "xml: a body that is a document",
        r#"<?xml?><!DOCTYPE x [<!ENTITY y SYSTEM \"/\">]><x>&y;</x>"#,
        r#"<?xml?><!DOCTYPE x [<!ENTITY y SYSTEM "/">]><x>&y;</x>"#,
    ),
    ("xml: a body with CR and CR LF", r"a\rb\r\nc\n", "a\rb\r\nc\n"),
    ("xml: a body with NUL", r"a\u0000b", "a\0b"),
    ("xml: a body with U+FFFE", r"a\ufffe", "a\u{fffe}"),
    ("xml: a body of white space", r" \t\n ", " \t\n "),
];

fn case(name: &'static str, operation: &str, slot: Slot) -> Case {
    let expected = Expected::Slots(Format::Xml, among(slot));
    Case::new(name, request(&[JSON, XML], between(operation)), expected).reached(HEALTHY)
}

fn with_line(name: &'static str, operation: &str, line: &str, slot: Slot) -> Case {
    case(name, operation, slot).reached([HEALTHY[0], line, HEALTHY[1]])
}

fn wholes() -> Vec<Case> {
    let refused = |name, document: &str, status, says| {
        Case::new(name, request(&[JSON, XML], document), Expected::Refused(status, says))
    };
    let same = r#"[{"path":"/a"},{"path":"/a"},{"path":"/batch?operation=1"},{"path":"/a"}]"#;
    let slots = || {
        vec![
            Slot::from(200).body("GET /a"),
            Slot::from(200).body("GET /a"),
            Slot::from(200).body("GET /batch?operation=1"),
            Slot::from(200).body("GET /a"),
        ]
    };
    let both = r#"{"requests":[{"id":"\u0000]]>","method":"get","url":"/a"}]}"#;
    vec![
        refused("xml: a refusal is a problem document all the same", "[", 400, "not valid JSON"),
        refused("xml: a refusal that repeats what is no XML", r#"{"\u0001]]>":1,"\u0001]]>":2}"#, 400, "twice"),
        Case::new(
            "xml: a target that looks like a stand-in",
            request(&[JSON, XML], same),
            Expected::Slots(Format::Xml, slots()),
        )
        .reached(["GET /a", "GET /a", "GET /a", "GET /batch?operation=1"]),
        Case::new(
            "xml: a batch of odata",
            request(&[JSON, XML], both),
            Expected::Slots(Format::Xml, vec![Slot::from(200).id("\u{fffd}]]>")]),
        )
        .reached(["GET /a"]),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let ids = IDS.iter().map(|(name, id, read)| {
        with_line(name, &format!(r#"{{"id":"{id}","path":"/a"}}"#), "GET /a", Slot::from(200).id(*read))
    });
    let bodies = BODIES.iter().map(|(name, body, read)| {
        let operation =
            format!(r#"{{"method":"PUT","path":"/echo","headers":{{"content-type":"text/plain"}},"body":"{body}"}}"#);
        with_line(name, &operation, format!("PUT /echo {read}").trim_end(), Slot::from(200).body(read))
    });
    let lone = case(
        "xml: a lone surrogate as an id",
        r#"{"id":"\ud800","path":"/a"}"#,
        Slot::from(400).says("must be a string"),
    );
    let quotes = case(
        "xml: a target with quotes is refused, and told nowhere",
        r#"{"path":"/\"><x y=\" z"}"#,
        Slot::from(400).at("/operations/1/path"),
    );
    let escaped = with_line(
        "xml: a target with an entity and quotes",
        r#"{"path":"/&xxe;\"'?]]"}"#,
        r#"GET /&xxe;"'?]]"#,
        Slot::from(200),
    );
    ids.chain(bodies).chain([lone, quotes, escaped]).chain(wholes()).collect()
}

/// What is wrong with an operation is told in each format.
fn as_in_json() -> Vec<Case> {
    let faulty = FAULTY.iter().flat_map(|rows| rows.iter()).map(|(name, operation, pointer, says)| {
        // An id that has a place in XML, and names that have none, are told by their pointers.
        case(name, operation, Slot::from(400).at(format!("/operations/1{pointer}")).says(says))
    });
    let legal =
        LEGAL.iter().map(|(name, operation, line)| with_line(name, operation, line, Slot::from(200).body(line)));
    faulty.chain(legal).collect()
}

#[tokio::test]
async fn answers_in_xml() {
    play(cases(), 38).await;
}

#[tokio::test]
async fn operations_of_json_answered_in_xml() {
    let cases = as_in_json();
    let count = cases.len();
    play(cases, count).await;
}
