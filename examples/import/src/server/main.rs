//! A catalogue of products, which takes a million of them in one batch.
//!
//! ```console
//! $ cargo run --release
//! $ DATABASE=products.db cargo run --release
//! ```
//!
//! | route | answer |
//! |---|---|
//! | `POST /products` | 201 and `location`; of a product `sku`, `name` and `price` are required |
//! | `GET /products` | 200, `{"count":1000000}` |
//! | `GET /products/{sku}` | 200, `{"sku":"A-1","name":"Lamp","price":1299}` |
//!
//! 409 for a sku that is there already, 422 for JSON that is no product, 404 for an unknown one.

mod lines;
mod product;
mod refusal;
mod store;

use std::{env, path::PathBuf, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::{Value, json};
use tower_multistatus::{BatchLayer, Order, axum::RouterExt};

use crate::{
    lines::Csv,
    product::Product,
    refusal::Refusal,
    store::{Inserted, Store},
};

/// How many operations of a batch are under way at once, and so how many rows a commit has at most. A commit of a
/// thousand rows takes not much longer than one of a single row: what it waits for is the disk.
const CONCURRENCY: usize = 1024;
/// How far an operation may be ahead of one that has not ended: while a commit is under way, the next one fills up.
const WINDOW: usize = 4 * CONCURRENCY;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Removed at the end, with all that is in it.
    let scratch = tempfile::tempdir()?;
    let file = env::var_os("DATABASE").map_or_else(|| scratch.path().join("products.db"), PathBuf::from);
    let store = Store::open(&file, CONCURRENCY)?;

    let api = Router::new()
        .route("/products", get(count).post(create))
        .route("/products/{sku}", get(product))
        .with_state(store);
    let app = api.batch(
        BatchLayer::new()
            // No row depends on another one.
            .order(Order::Unordered)
            .concurrency(CONCURRENCY)
            .stream_window(WINDOW)
            .line_decoder(Csv)
            // A client that doesn't read is given up.
            .spawn_streams()
            .keep_alive(Duration::from_secs(15)),
    );

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");
    println!("curl -X POST -T products.ndjson -H 'content-type: application/x-ndjson' {url}/batch");
    tokio::select! {
        served = async { axum::serve(listener, app).await } => Ok(served?),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

async fn create(
    State(store): State<Store>,
    product: Result<Json<Product>, JsonRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Json(product) = product?;
    product.check()?;
    let location = format!("/products/{}", product.sku);
    match store.insert(product).await? {
        Inserted::New => Ok((StatusCode::CREATED, [(header::LOCATION, location)])),
        Inserted::AlreadyThere => Err(Refusal::new(StatusCode::CONFLICT, "there is a product with this sku already")),
    }
}

async fn count(State(store): State<Store>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"count": store.count().await?})))
}

async fn product(State(store): State<Store>, Path(sku): Path<String>) -> Result<Json<Product>, Refusal> {
    let product = store.product(sku).await?;
    product.map(Json).ok_or(Refusal::new(StatusCode::NOT_FOUND, "there is no such product"))
}
