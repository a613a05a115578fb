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
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -d '{"operations":[
//!     {"method":"POST","path":"/users","group":"g","id":"new","body":{"name":"Eve","email":"eve@example.com"}},
//!     {"method":"DELETE","path":"/users/{id}","group":"g","refs":{"id":"new#/id"}},
//!     {"path":"/users/{id}","group":"g","refs":{"id":"new#/id"}}]}'
//! ```
//!
//! The last one is an atomic group that fails, so of its new user nothing is left. Clients of OData and of Microsoft Graph
//! are understood too:
//!
//! ```console
//! $ curl -i 'localhost:3000/$batch' -H 'content-type: application/json' -d '{"requests":[
//!     {"id":"1","method":"post","url":"/users","body":{"name":"Eve","email":"eve@example.com"}},
//!     {"id":"2","method":"patch","url":"$1","dependsOn":["1"],"body":{"email":"eve@example.org"}},
//!     {"id":"3","method":"get","url":"users/nobody"}]}'
//! ```
//!
//! And those that send `multipart/mixed`, as those of Google do, too:
//!
//! ```console
//! $ curl -i 'localhost:3000/$batch' -H 'content-type: multipart/mixed; boundary=b' --data-binary '--b
//! Content-Type: application/http
//! Content-ID: <1>
//!
//! GET /users/1 HTTP/1.1
//!
//! --b--'
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
//! A user is also at `/users(1)` and `/users(id=1)`, as OData has it. With `MULTIPART_STATUS=202` multipart batches are
//! answered as clients of OData 2.0 want it.
//!
//! Every error is a JSON object with a `message`: 404 for a route that isn't there, and for an unknown id whatever the
//! method, 400 for what is not JSON or doesn't say that it is, 422 for JSON that is no user.
//!
//! Batches may be atomic as a whole, and may say what happens after a failure. An atomic group works on a copy of the
//! users, which takes the place of the others when it is committed. Meanwhile all others read what was there before, and
//! wait when they want to write.

use std::{
    collections::HashMap,
    convert::Infallible,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::to_bytes,
    extract::{
        FromRequestParts, Path, Request,
        rejection::{JsonRejection, PathRejection},
    },
    http::{Extensions, StatusCode, header, request::Parts},
    middleware::map_response,
    response::{IntoResponse, Response, Result},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, OwnedMutexGuard};
use tower_multistatus::{BatchLayer, Coordinator, Transaction, TransactionFuture, axum::RouterExt};

const MAX_BLOB: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users = Users::seeded();
    let user = || get(read).put(replace).patch(update).delete(remove).fallback(other);
    let api = Router::new()
        .route("/users", post(create))
        .route("/users/{id}", user())
        // Whatever has one segment, and no route of its own.
        .route("/{entity}", user())
        .route("/slow/{ms}", get(slow))
        .route("/blob/{n}", get(blob))
        .route("/boom", get(boom))
        .route("/echo", post(echo))
        .layer(map_response(explain))
        .with_state(users.clone());
    let mut layer = BatchLayer::new().also_path("/$batch").with_coordinator(users).allow_atomic().allow_on_failure();
    if let Ok(status) = std::env::var("MULTIPART_STATUS") {
        layer = layer.answer_status("multipart/mixed", status.parse()?);
    }
    let app = api.batch(layer);

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

async fn create(users: View, Json(profile): Json<Profile>) -> impl IntoResponse {
    let user = users.write().await.add(profile);
    (StatusCode::CREATED, [(header::LOCATION, format!("/users/{}", user.id))], Json(user))
}

/// That of a user, out of `/users/1`, `/users(1)` or `/users(id=1)`; of any other path an empty one, which nobody has.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = PathRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PathRejection> {
        let Path(segment) = Path::<String>::from_request_parts(parts, state).await?;
        if parts.uri.path().starts_with("/users/") {
            return Ok(Self(segment));
        }
        let key = segment.strip_prefix("users(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
        Ok(Self(key.strip_prefix("id=").unwrap_or(key).to_owned()))
    }
}

async fn read(users: View, Id(id): Id) -> Result<Json<User>> {
    Ok(Json(users.read().find(&id)?.clone()))
}

/// The body is looked at only once there is a user that it could be for: an unknown id is a 404 whatever is sent to it.
async fn replace(users: View, Id(id): Id, profile: Result<Json<Profile>, JsonRejection>) -> Result<Json<User>> {
    let mut users = users.write().await;
    let user = users.find(&id)?;
    let Json(profile) = profile?;
    user.profile = profile;
    Ok(Json(user.clone()))
}

async fn update(users: View, Id(id): Id, changes: Result<Json<Changes>, JsonRejection>) -> Result<Json<User>> {
    let mut users = users.write().await;
    let user = users.find(&id)?;
    let Json(changes) = changes?;
    let Profile { name, email } = &mut user.profile;
    *name = changes.name.unwrap_or_else(|| name.clone());
    *email = changes.email.unwrap_or_else(|| email.clone());
    Ok(Json(user.clone()))
}

async fn remove(users: View, Id(id): Id) -> StatusCode {
    let removed = users.write().await.by_id.remove(&id);
    removed.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT)
}

/// What else is sent to a user.
async fn other(users: View, Id(id): Id) -> Result<Response, StatusCode> {
    users.read().find(&id)?;
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

/// All users, as they have been committed.
#[derive(Clone)]
struct Users {
    table: Arc<Mutex<Table>>,
    /// Held by who writes: by a group from its beginning to its end.
    writing: Arc<AsyncMutex<()>>,
}

#[derive(Clone)]
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
        Self { table: Arc::new(Mutex::new(table)), writing: Arc::default() }
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

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().expect("nothing panics while it holds the table")
}

/// The users as one request sees them.
enum View {
    Committed(Users),
    /// Inside of an atomic group, with what it has changed so far.
    Group(Changed),
}

/// The copy that a group works on, among the extensions of its members.
#[derive(Clone)]
struct Changed(Arc<Mutex<Table>>);

impl View {
    fn read(&self) -> MutexGuard<'_, Table> {
        match self {
            Self::Committed(users) => lock(&users.table),
            Self::Group(changed) => lock(&changed.0),
        }
    }

    async fn write(&self) -> Writing<'_> {
        let turn = match self {
            Self::Committed(users) => Some(users.writing.lock().await),
            Self::Group(_) => None,
        };
        Writing { table: self.read(), _turn: turn }
    }
}

impl FromRequestParts<Users> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, users: &Users) -> Result<Self, Infallible> {
        let changed = parts.extensions.get::<Changed>().cloned();
        Ok(changed.map_or_else(|| Self::Committed(users.clone()), Self::Group))
    }
}

struct Writing<'a> {
    table: MutexGuard<'a, Table>,
    _turn: Option<AsyncMutexGuard<'a, ()>>,
}

impl Deref for Writing<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Table {
        &mut self.table
    }
}

/// One group. Dropping it leaves the users as they were.
struct Group {
    users: Users,
    changed: Changed,
    _turn: OwnedMutexGuard<()>,
}

impl Coordinator for Users {
    fn begin(&self, _batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        let users = self.clone();
        Box::pin(async move {
            let turn = Arc::clone(&users.writing).lock_owned().await;
            let copy = lock(&users.table).clone();
            let group = Group { users, changed: Changed(Arc::new(Mutex::new(copy))), _turn: turn };
            Ok(Box::new(group) as Box<dyn Transaction>)
        })
    }
}

impl Transaction for Group {
    fn attach(&self, extensions: &mut Extensions) {
        extensions.insert(self.changed.clone());
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async move {
            *lock(&self.users.table) = lock(&self.changed.0).clone();
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }
}
