#![allow(clippy::unwrap_used)]

use std::fs;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

fn product(sku: &str) -> Product {
    Product { sku: sku.to_owned(), name: "Lamp".to_owned(), price: 1299 }
}

#[tokio::test]
async fn of_the_same_sku_one_is_inserted_however_many_come_at_once() {
    let place = TempDir::new().unwrap();
    let store = Store::open(&place.path().join("products.db"), 16).unwrap();

    let mut inserts = JoinSet::new();
    for index in 0..1_000 {
        let store = store.clone();
        inserts.spawn(async move { store.insert(product(&format!("A-{}", index % 250))).await.unwrap() });
    }
    let inserted = inserts.join_all().await;

    assert_eq!(inserted.iter().filter(|inserted| **inserted == Inserted::New).count(), 250);
    assert_eq!(store.count().await.unwrap(), 250);
    assert_eq!(store.product("A-17".to_owned()).await.unwrap().unwrap().price, 1299);
    assert!(store.product("A-250".to_owned()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_answered_is_seen_from_outside() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("products.db");
    let store = Store::open(&file, 16).unwrap();

    assert_eq!(store.insert(product("A-1")).await.unwrap(), Inserted::New);

    let other = Connection::open(file).unwrap();
    let count: i64 = other.query_one("SELECT COUNT(*) FROM products", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_written() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("products.db");
    let store = Store::open(&file, 16).unwrap();

    // As long as another one writes, ours waits.
    let mut other = Connection::open(&file).unwrap();
    let transaction = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let mut first = Box::pin(store.insert(product("A-1")));
    assert!(first.as_mut().now_or_never().is_none());
    while store.writer.capacity() < store.writer.max_capacity() {
        tokio::task::yield_now().await;
    }
    // It is at the first one now. This one comes next, and is given up.
    assert!(store.insert(product("A-2")).now_or_never().is_none());
    drop(transaction);

    assert_eq!(first.await.unwrap(), Inserted::New);
    store.insert(product("A-3")).await.unwrap();
    assert!(store.product("A-2".to_owned()).await.unwrap().is_none());
    assert_eq!(store.count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_that_were_in_it() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("products.db");
    let store = Store::open(&file, 16).unwrap();
    Connection::open(&file).unwrap().execute_batch("DROP TABLE products").unwrap();

    assert!(store.insert(product("A-1")).await.is_err());
    // The thread goes on.
    assert!(store.insert(product("A-2")).await.is_err());
    fs::remove_file(file).unwrap();
}
