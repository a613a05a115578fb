//! SQLite behind handlers that run at the same time.
//!
//! SQLite has one writer at a time, and what makes a commit slow is to wait for the disk, not the rows in it. So one
//! thread writes for all: it takes what has come while it was busy, commits it in one transaction, and only then
//! answers. A product that was answered with 201 is on the disk, and a thousand of them have waited for it together.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::product::Product;

#[cfg(test)]
mod tests;

#[derive(Clone)]
pub(crate) struct Store {
    writer: mpsc::Sender<Insert>,
    /// With a write-ahead log, who reads waits for nobody who writes.
    reader: Arc<Mutex<Connection>>,
}

struct Insert {
    product: Product,
    answer: oneshot::Sender<Result<Inserted, Failed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    New,
    AlreadyThere,
}

/// The database has failed. Why, is printed; it is not for clients.
#[derive(Debug)]
pub(crate) struct Failed;

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        eprintln!("the database failed: {error}");
        Self
    }
}

impl Store {
    /// `rows` go into one commit at most.
    pub(crate) fn open(file: &Path, rows: usize) -> rusqlite::Result<Self> {
        let connection = connect(file)?;
        // The sku is the key, so there is no second index to be kept up.
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS products (
               sku TEXT PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL
             ) STRICT, WITHOUT ROWID",
        )?;
        let (writer, inserts) = mpsc::channel(rows);
        let reader = Arc::new(Mutex::new(connect(file)?));
        thread::spawn(move || write(connection, inserts, rows));
        Ok(Self { writer, reader })
    }

    /// Comes back when it is on the disk.
    pub(crate) async fn insert(&self, product: Product) -> Result<Inserted, Failed> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Insert { product, answer }).await.map_err(|_| Failed)?;
        answered.await.map_err(|_| Failed)?
    }

    pub(crate) async fn count(&self) -> Result<i64, Failed> {
        self.read(|reader| reader.query_one("SELECT COUNT(*) FROM products", [], |row| row.get(0))).await
    }

    pub(crate) async fn product(&self, sku: String) -> Result<Option<Product>, Failed> {
        self.read(move |reader| {
            reader
                .prepare_cached("SELECT sku, name, price FROM products WHERE sku = ?1")?
                .query_row([sku], |row| Ok(Product { sku: row.get(0)?, name: row.get(1)?, price: row.get(2)? }))
                .optional()
        })
        .await
    }

    async fn read<T, F>(&self, read: F) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let reader = Arc::clone(&self.reader);
        // A panic of another one leaves nothing half done: who reads changes nothing.
        let read = move || read(&reader.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(read).await.map_err(|_| Failed)??)
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    // FULL: with a write-ahead log, anything less may lose what was committed last when the power fails. A checkpoint
    // writes each page once, however many commits have changed it; so fewer of them write less, where skus come in no
    // order and each row changes another page.
    connection.execute_batch(
        "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4096; PRAGMA cache_size = -16384",
    )?;
    Ok(connection)
}

/// Ends when the last [`Store`] is gone.
fn write(mut connection: Connection, mut inserts: mpsc::Receiver<Insert>, rows: usize) {
    let mut taken = Vec::with_capacity(rows);
    while inserts.blocking_recv_many(&mut taken, rows) > 0 {
        // Nobody waits any longer for these: the client has hung up.
        taken.retain(|insert| !insert.answer.is_closed());
        match commit(&mut connection, &taken) {
            Ok(results) => {
                for (insert, inserted) in taken.drain(..).zip(results) {
                    // It may have hung up by now.
                    let _ = insert.answer.send(Ok(inserted));
                }
            }
            Err(error) => {
                eprintln!("{} rows were not written: {error}", taken.len());
                for insert in taken.drain(..) {
                    let _ = insert.answer.send(Err(Failed));
                }
            }
        }
    }
}

fn commit(connection: &mut Connection, inserts: &[Insert]) -> rusqlite::Result<Vec<Inserted>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let results = {
        // One that is there already must not take the others with it.
        let mut insert = transaction
            .prepare_cached("INSERT INTO products (sku, name, price) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
        let insert_one = |Insert { product: Product { sku, name, price }, .. }: &Insert| {
            let changed = insert.execute(params![sku, name, price])?;
            Ok(if changed == 1 { Inserted::New } else { Inserted::AlreadyThere })
        };
        inserts.iter().map(insert_one).collect::<rusqlite::Result<Vec<_>>>()?
    };
    transaction.commit()?;
    Ok(results)
}
