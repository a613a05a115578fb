//! A shop: an order and its lines come in one atomic group of a batch, and are one transaction of a real database.
//!
//! ```console
//! $ cargo run
//! $ DATABASE_URL='sqlite://shop.db?mode=rwc' cargo run
//! $ DATABASE_URL=postgres://user:password@localhost/shop cargo run
//! ```
//!
//! | route | answer |
//! |---|---|
//! | `GET /items` | 200, `{"items":[{"sku":"cup","stock":4},…],"stock":14}` |
//! | `GET /items/{sku}` | 200, `{"sku":"cup","stock":4}` |
//! | `PUT /items/{sku}` | 200, the item; of it `stock` is required |
//! | `POST /orders` | 201, `location` and `{"id":1}`; of an order `customer` is required |
//! | `GET /orders/{id}` | 200, `{"id":1,"customer":"Ada","lines":[{"sku":"cup","quantity":1}]}` |
//! | `POST /orders/{id}/lines` | 201, the line, whose `quantity` was taken from the stock; 409 if there is less of it |
//! | `POST /wait?ms=…` | 204, after so many milliseconds: for seeing what becomes of a group that takes too long |
//!
//! 404 for an unknown item or order, 422 for JSON that is not what is asked for, 503 for "try again".

// Its macro has to come before those who use it.
#[cfg(test)]
#[macro_use]
#[path = "../tests/place/mod.rs"]
mod place;

mod database;
mod refusal;

use std::{env, num::NonZeroU32, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, Row, any::AnyRow, query, query_as, query_scalar};
use tower_multistatus::{BatchLayer, axum::RouterExt};

use crate::{
    database::{Database, Db},
    refusal::Refusal,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Removed at the end, with all that is in it.
    let scratch = tempfile::tempdir()?;
    let url = env::var("DATABASE_URL")
        .unwrap_or_else(|_| format!("sqlite://{}?mode=rwc", scratch.path().join("shop.db").display()));
    let database = Database::open(&url).await?;

    let api = Router::new()
        .route("/items", get(items))
        .route("/items/{sku}", get(item).put(stock))
        .route("/orders", post(create))
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/lines", post(add_line))
        .route("/wait", post(wait))
        .with_state(database.clone());
    let app = api
        .batch(BatchLayer::new().with_coordinator(database).allow_atomic().operation_timeout(Duration::from_secs(5)));

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");
    println!("curl -i {url}/batch -H 'content-type: application/json' -d '{BATCH}'");
    tokio::select! {
        served = async { axum::serve(listener, app).await } => Ok(served?),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// An order with two lines, all or nothing; and a look at it afterwards.
const BATCH: &str = r#"{"operations":[
  {"id":"new","group":"g","method":"POST","path":"/orders","body":{"customer":"Ada"}},
  {"group":"g","method":"POST","path":"/orders/{order}/lines","refs":{"order":"new#/id"},"body":{"sku":"tea","quantity":2}},
  {"group":"g","method":"POST","path":"/orders/{order}/lines","refs":{"order":"new#/id"},"body":{"sku":"cup","quantity":1}},
  {"path":"/orders/{order}","refs":{"order":"new#/id"}}]}"#;

#[derive(Serialize)]
struct Item {
    sku: String,
    stock: i64,
}

impl FromRow<'_, AnyRow> for Item {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self { sku: row.try_get("sku")?, stock: row.try_get("stock")? })
    }
}

#[derive(Deserialize)]
struct Stock {
    stock: u32,
}

#[derive(Deserialize)]
struct Order {
    customer: String,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    quantity: NonZeroU32,
}

async fn items(db: Db) -> Result<Json<Value>, Refusal> {
    let mut connection = db.connect().await?;
    let items: Vec<Item> = query_as("SELECT sku, stock FROM items ORDER BY sku").fetch_all(&mut *connection).await?;
    let stock: i64 = items.iter().map(|item| item.stock).sum();
    Ok(Json(json!({"items": items, "stock": stock})))
}

async fn item(db: Db, Path(sku): Path<String>) -> Result<Json<Item>, Refusal> {
    let mut connection = db.connect().await?;
    let item =
        query_as("SELECT sku, stock FROM items WHERE sku = $1").bind(sku).fetch_optional(&mut *connection).await?;
    item.map(Json).ok_or_else(unknown_item)
}

async fn stock(db: Db, Path(sku): Path<String>, Json(Stock { stock }): Json<Stock>) -> Result<Json<Item>, Refusal> {
    let mut connection = db.connect().await?;
    let item = query_as(
        "INSERT INTO items (sku, stock) VALUES ($1, $2)
         ON CONFLICT (sku) DO UPDATE SET stock = excluded.stock
         RETURNING sku, stock",
    );
    Ok(Json(item.bind(sku).bind(i64::from(stock)).fetch_one(&mut *connection).await?))
}

async fn create(db: Db, Json(Order { customer }): Json<Order>) -> Result<impl IntoResponse, Refusal> {
    let mut connection = db.connect().await?;
    let insert = query_scalar("INSERT INTO orders (customer) VALUES ($1) RETURNING id").bind(customer);
    let id: i64 = insert.fetch_one(&mut *connection).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/orders/{id}"))], Json(json!({"id": id}))))
}

async fn order(db: Db, Path(id): Path<i64>) -> Result<Json<Value>, Refusal> {
    let mut connection = db.connect().await?;
    let customer = query_scalar("SELECT customer FROM orders WHERE id = $1").bind(id);
    let customer: String = customer.fetch_optional(&mut *connection).await?.ok_or_else(unknown_order)?;
    let lines = query_as("SELECT sku, quantity FROM lines WHERE order_id = $1 ORDER BY id").bind(id);
    let lines: Vec<(String, i64)> = lines.fetch_all(&mut *connection).await?;
    let lines: Vec<Value> =
        lines.into_iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    Ok(Json(json!({"id": id, "customer": customer, "lines": lines})))
}

/// Two statements, so a transaction: the same code is right in a group and alone.
async fn add_line(db: Db, Path(order): Path<i64>, Json(line): Json<Line>) -> Result<impl IntoResponse, Refusal> {
    let mut connection = db.connect().await?;
    let mut transaction = connection.begin().await?;
    let quantity = i64::from(line.quantity.get());

    // The table itself sees to it that no stock is below zero, whoever else takes from it at the same time.
    let left: Option<i64> = query_scalar("UPDATE items SET stock = stock - $1 WHERE sku = $2 RETURNING stock")
        .bind(quantity)
        .bind(line.sku.clone())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(check) if check.is_check_violation() => {
                Refusal::new(StatusCode::CONFLICT, "there is not enough of it")
            }
            _ => error.into(),
        })?;
    let left = left.ok_or_else(unknown_item)?;

    query("INSERT INTO lines (order_id, sku, quantity) VALUES ($1, $2, $3)")
        .bind(order)
        .bind(line.sku.clone())
        .bind(quantity)
        .execute(&mut *transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            // There is such an item, as we have just seen.
            Some(key) if key.is_foreign_key_violation() => unknown_order(),
            _ => error.into(),
        })?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"sku": line.sku, "quantity": quantity, "left": left}))))
}

#[derive(Deserialize)]
struct Wait {
    ms: u64,
}

async fn wait(Query(Wait { ms }): Query<Wait>) -> StatusCode {
    println!("waiting for {ms} ms");
    tokio::time::sleep(Duration::from_millis(ms)).await;
    StatusCode::NO_CONTENT
}

fn unknown_item() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such item")
}

fn unknown_order() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such order")
}
