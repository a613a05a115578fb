//! All parts of a batch, and of its change sets.

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::{
    DIALECT,
    content_ids::{ContentIds, Scope, change_set, key},
    request::Request,
};
use crate::{
    batch::Batch,
    builder::{BatchBuilder, DecodeContext},
    format::odata_protocol::continue_on_error,
    parts::{Boundary, Part, PartContent, only},
    problem::Problem,
    rejection::Rejection,
};

/// Reads the whole. Targets and bodies are slices of `source`.
pub(super) fn decode(cx: DecodeContext<'_>, source: &Bytes) -> Result<Batch, Rejection> {
    let content_type = cx.head().headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = Boundary::of(content_type.unwrap_or_default())?;
    let mut batch = cx.batch("");
    batch.dialect(DIALECT);
    if let Some(goes_on) = continue_on_error(&cx.head().headers) {
        batch.prefer_to_stop(!goes_on);
    }
    let mut requests = Requests { cx, source, boundary: &boundary, batch, ids: ContentIds::default(), change_sets: 0 };
    for part in boundary.split(source) {
        requests.part(part?)?;
    }
    requests.batch.finish()
}

/// What has been read so far.
struct Requests<'a> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    boundary: &'a Boundary,
    batch: BatchBuilder<'a>,
    ids: ContentIds,
    change_sets: usize,
}

impl Requests<'_> {
    fn part(&mut self, bytes: &[u8]) -> Result<(), Rejection> {
        let part = self.read(bytes);
        match part.content {
            // Its requests would be taken for some that stand alone.
            Ok(PartContent::Multipart(boundary, _)) if boundary == *self.boundary => Err(Rejection::malformed(SAME)),
            Ok(PartContent::Multipart(boundary, content)) => {
                // Whole before anything of it is taken. One that has more than a whole batch may have is refused as soon as
                // they are pushed.
                let most = self.cx.config().limits.operations.saturating_add(1);
                match boundary.split(content).take(most).collect::<Result<Vec<_>, _>>() {
                    Ok(parts) if parts.is_empty() => self.refuse(Problem::bad_request(EMPTY)),
                    Ok(parts) => self.change_set(&parts),
                    Err(problem) => self.refuse(problem.and("nothing of this change set was carried out")),
                }
            }
            _ => self.request(part, None),
        }
    }

    fn read<'b>(&self, bytes: &'b [u8]) -> Part<'b> {
        Part::read(bytes, self.limit())
    }

    /// How many lines a header may have.
    fn limit(&self) -> usize {
        self.cx.config().limits.headers
    }

    /// In the place of a change set of which nothing can be said.
    fn refuse(&mut self, problem: Problem) -> Result<(), Rejection> {
        let mut draft = self.cx.operation();
        draft.refuse(problem);
        self.batch.push(draft)
    }

    fn change_set(&mut self, parts: &[&[u8]]) -> Result<(), Rejection> {
        self.change_sets += 1;
        parts.iter().try_for_each(|bytes| self.request(self.read(bytes), Some(self.change_sets)))
    }

    fn request(&mut self, part: Part<'_>, scope: Scope) -> Result<(), Rejection> {
        let mut draft = self.cx.operation();
        if let Some(number) = scope {
            draft.own_group(&change_set(number), "");
        }
        let request = part.content.and_then(|content| match content {
            PartContent::Http(bytes) => Request::read(bytes),
            PartContent::Multipart(..) => Err(Problem::bad_request("a change set can't stand in a change set")),
        });
        let fields = request.as_ref().map_err(Problem::clone).and_then(|request| request.fields(self.limit()));
        // WCF Data Services write it in the request, and not in the header of the part.
        let inner_id = || only(fields.as_ref().ok()?, "Content-ID").transpose();
        let id = match part.id.as_deref().map(Ok).or_else(inner_id) {
            Some(Ok(id)) if !id.is_empty() => Some(id),
            Some(Err(problem)) => {
                draft.refuse(problem);
                None
            }
            Some(Ok(_)) | None => None,
        };
        if let Some(id) = id {
            draft.id(id);
            draft.key(&key(id, scope));
        }
        let follow = |id: &str| self.ids.find(id, scope);
        if let Ok(request) = &request {
            request.set_line(&mut draft, self.cx, self.source, follow);
        }
        let content = match (&request, &fields) {
            (Ok(request), Ok(fields)) => request.set_content(fields, &mut draft, self.source, follow),
            (Err(problem), _) | (_, Err(problem)) => Err(problem.clone()),
        };
        if let Err(problem) = content {
            draft.refuse(problem);
        }
        if let Some(id) = id {
            self.ids.add(id, scope);
        }
        self.batch.push(draft)
    }
}

const SAME: &str = "a change set has the boundary of the batch, so that nobody can tell which requests belong to it: nothing was \
                    carried out";

const EMPTY: &str = "a change set needs at least one request";
