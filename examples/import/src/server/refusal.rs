//! Why a request was not carried out.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_multistatus::Problem;

use crate::store::Failed;

/// What handlers answer with instead: a problem document, as the batch layer's are.
#[derive(Debug)]
pub(crate) struct Refusal(Problem);

impl Refusal {
    pub(crate) fn new(status: StatusCode, detail: &'static str) -> Self {
        Self(Problem::new(status, detail))
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(Problem::new(rejection.status(), rejection.body_text()))
    }
}

impl From<Failed> for Refusal {
    fn from(Failed: Failed) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the database failed")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0.status(), [(header::CONTENT_TYPE, "application/problem+json")], Json(self.0)).into_response()
    }
}
