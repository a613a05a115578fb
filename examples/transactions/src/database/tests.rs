//! What a group may rely on, without the batch layer around it.

#![allow(clippy::unwrap_used)]

use axum::{BoxError, http::Request};
use sqlx::{query, query_scalar};

use super::*;
use crate::place::Place;

on_both_databases! {
    a_committed_group_is_there
    a_group_that_is_dropped_is_not
    a_handle_outlives_no_group
    a_handler_that_goes_on_keeps_its_group_from_being_committed
    a_group_counts_with_all_that_went_well_or_not_at_all
    of_two_groups_that_contradict_each_other_one_is_told_to_try_again
}

async fn a_committed_group_is_there(url: &str) {
    let shop = Database::open(url).await.unwrap();
    let group = begin(&shop).await.unwrap();
    order(&member(&shop, &*group)).await.unwrap();
    order(&member(&shop, &*group)).await.unwrap();
    assert_eq!(orders(&shop).await, 0);
    group.commit().await.unwrap();
    assert_eq!(orders(&shop).await, 2);
}

async fn a_group_that_is_dropped_is_not(url: &str) {
    let shop = Database::open(url).await.unwrap();
    let group = begin(&shop).await.unwrap();
    order(&member(&shop, &*group)).await.unwrap();
    drop(group);
    // Nothing of it is in the way of the next one.
    let group = begin(&shop).await.unwrap();
    order(&member(&shop, &*group)).await.unwrap();
    group.commit().await.unwrap();
    assert_eq!(orders(&shop).await, 1);
}

async fn a_handle_outlives_no_group(url: &str) {
    let shop = Database::open(url).await.unwrap();
    let group = begin(&shop).await.unwrap();
    let committed = member(&shop, &*group);
    order(&committed).await.unwrap();
    group.commit().await.unwrap();

    let group = begin(&shop).await.unwrap();
    let rolled_back = member(&shop, &*group);
    group.rollback().await.unwrap();

    let group = begin(&shop).await.unwrap();
    let dropped = member(&shop, &*group);
    drop(group);

    for db in [committed, rolled_back, dropped] {
        assert!(order(&db).await.is_err());
    }
    assert_eq!(orders(&shop).await, 1);
}

async fn a_handler_that_goes_on_keeps_its_group_from_being_committed(url: &str) {
    let shop = Database::open(url).await.unwrap();
    let group = begin(&shop).await.unwrap();
    let db = member(&shop, &*group);
    order(&db).await.unwrap();
    let mut going_on = db.connect().await.unwrap();
    assert!(group.commit().await.is_err());
    query("INSERT INTO orders (customer) VALUES ('nobody')").execute(&mut *going_on).await.unwrap();
    drop(going_on);
    assert_eq!(orders(&shop).await, 0);
}

/// A handler passes over an error, and answers that all is well. On PostgreSQL nothing of such a transaction can be
/// committed; on SQLite the rest of it can.
async fn a_group_counts_with_all_that_went_well_or_not_at_all(url: &str) {
    let shop = Database::open(url).await.unwrap();
    let group = begin(&shop).await.unwrap();
    let db = member(&shop, &*group);
    order(&db).await.unwrap();
    let mut connection = db.connect().await.unwrap();
    query("UPDATE items SET stock = -1").execute(&mut *connection).await.unwrap_err();
    drop(connection);
    let committed = group.commit().await.is_ok();
    assert_eq!(committed, url.starts_with("sqlite:"));
    assert_eq!(orders(&shop).await, i64::from(committed));
}

/// Each of them makes an order because there was none.
async fn of_two_groups_that_contradict_each_other_one_is_told_to_try_again(url: &str) {
    async fn first_order(shop: &Database, group: &dyn Transaction) -> Result<(), Refusal> {
        let db = member(shop, group);
        let mut connection = db.connect().await?;
        let count: i64 = query_scalar("SELECT COUNT(*) FROM orders").fetch_one(&mut *connection).await?;
        drop(connection);
        assert_eq!(count, 0);
        order(&db).await
    }

    let shop = Database::open(url).await.unwrap();
    let one = begin(&shop).await.unwrap();
    first_order(&shop, &*one).await.unwrap();
    let other = async {
        let other = begin(&shop).await?;
        first_order(&shop, &*other).await.map_err(|refusal| refusal.0)?;
        Ok(other)
    };
    let other = other.await;
    one.commit().await.unwrap();
    let refused = match other {
        Ok(other) => other.commit().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.downcast::<Problem>().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(orders(&shop).await, 1);
}

async fn begin(shop: &Database) -> Result<Box<dyn Transaction>, BoxError> {
    Coordinator::begin(shop, &Request::new(()).into_parts().0).await
}

/// What the handler of a member gets.
fn member(shop: &Database, group: &dyn Transaction) -> Db {
    let mut extensions = Extensions::new();
    group.attach(&mut extensions);
    Db { database: shop.clone(), group: extensions.remove() }
}

async fn order(db: &Db) -> Result<(), Refusal> {
    let mut connection = db.connect().await?;
    query("INSERT INTO orders (customer) VALUES ('Ada')").execute(&mut *connection).await?;
    Ok(())
}

/// What everybody else sees.
async fn orders(shop: &Database) -> i64 {
    query_scalar("SELECT COUNT(*) FROM orders").fetch_one(&shop.pool).await.unwrap()
}
