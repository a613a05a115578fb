//! Why a request was not carried out.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tower_multistatus::Problem;

/// What handlers answer with instead: a problem document, as the batch layer's are.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl Refusal {
    pub(crate) fn new(status: StatusCode, detail: &'static str) -> Self {
        Self(Problem::new(status, detail))
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self(problem(error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0.status(), [(header::CONTENT_TYPE, "application/problem+json")], Json(self.0)).into_response()
    }
}

/// What a client is told of an error of the database. The text of the error itself is not for it.
pub(crate) fn problem(error: sqlx::Error) -> Problem {
    let code = error.as_database_error().and_then(|error| error.code());
    match (&error, code.as_deref()) {
        (sqlx::Error::PoolTimedOut, _) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "all connections to the database are in use: try again")
        }
        // PostgreSQL: transactions that can't have come one after the other, a deadlock, a lock that was not to be had
        // in time. SQLite: the latter.
        (_, Some("40001" | "40P01" | "55P03" | "5")) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another request was at the same place: try again")
        }
        _ => {
            eprintln!("the database failed: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the database failed")
        }
    }
}
