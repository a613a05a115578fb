//! A token check and a rate limit *inside* the batch layer: each operation passes them, so a batch is no way around.
//!
//! ```console
//! $ BUDGET=3 cargo run --example auth
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' \
//!     -d '[{"path":"/health"},{"path":"/me"}]'                                      # 200 and 401
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -H 'authorization: Bearer ada-secret' \
//!     -d '[{"path":"/me"},{"path":"/me"},{"path":"/me"},{"path":"/me"},{"path":"/health"}]'   # the fourth is a 429
//! $ curl -i localhost:3000/me -H 'authorization: Bearer ada-secret'                 # 429: it all was one budget
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -H 'authorization: Bearer grace-secret' \
//!     -d '[{"path":"/me","headers":{"authorization":"Bearer ada-secret"}},{"path":"/me"}]'    # 400 and 200
//! ```
//!
//! Operations inherit the batch's `authorization`; by themselves they can't set one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tower_multistatus::{BatchLayer, axum::RouterExt};

/// Who has which token. A real server has them hashed, in a database.
const TOKENS: [(&str, &str); 2] = [("ada-secret", "Ada"), ("grace-secret", "Grace")];
/// How long a token's budget has to last.
const WINDOW: Duration = Duration::from_secs(60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let budget = std::env::var("BUDGET").map_or(Ok(10), |budget| budget.parse())?;
    let api = Router::new()
        .route("/me", get(me))
        // The last one is the outermost: who isn't known spends nobody's budget.
        .route_layer(from_fn_with_state(Limiter::new(budget), limit))
        .route_layer(from_fn(authenticate))
        .route("/health", get(async || "well"));
    let app = api.batch(BatchLayer::new());

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn me(Extension(User(name)): Extension<User>) -> Json<Value> {
    Json(json!({"name": name}))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct User(&'static str);

async fn authenticate(mut request: Request, next: Next) -> Response {
    let Some(user) = user(request.headers()) else {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    request.extensions_mut().insert(user);
    next.run(request).await
}

fn user(headers: &HeaderMap) -> Option<User> {
    let (scheme, sent) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let (_, name) = TOKENS.into_iter().find(|(token, _)| *token == sent)?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(User(name))
}

async fn limit(
    State(limiter): State<Limiter>,
    Extension(user): Extension<User>,
    request: Request,
    next: Next,
) -> Response {
    match limiter.spend(user) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            // Whole seconds, rounded up: a client that waits so long is let in.
            let seconds = wait.as_secs() + 1;
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

/// So many requests of one user in one window of time.
#[derive(Clone)]
struct Limiter {
    budget: u32,
    windows: Arc<Mutex<HashMap<User, Window>>>,
}

struct Window {
    began: Instant,
    spent: u32,
}

impl Limiter {
    fn new(budget: u32) -> Self {
        Self { budget, windows: Arc::default() }
    }

    /// Takes one request off the user's budget; where nothing is left, the error is how long to wait for more.
    fn spend(&self, user: User) -> Result<(), Duration> {
        let mut windows = self.windows.lock().expect("nothing panics while it holds the windows");
        let now = Instant::now();
        let window = windows.entry(user).or_insert(Window { began: now, spent: 0 });
        if now - window.began >= WINDOW {
            *window = Window { began: now, spent: 0 };
        }
        if window.spent == self.budget {
            return Err(WINDOW - (now - window.began));
        }
        window.spent += 1;
        Ok(())
    }
}
