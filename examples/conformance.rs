//! A small users API with a batch endpoint at `/batch` and at `/$batch`: the server for trying out clients.
//!
//! ```console
//! $ cargo run --example conformance
//! $ curl -i localhost:3000/users/1
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -d '{"operations":[
//!     {"method":"POST","path":"/users","body":{"name":"Eve","email":"eve@example.com"}},
//!     {"method":"PATCH","path":"/users/4","body":{"email":"eve@example.org"}},
//!     {"path":"/users/nobody"},
//!     {"path":"/blob/16"},
//!     {"path":"/boom"}]}'
//! $ curl -i 'localhost:3000/$batch' -H 'content-type: application/json' -H 'accept: application/xml' \
//!     -d '[{"path":"/users/1"},{"method":"DELETE","path":"/users/2"},{"path":"/users/2"}]'
//! ```
//!
//! | route | answer |
//! |---|---|
//! | `GET /users/{id}` | 200, `{"id":1,"name":"Ada","email":"ada@example.com"}` |
//! | `POST /users` | 201, `location` and the user; of a user `name` and `email` are required |
//! | `PUT /users/{id}` | 200, the user, replaced |
//! | `PATCH /users/{id}` | 200, the user, with the members that were sent |
//! | `DELETE /users/{id}` | 204 |
//! | `GET /slow/{ms}` | 200, after so many milliseconds |
//! | `GET /blob/{n}` | 200, so many bytes: 0, 1, 2 … 255, 0 …; 400 above 64 MiB |
//! | `GET /boom` | panics: a 500 in a batch, else a broken connection |
//! | `POST /echo` | 200, what was sent |
//!
//! Every error is a JSON object with a `message`: 404 for a route that isn't there, and for an unknown id whatever the
//! method, 400 for what is not JSON or doesn't say that it is, 422 for JSON that is no user.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Path, Request, State, rejection::JsonRejection},
    http::{StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response, Result},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_multistatus::{BatchLayer, axum::RouterExt};

const MAX_BLOB: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Router::new()
        .route("/users", post(create))
        .route("/users/{id}", get(read).put(replace).patch(update).delete(remove).fallback(other))
        .route("/slow/{ms}", get(slow))
        .route("/blob/{n}", get(blob))
        .route("/boom", get(boom))
        .route("/echo", post(echo))
        .layer(map_response(explain))
        .with_state(Users::seeded());
    let app = api.batch(BatchLayer::new().also_path("/$batch"));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

#[derive(Clone, Serialize)]
struct User {
    id: usize,
    #[serde(flatten)]
    profile: Profile,
}

#[derive(Clone, Serialize, Deserialize)]
struct Profile {
    name: String,
    email: String,
}

#[derive(Deserialize)]
struct Changes {
    name: Option<String>,
    email: Option<String>,
}

async fn create(State(users): State<Users>, Json(profile): Json<Profile>) -> impl IntoResponse {
    let user = users.lock().add(profile);
    (StatusCode::CREATED, [(header::LOCATION, format!("/users/{}", user.id))], Json(user))
}

async fn read(State(users): State<Users>, Path(id): Path<String>) -> Result<Json<User>> {
    Ok(Json(users.lock().find(&id)?.clone()))
}

/// The body is looked at only once there is a user that it could be for: an unknown id is a 404 whatever is sent to it.
async fn replace(
    State(users): State<Users>,
    Path(id): Path<String>,
    profile: Result<Json<Profile>, JsonRejection>,
) -> Result<Json<User>> {
    let mut users = users.lock();
    let user = users.find(&id)?;
    let Json(profile) = profile?;
    user.profile = profile;
    Ok(Json(user.clone()))
}

async fn update(
    State(users): State<Users>,
    Path(id): Path<String>,
    changes: Result<Json<Changes>, JsonRejection>,
) -> Result<Json<User>> {
    let mut users = users.lock();
    let user = users.find(&id)?;
    let Json(changes) = changes?;
    let Profile { name, email } = &mut user.profile;
    *name = changes.name.unwrap_or_else(|| name.clone());
    *email = changes.email.unwrap_or_else(|| email.clone());
    Ok(Json(user.clone()))
}

async fn remove(State(users): State<Users>, Path(id): Path<String>) -> StatusCode {
    let removed = users.lock().by_id.remove(&id);
    removed.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT)
}

/// What else is sent to a user.
async fn other(State(users): State<Users>, Path(id): Path<String>) -> Result<Response, StatusCode> {
    users.lock().find(&id)?;
    Ok((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD, PUT, PATCH, DELETE")]).into_response())
}

async fn slow(Path(ms): Path<u64>) -> Json<Value> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(json!({"slept": ms}))
}

async fn blob(Path(n): Path<usize>) -> Result<Vec<u8>> {
    if n > MAX_BLOB {
        return Err((StatusCode::BAD_REQUEST, format!("a blob has {MAX_BLOB} bytes at most")).into());
    }
    Ok((0..=u8::MAX).cycle().take(n).collect())
}

async fn boom() {
    panic!("boom, as asked for");
}

async fn echo(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body());
    response.headers_mut().extend(content_type.map(|value| (header::CONTENT_TYPE, value)));
    response
}

/// Makes a JSON object of each error: those of the handlers, which are bare statuses, and those of axum, which are text.
async fn explain(response: Response) -> Response {
    let status = response.status();
    if status.as_u16() < 400 {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // To axum the type is what is wrong; to this API it is a body that is no user.
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        head.status = StatusCode::BAD_REQUEST;
    }
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let message = match text.as_ref() {
        [] => status.canonical_reason().unwrap_or("error").into(),
        text => String::from_utf8_lossy(text),
    };
    // Those were about the text.
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::CONTENT_TYPE);
    (head, Json(json!({"message": message}))).into_response()
}

#[derive(Clone)]
struct Users(Arc<Mutex<Table>>);

struct Table {
    /// By the id as it stands in a path, so that what isn't a number is as unknown as one that nobody has.
    by_id: HashMap<String, User>,
    last_id: usize,
}

impl Users {
    fn seeded() -> Self {
        let mut table = Table { by_id: HashMap::new(), last_id: 0 };
        for (name, email) in
            [("Ada", "ada@example.com"), ("Grace", "grace@example.com"), ("Barbara", "barbara@example.com")]
        {
            table.add(Profile { name: name.into(), email: email.into() });
        }
        Self(Arc::new(Mutex::new(table)))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("nothing panics while it holds the table")
    }
}

impl Table {
    fn add(&mut self, profile: Profile) -> User {
        self.last_id += 1;
        let user = User { id: self.last_id, profile };
        self.by_id.insert(user.id.to_string(), user.clone());
        user
    }

    fn find(&mut self, id: &str) -> Result<&mut User, StatusCode> {
        self.by_id.get_mut(id).ok_or(StatusCode::NOT_FOUND)
    }
}
