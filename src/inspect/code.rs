//! All that can be found, in one table.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{harm::Harm, severity::Severity};

/// Makes the enum and what is said of each code of one table, so that none can lack a row.
macro_rules! codes {
    ($($code:ident = $name:literal, $severity:ident, $harm:ident, $section:literal, $what:literal, $why:literal;)+) => {
        /// What was found. The name of each is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(
                #[doc = concat!("`", $name, "`: ", $what, ". ", $why, " (", $section, ")")]
                $code,
            )+
        }

        impl Code {
            /// All of them, in the order of the table in `docs/inspect.md`.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The stable name, in kebab-case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)+ }
            }

            /// Whom it harms.
            #[must_use]
            pub fn harms(self) -> Harm {
                match self { $(Self::$code => Harm::$harm,)+ }
            }

            /// What was found.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$code => $what,)+ }
            }

            /// How it harms, in a sentence.
            #[must_use]
            pub fn why(self) -> &'static str {
                match self { $(Self::$code => $why,)+ }
            }

            /// The section of the standard that says so.
            #[must_use]
            pub fn section(self) -> &'static str {
                match self { $(Self::$code => $section,)+ }
            }
        }
    };
}

codes! {
    // The answer as a whole.
    NoBody = "no-body", Error, Client, "RFC 4918 §13",
        "a 207 with no body",
        "A 207 says nothing by itself: without a body nobody knows what became of the operations.";
    UnknownShape = "unknown-shape", Error, Client, "RFC 4918 §13",
        "a body in which no results are known: neither a multistatus in XML nor any of the shapes of batches",
        "A client that expects results finds none that it knows.";
    Refused = "refused", Info, Nobody, "RFC 9110 §15.5",
        "a status of 400 or above, and no results",
        "The batch was refused as a whole, and has no results.";
    NoContentType = "no-content-type", Warning, Client, "RFC 9110 §8.3",
        "no `Content-Type`",
        "A client has to guess how to read the body, and guesses differ.";
    ContentTypeMismatch = "content-type-mismatch", Error, Client, "RFC 9110 §8.3",
        "a body that is something else than its `Content-Type` says",
        "A client reads the body as what its type says, and fails.";
    ContentLength = "content-length", Error, Client, "RFC 9110 §8.6",
        "a `Content-Length` that is not the length of the body",
        "A client reads too little, or waits for more, and so may a proxy.";
    ContentEncoded = "content-encoded", Info, Nobody, "RFC 9110 §8.4",
        "a compressed body",
        "The body is compressed, and was not looked into: inspect it decompressed.";
    LocationOutside = "location-outside", Warning, Client, "RFC 9110 §10.2.2",
        "a `Location` on the outside",
        "A `Location` is about one resource, and a client can't tell which operation has it.";
    ValidatorOutside = "validator-outside", Warning, Cache, "RFC 9110 §8.8",
        "an `ETag` or a `Last-Modified` on the outside",
        "A validator is about one representation; a client or a cache takes it for that of the resource.";
    Cacheable = "cacheable", Warning, Cache, "RFC 9111 §3",
        "an answer that caches may keep: by `max-age`, `s-maxage`, `Expires` or `public`, without `no-store` or `no-cache`",
        "A cache may keep the outcomes of one batch, and give them to another.";
    NoCacheControl = "no-cache-control", Info, Cache, "RFC 9110 §15.1",
        "a 207 that says nothing to caches",
        "By the standard a 207 isn't kept without being asked; `no-store` tells that to caches which do it all the same.";
    FailuresHidden = "failures-hidden", Warning, Client, "RFC 4918 §13",
        "failed operations under another status than 207",
        "The outer status says that all went well, and a client that looks no further misses the failures.";
    FailuresInside = "failures-inside", Info, Nobody, "OData JSON 4.01 §19",
        "failed operations under the 200 of OData or of a multipart",
        "This format is always answered with a 200, also where operations fail: look at each.";
    AllFailed = "all-failed", Info, Client, "RFC 4918 §13",
        "a 207 of which all operations failed",
        "A 207 is right, and still a success to a client that looks at the outer status only.";
    UnexpectedStatus = "unexpected-status", Warning, Client, "RFC 4918 §13",
        "an outer status that this format isn't answered with",
        "Clients of this format look for another outer status, and don't look for results under this one.";
    NoItems = "no-items", Info, Client, "RFC 4918 §14.16",
        "an empty list of results",
        "There is no result in it.";

    // What is said in the document.
    Syntax = "syntax", Error, Client, "RFC 8259 §2, XML 1.0 §2.1",
        "JSON or XML that is not well-formed, or an entity that nobody has declared",
        "A parser refuses the document, and all outcomes are lost with it.";
    CutOff = "cut-off", Error, Client, "RFC 9112 §8",
        "an end that is missing: of JSON or XML, the closing boundary of a multipart, the summary of a stream",
        "The end is missing: nobody knows what became of the other operations.";
    NotUtf8 = "not-utf-8", Error, Client, "RFC 8259 §8.1",
        "JSON or XML that is not UTF-8",
        "A parser refuses the document, or reads other characters than were meant.";
    ByteOrderMark = "byte-order-mark", Warning, Client, "RFC 8259 §8.1",
        "a byte order mark at the beginning",
        "Some parsers refuse a document that begins with one, or miss the first part.";
    TooDeep = "too-deep", Warning, Client, "RFC 8259 §9",
        "a document of more than 64 levels",
        "Many parsers stop at 64 levels, and refuse all of the document.";
    DuplicateMember = "duplicate-member", Warning, Client, "RFC 8259 §4",
        "a member that stands twice in a JSON object (not looked for in bodies)",
        "One parser takes the first, another the last.";
    XmlNamespace = "xml-namespace", Error, Client, "RFC 4918 §14",
        "a `multistatus` in another namespace than `DAV:`, as `DAV` without the colon",
        "A client looks for elements of the namespace `DAV:`, and finds none.";
    XmlDtd = "xml-dtd", Warning, Client, "RFC 4918 §20.6",
        "a document type in XML",
        "Entities in it may fill a client's memory or read its files, so that many refuse it; nothing was expanded here.";
    SummaryWrong = "summary-wrong", Error, Client, "docs/inspect.md",
        "a `summary` that doesn't fit the results, or isn't at the end",
        "A client that looks at the summary believes something else than one that counts.";

    // One result.
    ItemShape = "item-shape", Error, Client, "RFC 4918 §14.24",
        "a result that is no JSON object",
        "A client can't read this result.";
    ItemWithoutStatus = "item-without-status", Error, Client, "RFC 4918 §14.24",
        "a result, or a `propstat`, without a status",
        "Nobody knows what became of this operation.";
    StatusLine = "status-line", Error, Client, "RFC 9112 §4",
        "a status line that is not like `HTTP/1.1 200 OK`",
        "A client that expects `HTTP/1.1 200 OK` can't read the status.";
    StatusRange = "status-range", Error, Client, "RFC 9110 §15",
        "a status below 100 or above 599, or no whole number",
        "There is no such status: one client takes it for a 500, another throws.";
    NoReason = "no-reason", Warning, Client, "RFC 9112 §4",
        "a status line without a reason phrase",
        "It may be missing, but some clients split the line into three.";
    StatusAsText = "status-as-text", Warning, Client, "OData JSON 4.01 §19",
        "a status in JSON that is a string",
        "A client that compares with a number finds no success.";
    SetCookieInside = "set-cookie-inside", Warning, Client, "RFC 6265 §8.3",
        "a `Set-Cookie` in a result",
        "A script that reads the body can read the cookie, also if that is `HttpOnly`.";
    NestedTooDeep = "nested-too-deep", Info, Nobody, "docs/inspect.md",
        "a 207 within five others",
        "A multistatus within many others, which was not looked into.";

    // Names of results.
    NoHref = "no-href", Error, Client, "RFC 4918 §14.24",
        "a response in XML without an `href`",
        "A client can't tell which resource this result is about.";
    DuplicateHref = "duplicate-href", Error, Client, "RFC 4918 §14.24",
        "an `href` that stands twice",
        "Clients keep results by their hrefs, so that one overwrites another.";
    RelativeHref = "relative-href", Error, Client, "RFC 4918 §8.3",
        "an `href` that is neither a whole URL nor a path that begins with `/`",
        "Clients don't resolve it, or each in its own way.";
    HrefFragment = "href-fragment", Error, Client, "RFC 4918 §8.3",
        "an `href` with a fragment",
        "A fragment is no part of what a client has asked for, so that it doesn't find its href again.";
    HrefSyntax = "href-syntax", Error, Client, "RFC 4918 §8.3, RFC 3986",
        "an `href` that is no URL, or has dot segments",
        "It is no URL, or has dot segments: a client compares it with what it has asked for, and finds nothing.";
    MixedHrefs = "mixed-hrefs", Warning, Client, "RFC 4918 §8.3",
        "some hrefs that are whole URLs, and some that are paths",
        "Some are whole URLs and some are paths, and a client that compares them takes one resource for two.";
    StatusAndPropstat = "status-and-propstat", Error, Client, "RFC 4918 §14.24",
        "a response in XML with both a `status` and a `propstat`",
        "A response has one or the other: with both, clients differ in which one they believe.";
    DuplicateId = "duplicate-id", Error, Client, "OData JSON 4.01 §19",
        "an id that stands twice",
        "Clients keep results by their ids, so that one overwrites another.";
    MixedIds = "mixed-ids", Warning, Client, "OData JSON 4.01 §19",
        "results without an id in OData, or in a list where others have one",
        "A client that looks for ids can't find those that have none.";
    IdNotText = "id-not-text", Warning, Client, "OData JSON 4.01 §19",
        "an id in JSON that is no string",
        "A client that looks for the string that it has sent doesn't find it.";
    DuplicateIndex = "duplicate-index", Error, Client, "docs/inspect.md",
        "an index that stands twice",
        "Two results say that they are of the same operation.";

    // Held against the batch.
    RequestUnread = "request-unread", Info, Nobody, "docs/inspect.md",
        "a request that is no batch that is known",
        "The batch could not be read, so the answer was not held against it.";
    MissingResult = "missing-result", Error, Client, "OData 4.01 §11.7",
        "an operation of the batch without a result",
        "A client doesn't know what became of an operation, and waits for it or sends it again.";
    SurplusResult = "surplus-result", Error, Client, "OData 4.01 §11.7",
        "a result of no operation of the batch",
        "A client that tells results by their places takes one for another.";
    IdNotEchoed = "id-not-echoed", Error, Client, "OData JSON 4.01 §19",
        "a result without the id of its operation",
        "A client doesn't find the result under the id that it has sent.";

    // Multipart.
    Boundary = "boundary", Error, Client, "RFC 2046 §5.1.1",
        "a multipart without a `boundary`, or without a line that has it",
        "A client can't tell where parts begin and end.";
    PartHeader = "part-header", Error, Client, "RFC 2046 §5.1, RFC 9112 §10.2",
        "a part without a header, with one that can't be read, or that is not `application/http`",
        "A client doesn't know that there is an HTTP response in this part.";
    PartLength = "part-length", Error, Client, "RFC 9110 §8.6",
        "a `Content-Length` in a part that is not the length of its body",
        "A client cuts the body of this part short, or reads into the next one.";
    BareLf = "bare-lf", Warning, Client, "RFC 2046 §4.1.1",
        "a line of a multipart that ends with LF alone",
        "A strict parser finds no boundary and no header: lines end with CRLF.";
}

impl Code {
    /// The one of this name.
    ///
    /// ```
    /// use tower_multistatus::inspect::Code;
    ///
    /// assert_eq!(Code::named("no-body"), Some(Code::NoBody));
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// With one of these an answer has not been read to its end: outcomes are unknown.
    pub(super) fn is_unreadable(self) -> bool {
        use Code::{Boundary, ContentEncoded, CutOff, NoBody, Syntax, UnknownShape};
        matches!(self, NoBody | UnknownShape | ContentEncoded | Syntax | CutOff | Boundary)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
