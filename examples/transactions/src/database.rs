//! One database behind atomic groups and behind requests that come alone.
//!
//! [`Database`] begins a transaction for each group, and puts a [`Handle`] to it among the extensions of the group's
//! operations. The extractor [`Db`] takes it from there; where there is none, it takes a connection of the pool. So a
//! handler is written once, and need not know whether it runs in a group.

use std::{
    convert::Infallible,
    ops::{Deref, DerefMut},
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, StatusCode, request::Parts},
};
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor,
    any::{AnyPoolOptions, install_default_drivers},
    pool::PoolConnection,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tower_multistatus::{Coordinator, Problem, Transaction, TransactionFuture};

use crate::refusal::{Refusal, problem};

#[cfg(test)]
mod tests;

/// How many groups and requests are in the database at once. More would only wait for each other's locks.
const CONNECTIONS: u32 = 8;
/// How long one waits for a connection. With the wait for a lock, see [`Dialect`], it has to be less than an operation
/// may take: a client that is told to try again has learned more than one whose time ran out.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the two databases differ.
struct Dialect {
    begin: &'static str,
    /// What is said first on each connection: how long it waits for a lock.
    settings: &'static str,
    /// A number that the database chooses.
    id: &'static str,
}

const SQLITE: Dialect = Dialect {
    // The lock for writing comes first: a transaction that has read, and then asks for it, may be refused at once.
    begin: "BEGIN IMMEDIATE",
    // With a write-ahead log, those who read don't wait for the one who writes.
    settings: "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL",
    id: "INTEGER PRIMARY KEY",
};

const POSTGRES: Dialect = Dialect {
    // The same promise as SQLite's: transactions count as if one came after the other.
    begin: "BEGIN ISOLATION LEVEL SERIALIZABLE",
    settings: "SET lock_timeout = 2000",
    id: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
};

/// A pool of connections to SQLite or to PostgreSQL.
#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    begin: &'static str,
}

impl Database {
    pub(crate) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let Dialect { begin, settings, id } = if url.starts_with("sqlite:") { SQLITE } else { POSTGRES };
        install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| Box::pin(async move { connection.execute(settings).await.map(drop) }))
            .connect(url)
            .await?;
        let schema = include_str!("schema.sql").replace("{id}", id);
        sqlx::raw_sql(AssertSqlSafe(schema)).execute(&pool).await?;
        Ok(Self { pool, begin })
    }
}

type Open = sqlx::Transaction<'static, Any>;

impl Coordinator for Database {
    fn begin(&self, _batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        let Self { pool, begin } = self.clone();
        Box::pin(async move {
            let open = pool.begin_with(begin).await.map_err(problem)?;
            Ok(Box::new(Group(Arc::new(Mutex::new(open)))) as Box<dyn Transaction>)
        })
    }
}

/// An atomic group. When it is dropped uncommitted, because the client has hung up for example, so is the transaction,
/// and that rolls it back.
struct Group(Arc<Mutex<Open>>);

/// What the handlers of a group have of it. One that is kept for later finds nothing: only the group keeps the
/// transaction, and a handler while it is at work.
#[derive(Clone)]
struct Handle(Weak<Mutex<Open>>);

impl Group {
    /// Nothing if a handler is still at work, in a task of its own. What it does is rolled back when it ends.
    fn close(self) -> Option<Open> {
        Arc::into_inner(self.0).map(Mutex::into_inner)
    }
}

impl Transaction for Group {
    fn attach(&self, extensions: &mut Extensions) {
        extensions.insert(Handle(Arc::downgrade(&self.0)));
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async move {
            let mut open = self.close().ok_or("a handler has kept the transaction beyond its response")?;
            // PostgreSQL answers COMMIT with ROLLBACK, and without an error, if a handler has passed over that a
            // statement failed. Then this one fails too.
            sqlx::query("SELECT 1").execute(&mut *open).await.map_err(problem)?;
            open.commit().await.map_err(|error| match error {
                sqlx::Error::Database(_) => problem(error),
                // The connection broke, and with it went the answer.
                _ => Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "nobody can tell whether the group was committed: look before you send it again",
                ),
            })?;
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async move {
            if let Some(open) = self.close() {
                open.rollback().await?;
            }
            Ok(())
        })
    }
}

/// The extractor. It waits for nothing: a connection is taken only once the handler asks for it, when the body of the
/// request has been read, however slowly it came.
pub(crate) struct Db {
    database: Database,
    group: Option<Handle>,
}

impl FromRequestParts<Database> for Db {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, database: &Database) -> Result<Self, Infallible> {
        Ok(Self { database: database.clone(), group: parts.extensions.get().cloned() })
    }
}

impl Db {
    pub(crate) async fn connect(&self) -> Result<Connection, Refusal> {
        let Some(Handle(group)) = &self.group else {
            return Ok(Connection::Alone(self.database.pool.acquire().await?, self.database.begin));
        };
        // Never the pool in its place: what this handler does would then outlive its group.
        let open = group.upgrade().ok_or_else(|| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the group of this operation has ended already")
        })?;
        Ok(Connection::InGroup(open.lock_owned().await))
    }
}

/// What statements are sent over: the transaction of the group, or a connection of one's own.
pub(crate) enum Connection {
    InGroup(OwnedMutexGuard<Open>),
    Alone(PoolConnection<Any>, &'static str),
}

impl Connection {
    /// For handlers of more than one statement. In a group it is a savepoint, and then its commit is one as far as the
    /// group's is.
    pub(crate) async fn begin(&mut self) -> Result<sqlx::Transaction<'_, Any>, sqlx::Error> {
        match self {
            Self::InGroup(open) => open.begin().await,
            Self::Alone(connection, begin) => connection.begin_with(*begin).await,
        }
    }
}

impl Deref for Connection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::InGroup(open) => open,
            Self::Alone(connection, _) => connection,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::InGroup(open) => open,
            Self::Alone(connection, _) => connection,
        }
    }
}
