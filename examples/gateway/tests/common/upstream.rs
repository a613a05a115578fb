//! An upstream that can be killed, and knows what it was sent.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify, time::sleep};

/// What an upstream was sent. It outlives the server.
#[derive(Default)]
pub(crate) struct Seen {
    name: usize,
    /// How often each operation came, by the id in its path.
    counts: Mutex<HashMap<String, usize>>,
    running: Mutex<HashMap<Method, usize>>,
    most: AtomicUsize,
    /// Lets `/held` answers go on.
    pub(crate) go: Notify,
    /// Requests to `/held` that have come.
    pub(crate) held: AtomicUsize,
}

impl Seen {
    pub(crate) fn count(&self, id: &str) -> usize {
        self.counts.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.lock().unwrap().values().sum()
    }

    /// How many ran at once at most.
    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    pub(crate) fn running(&self, method: &Method) -> usize {
        self.running.lock().unwrap().get(method).copied().unwrap_or_default()
    }
}

/// A request that runs, until it is answered or dropped.
struct Running<'a>(&'a Seen, Method);

impl<'a> Running<'a> {
    fn new(seen: &'a Seen, method: Method) -> Self {
        let mut running = seen.running.lock().unwrap();
        *running.entry(method.clone()).or_default() += 1;
        seen.most.fetch_max(running.values().sum(), SeqCst);
        Self(seen, method)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    /// Its own, so that nothing of it goes on when it is killed.
    runtime: Option<Runtime>,
}

impl Upstream {
    pub(crate) fn start(name: usize) -> Self {
        let seen = Arc::new(Seen { name, ..Seen::default() });
        let mut upstream = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), seen, runtime: None };
        upstream.revive();
        upstream
    }

    pub(crate) fn fleet<const N: usize>() -> [Self; N] {
        std::array::from_fn(Self::start)
    }

    /// Its connections break, and new ones are refused.
    pub(crate) fn kill(&mut self) {
        let runtime = self.runtime.take().unwrap();
        // Until nothing of it runs; which a thread of another runtime may not wait for.
        thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(60))).join().unwrap();
    }

    /// At the same address as before.
    pub(crate) fn revive(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let routes = Router::new()
            .route("/op/{id}", any(operation))
            .route("/held", any(held))
            .route("/echo", any(async |body: Body| body))
            .route("/length", any(async |body: Bytes| body.len().to_string()))
            .route("/headers", any(headers))
            .route("/status/{code}", any(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
            .with_state(Arc::clone(&self.seen));
        let (address, sender) = (self.address, std::sync::mpsc::channel());
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            sender.0.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
        self.address = sender.1.recv().unwrap();
        self.runtime = Some(runtime);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts, takes its time (`?ms=`), and tells who it is.
async fn operation(
    State(seen): State<Arc<Seen>>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, u64>>,
    request: Request,
) -> Response {
    *seen.counts.lock().unwrap().entry(id).or_default() += 1;
    let running = Running::new(&seen, request.method().clone());
    sleep(Duration::from_millis(query.get("ms").copied().unwrap_or_default())).await;
    drop(running);
    ([("content-type", "application/json")], format!(r#"{{"upstream":{}}}"#, seen.name)).into_response()
}

/// Answers with "first", and with "last" when it is told to go on.
async fn held(State(seen): State<Arc<Seen>>) -> Body {
    seen.held.fetch_add(1, SeqCst);
    let parts = futures_util::stream::unfold(0, move |step| {
        let seen = Arc::clone(&seen);
        async move {
            match step {
                0 => Some(("first", 1)),
                1 => {
                    seen.go.notified().await;
                    Some(("last", 2))
                }
                _ => None,
            }
        }
    });
    Body::from_stream(futures_util::StreamExt::map(parts, Ok::<_, std::convert::Infallible>))
}

/// Each line of the head, as it came.
async fn headers(request: Request) -> String {
    let mut lines = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        lines.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    // What isn't read would make the server close the connection.
    axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    lines
}
