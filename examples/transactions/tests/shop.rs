//! The shop as a process of its own, over a real socket: on SQLite, and on a PostgreSQL server that is named:
//!
//! ```console
//! $ cargo test
//! $ DATABASE_URL=postgres://user:password@localhost/shop cargo test -- --ignored
//! ```

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    env,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    ops::Deref,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, query_as, query_scalar};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinSet,
};

use crate::place::Place;

#[macro_use]
mod place;

on_both_databases! {
    the_readme_shows_what_is_answered
    an_order_comes_with_its_lines
    a_location_is_followed
    a_value_that_was_read_is_written
    a_line_that_fails_takes_the_order_with_it
    a_nonsensical_line_takes_the_order_with_it
    one_group_fails_and_the_other_counts
    an_atomic_batch_is_one_group
    without_a_group_each_request_counts_by_itself
    nothing_is_seen_of_a_group_before_its_end
    a_client_that_hangs_up_leaves_nothing
    an_operation_that_takes_too_long_leaves_nothing
    a_group_that_gets_no_connection_is_told_to_try_again
    fifty_clients_at_once_neither_lose_nor_make_stock
}

async fn the_readme_shows_what_is_answered(database: &str) {
    let mut shop = Shop::open(database).await;

    let mut batches = Vec::new();
    for block in include_str!("../README.md").split("```sh\ncurl localhost:3000").skip(1) {
        let (request, rest) = block.split_once("\n```\n").unwrap();
        let (answer, _) = rest.strip_prefix("\n```json\n").unwrap().split_once("\n```\n").unwrap();
        let (status, answered) = match request.split_once(OPTIONS) {
            None => shop.send(Method::GET, request, None).await,
            Some((target, batch)) => {
                let batch: Value = serde_json::from_str(batch.strip_suffix('\'').unwrap()).unwrap();
                batches.push(batch.clone());
                shop.send(Method::POST, target, Some(batch)).await
            }
        };
        assert!(status.is_success());
        assert_eq!(answered, serde_json::from_str::<Value>(answer).unwrap(), "{request}\n{answered}");
    }
    assert_eq!(batches.len(), 3);

    // The shop itself says how to send it the first one.
    let mut said = shop.said.recv().await.unwrap();
    while !said.ends_with('\'') {
        said.push_str(&shop.said.recv().await.unwrap());
    }
    let (_, batch) = said.strip_suffix('\'').unwrap().split_once(OPTIONS).unwrap();
    assert_eq!(serde_json::from_str::<Value>(batch).unwrap(), batches[0]);
}

/// What stands between the target and the batch.
const OPTIONS: &str = " -H 'content-type: application/json' -d '";

async fn an_order_comes_with_its_lines(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
        add_line("g", "cup", 1),
        {"path": "/orders/{order}", "refs": {"order": "new#/id"}},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [201, 201, 201, 200], "{results:?}");
    let id = &results[0]["data"]["id"];
    assert_eq!(results[0]["headers"]["location"], format!("/orders/{id}"));
    assert_eq!(results[1]["data"], json!({"sku": "tea", "quantity": 2, "left": 8}));
    let lines = json!([{"sku": "tea", "quantity": 2}, {"sku": "cup", "quantity": 1}]);
    assert_eq!(results[3]["data"], json!({"id": id, "customer": "Ada", "lines": lines}));

    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 2));
    let items = json!([{"sku": "cup", "stock": 3}, {"sku": "tea", "stock": 8}]);
    assert_eq!(shop.get("/items").await, json!({"items": items, "stock": 11}));
}

async fn a_location_is_followed(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        {"group": "g", "method": "POST", "path": "{+order}/lines", "refs": {"order": "new@location"},
         "body": {"sku": "tea", "quantity": 2}},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [201, 201], "{results:?}");
    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 1));
}

async fn a_value_that_was_read_is_written(database: &str) {
    let shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        {"id": "tea", "group": "g", "path": "/items/tea"},
        {"group": "g", "method": "POST", "path": "/orders/{order}/lines",
         "refs": {"order": "new#/id", "all": "tea#/stock"}, "body": {"sku": "tea", "quantity": {"$ref": "all"}}},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [201, 200, 201], "{results:?}");
    assert_eq!(shop.get("/items/tea").await, json!({"sku": "tea", "stock": 0}));
}

async fn a_line_that_fails_takes_the_order_with_it(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
        add_line("g", "cup", 5),
        add_line("g", "cup", 1),
        {"path": "/orders/{order}", "refs": {"order": "new#/id"}},
        {"path": "/items/tea"},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [424, 424, 409, 424, 424, 200], "{results:?}");
    assert_eq!(results[2]["error"]["detail"], "there is not enough of it");
    for undone in &results[..2] {
        let detail = undone["error"]["detail"].as_str().unwrap();
        assert!(detail.contains("rolled back"), "{detail}");
        assert_eq!(undone["headers"]["location"], Value::Null, "there is no such order");
    }
    assert_eq!(results[5]["data"], json!({"sku": "tea", "stock": 10}));
    shop.is_untouched().await;
}

async fn a_nonsensical_line_takes_the_order_with_it(database: &str) {
    let mut shop = Shop::open(database).await;

    let lines = [
        (json!({"sku": "tea", "quantity": 0}), 422),
        (json!({"sku": "tea", "quantity": -2}), 422),
        (json!({"sku": "tea", "quantity": 1.5}), 422),
        (json!({"sku": "tea"}), 422),
        (json!({"sku": "gold", "quantity": 1}), 404),
    ];
    for (line, status) in lines {
        let operations = json!([
            {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
            add_line("g", "tea", 2),
            {"group": "g", "method": "POST", "path": "/orders/{order}/lines", "refs": {"order": "new#/id"},
             "body": line},
        ]);
        let results = shop.batch(json!({"operations": operations})).await;
        assert_eq!(statuses(&results), [424, 424, status], "{results:?}");
    }
    shop.is_untouched().await;
}

async fn one_group_fails_and_the_other_counts(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "a", "group": "a", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        {"group": "a", "method": "POST", "path": "/orders/{order}/lines", "refs": {"order": "a#/id"},
         "body": {"sku": "tea", "quantity": 11}},
        {"id": "b", "group": "b", "method": "POST", "path": "/orders", "body": {"customer": "Grace"}},
        {"group": "b", "method": "POST", "path": "/orders/{order}/lines", "refs": {"order": "b#/id"},
         "body": {"sku": "tea", "quantity": 10}},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [424, 409, 201, 201], "{results:?}");
    let customers: Vec<(String,)> = query_as("SELECT customer FROM orders").fetch_all(&mut shop.eye).await.unwrap();
    assert_eq!(customers, [("Grace".to_owned(),)]);
    assert_eq!(shop.get("/items/tea").await, json!({"sku": "tea", "stock": 0}));
}

async fn an_atomic_batch_is_one_group(database: &str) {
    let mut shop = Shop::open(database).await;

    let order = |quantity: u32| {
        json!({"atomic": true, "operations": [
            {"id": "new", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
            {"method": "POST", "path": "/orders/{order}/lines", "refs": {"order": "new#/id"},
             "body": {"sku": "tea", "quantity": quantity}},
            {"path": "/orders/{order}", "refs": {"order": "new#/id"}},
        ]})
    };

    let results = shop.batch(order(11)).await;
    assert_eq!(statuses(&results), [424, 409, 424], "{results:?}");
    shop.is_untouched().await;

    let results = shop.batch(order(10)).await;
    assert_eq!(statuses(&results), [201, 201, 200], "{results:?}");
    assert_eq!(results[2]["data"]["lines"], json!([{"sku": "tea", "quantity": 10}]));
    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 1));
}

/// The handlers are the same: sent alone, and as operations without a group.
async fn without_a_group_each_request_counts_by_itself(database: &str) {
    let mut shop = Shop::open(database).await;

    let (status, order) = shop.send(Method::POST, "/orders", Some(json!({"customer": "Ada"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    let lines = format!("/orders/{}/lines", order["id"]);

    let requests = [
        (lines.as_str(), json!({"sku": "tea", "quantity": 2}), 201),
        (&lines, json!({"sku": "cup", "quantity": 5}), 409),
        (&lines, json!({"sku": "gold", "quantity": 1}), 404),
        (&lines, json!({"sku": "tea", "quantity": 0}), 422),
        // What was taken for nobody's order goes back.
        ("/orders/99/lines", json!({"sku": "tea", "quantity": 2}), 404),
    ];
    for (target, body, expected) in &requests {
        let (status, answer) = shop.send(Method::POST, target, Some(body.clone())).await;
        assert_eq!(status, *expected, "{answer}");
    }
    assert_eq!(shop.get("/items/tea").await, json!({"sku": "tea", "stock": 8}));
    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 1));

    let operations: Vec<Value> = requests
        .iter()
        .map(|(target, body, _)| json!({"method": "POST", "path": target, "body": body}))
        .chain([json!({"method": "PUT", "path": "/items/gold", "body": {"stock": 1}})])
        .collect();
    let results = shop.batch(json!(operations)).await;
    assert_eq!(statuses(&results), [201, 409, 404, 422, 404, 200], "{results:?}");
    assert_eq!(shop.get("/items").await["stock"], 4 + 6 + 1);
    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 2));
}

async fn nothing_is_seen_of_a_group_before_its_end(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
        {"group": "g", "method": "POST", "path": "/wait?ms=1000"},
    ]);
    let group = tokio::spawn({
        let customer = shop.customer();
        async move { customer.batch(json!({"operations": operations})).await }
    });
    shop.has_said("waiting for 1000 ms").await;
    shop.is_untouched().await;

    let results = group.await.unwrap();
    assert_eq!(statuses(&results), [201, 201, 204], "{results:?}");
    assert_eq!((shop.count("orders").await, shop.count("lines").await), (1, 1));
}

async fn a_client_that_hangs_up_leaves_nothing(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
        {"group": "g", "method": "POST", "path": "/wait?ms=4000"},
    ]);
    let batch = json!({"operations": operations}).to_string();
    let mut client = TcpStream::connect(shop.customer.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("host: shop\r\ncontent-type: application/json\r\ncontent-length: {}", batch.len());
    write!(client, "POST /batch HTTP/1.1\r\n{head}\r\n\r\n{batch}").unwrap();
    // Order and line are written by now.
    shop.has_said("waiting for 4000 ms").await;
    drop(client);

    // What the group has locked is free again long before its wait would have been over.
    let hung_up = Instant::now();
    let results = shop.batch(json!([{"method": "PUT", "path": "/items/tea", "body": {"stock": 10}}])).await;
    assert_eq!(statuses(&results), [200], "{results:?}");
    assert!(hung_up.elapsed() < Duration::from_secs(2), "{:?}", hung_up.elapsed());

    tokio::time::sleep(Duration::from_secs(4)).await;
    shop.is_untouched().await;
}

async fn an_operation_that_takes_too_long_leaves_nothing(database: &str) {
    let mut shop = Shop::open(database).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
        {"group": "g", "method": "POST", "path": "/wait?ms=60000"},
        add_line("g", "cup", 1),
        {"path": "/items/tea"},
    ]);
    let results = shop.batch(json!({"operations": operations})).await;

    assert_eq!(statuses(&results), [424, 424, 504, 424, 200], "{results:?}");
    assert_eq!(results[4]["data"], json!({"sku": "tea", "stock": 10}));
    shop.is_untouched().await;
}

async fn a_group_that_gets_no_connection_is_told_to_try_again(database: &str) {
    let mut shop = Shop::open(database).await;

    // As many groups as there are connections. On SQLite one of them has the lock for longer than the others wait for
    // it, and longer than the one after them waits for a connection and for the lock.
    let mut others = JoinSet::new();
    for _ in 0..8 {
        let customer = shop.customer();
        let operations = json!([{"group": "g", "method": "POST", "path": "/wait?ms=4800"}]);
        others.spawn(async move { customer.batch(json!({"operations": operations})).await });
    }
    shop.has_said("waiting for 4800 ms").await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let operations = json!([
        {"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": "Ada"}},
        add_line("g", "tea", 2),
    ]);
    let results = shop.batch(json!({"operations": operations})).await;
    assert_eq!(statuses(&results), [503, 503], "{results:?}");
    for refused in &results {
        let detail = refused["error"]["detail"].as_str().unwrap();
        assert!(detail.contains("try again"), "{detail}");
    }

    others.join_all().await;
    shop.is_untouched().await;
    let results = shop.batch(json!({"operations": operations})).await;
    assert_eq!(statuses(&results), [201, 201], "{results:?}");
}

/// What became of one order.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
enum End {
    Committed,
    /// There was not enough, or no such item.
    Refused,
    /// Told to try again, until there was no patience left.
    Busy,
    /// The client did not wait for the answer, so it doesn't know.
    HungUp,
}

async fn fifty_clients_at_once_neither_lose_nor_make_stock(database: &str) {
    let mut shop = Shop::open(database).await;

    const CLIENTS: u64 = 50;
    const ORDERS: u64 = 5;
    const SKUS: u64 = 5;
    const STOCK: u64 = 100;

    for sku in 0..SKUS {
        let (status, _) = shop.send(Method::PUT, &format!("/items/{sku}"), Some(json!({"stock": STOCK}))).await;
        assert_eq!(status, StatusCode::OK);
    }
    let before = shop.get("/items").await["stock"].as_i64().unwrap();
    let seed = env::var("SEED").map_or_else(|_| RandomState::new().hash_one(0), |seed| seed.parse().unwrap());
    println!("SEED={seed}");

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        // A connection of its own.
        let customer = shop.customer();
        let mut random = Random(seed ^ (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        clients.spawn(async move {
            let (mut ends, mut tries) = (Vec::new(), 0);
            for order in 0..ORDERS {
                let name = format!("{client}/{order}");
                let lines: Vec<(u64, u64)> =
                    // Item number SKUS isn't there.
                    (0..1 + random.below(4)).map(|_| (random.below(20 * SKUS + 1) / 20, 1 + random.below(6))).collect();
                let end = customer.order(&name, &lines, &mut random, &mut tries).await;
                ends.push((name, lines, end));
            }
            (ends, tries)
        });
    }
    let clients = tokio::time::timeout(Duration::from_secs(120), clients.join_all());
    let (orders, tries): (Vec<_>, Vec<u32>) = clients.await.expect("two minutes are enough").into_iter().unzip();
    let orders: Vec<_> = orders.into_iter().flatten().collect();

    let mut ends = HashMap::<End, usize>::new();
    for (.., end) in &orders {
        *ends.entry(*end).or_default() += 1;
    }
    println!("{} orders in {} tries: {ends:?}", orders.len(), tries.iter().sum::<u32>());
    assert!(ends[&End::Committed] > 0 && ends[&End::Refused] > 0 && !ends.contains_key(&End::Busy), "{ends:?}");

    // In one look: a group whose client has hung up may just be coming to its end.
    let after: i64 = query_scalar(
        "SELECT CAST((SELECT SUM(stock) FROM items) + (SELECT COALESCE(SUM(quantity), 0) FROM lines) AS BIGINT)",
    )
    .fetch_one(&mut shop.eye)
    .await
    .unwrap();
    assert_eq!(after, before);

    // Each order is there with all of its lines, or isn't there at all.
    let rows: Vec<(String, i64, Option<i64>)> = query_as(
        "SELECT customer, COUNT(quantity), CAST(SUM(quantity) AS BIGINT)
         FROM orders LEFT JOIN lines ON order_id = orders.id GROUP BY orders.id, customer",
    )
    .fetch_all(&mut shop.eye)
    .await
    .unwrap();
    let mut found = HashMap::<String, Vec<_>>::new();
    for (customer, lines, quantity) in rows {
        found.entry(customer).or_default().push((lines, quantity.unwrap_or_default()));
    }
    for (name, lines, end) in orders {
        let quantity: u64 = lines.iter().map(|(_, quantity)| quantity).sum();
        let whole = [(lines.len() as i64, quantity as i64)];
        let found = found.remove(&name).unwrap_or_default();
        match end {
            End::Committed => assert_eq!(found, whole, "{name}"),
            End::HungUp => assert!(found.is_empty() || found == whole, "{name}: {found:?}"),
            End::Refused | End::Busy => assert_eq!(found, [], "{name}"),
        }
    }
    assert!(found.is_empty(), "nobody's: {found:?}");
}

impl Customer {
    /// Sends one order until it is answered with something else than "try again", or hangs up.
    async fn order(&self, name: &str, lines: &[(u64, u64)], random: &mut Random, tries: &mut u32) -> End {
        let mut operations =
            vec![json!({"id": "new", "group": "g", "method": "POST", "path": "/orders", "body": {"customer": name}})];
        operations.extend(lines.iter().map(|(sku, quantity)| add_line("g", &sku.to_string(), *quantity)));
        let batch = json!({"operations": operations});
        let patience = (random.below(10) == 0).then(|| Duration::from_millis(random.below(50)));

        for _ in 0..50 {
            *tries += 1;
            let results = match patience {
                None => self.batch(batch.clone()).await,
                Some(patience) => match tokio::time::timeout(patience, self.batch(batch.clone())).await {
                    Ok(results) => results,
                    // A request that is dropped takes its connection with it.
                    Err(_) => return End::HungUp,
                },
            };
            let statuses = statuses(&results);
            let failed: Vec<_> = statuses.iter().filter(|status| ![201, 424].contains(*status)).collect();
            match failed[..] {
                [] if !statuses.contains(&424) => return End::Committed,
                [404 | 409] if !statuses.contains(&201) => return End::Refused,
                // One member has met another group, or all of them have, at the beginning or at the end.
                [503, ..] if !statuses.contains(&201) && failed.iter().all(|status| **status == 503) => {
                    tokio::time::sleep(Duration::from_millis(10 + random.below(100))).await;
                }
                _ => panic!("{results:?}"),
            }
        }
        End::Busy
    }
}

/// Xorshift: what matters is that the same seed gives the same orders.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 |= u64::from(self.0 == 0);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A line of the order that the operation `new` of the same group makes.
fn add_line(group: &str, sku: &str, quantity: u64) -> Value {
    json!({
        "group": group,
        "method": "POST",
        "path": "/orders/{order}/lines",
        "refs": {"order": "new#/id"},
        "body": {"sku": sku, "quantity": quantity},
    })
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

/// A running shop. It ends when this is dropped, however the test ends.
struct Shop {
    child: Child,
    said: UnboundedReceiver<String>,
    customer: Customer,
    /// Another connection to the same database.
    eye: AnyConnection,
}

impl Shop {
    async fn open(database: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transactions"))
            .env("LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", database)
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, mut said) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Read to the end, for a process that prints to nobody panics.
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let line = said.recv().await.expect("the address comes first");
        let url = line.strip_prefix("listening on ").unwrap();
        let eye = AnyConnection::connect(database).await.unwrap();
        Self { child, said, customer: Customer::new(url), eye }
    }

    /// Waits until the shop prints this line.
    async fn has_said(&mut self, expected: &str) {
        let said = async { while self.said.recv().await.expect("the shop goes on") != expected {} };
        tokio::time::timeout(Duration::from_secs(10), said)
            .await
            .unwrap_or_else(|_| panic!("it never said: {expected}"));
    }

    /// A count of rows, past the shop.
    async fn count(&mut self, table: &str) -> i64 {
        query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(&mut self.eye).await.unwrap()
    }

    async fn is_untouched(&mut self) {
        assert_eq!((self.count("orders").await, self.count("lines").await), (0, 0));
        let items = json!([{"sku": "cup", "stock": 4}, {"sku": "tea", "stock": 10}]);
        assert_eq!(self.get("/items").await, json!({"items": items, "stock": 14}));
    }
}

/// The shop's own customer, so that `shop.get(…)` reads well.
impl Deref for Shop {
    type Target = Customer;

    fn deref(&self) -> &Customer {
        &self.customer
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It may have ended by itself; the test has seen that, if it minds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with a connection of its own.
struct Customer {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Customer {
    fn new(url: &str) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url: url.to_owned() }
    }

    /// One more of them.
    fn customer(&self) -> Self {
        Self::new(&self.url)
    }

    async fn send(&self, method: Method, target: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(format!("{}{target}", self.url));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (head, body) = self.client.request(request.body(body.into()).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&body));
        (head.status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    async fn get(&self, target: &str) -> Value {
        let (status, answer) = self.send(Method::GET, target, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    async fn batch(&self, batch: Value) -> Vec<Value> {
        let (status, answer) = self.send(Method::POST, "/batch", Some(batch)).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{answer}");
        answer["results"].as_array().unwrap().clone()
    }
}
