//! Where a test has a database to itself.

#![allow(clippy::unwrap_used)]

use std::env;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, any::install_default_drivers};
use tempfile::TempDir;

pub(crate) enum Place {
    File(TempDir),
    Schema { server: String, name: String },
}

impl Place {
    pub(crate) fn on_sqlite() -> Self {
        install_default_drivers();
        Self::File(TempDir::new().unwrap())
    }

    /// A schema on the server that `DATABASE_URL` names.
    pub(crate) async fn on_postgres(test: &str) -> Self {
        install_default_drivers();
        let server = env::var("DATABASE_URL").expect("DATABASE_URL names a PostgreSQL server");
        assert!(server.starts_with("postgres"), "{server}");
        let name = format!("test_{test}");
        execute(&server, format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")).await;
        Self::Schema { server, name }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(folder) => format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display()),
            Self::Schema { server, name } => {
                let and = if server.contains('?') { '&' } else { '?' };
                format!("{server}{and}options[search_path]={name}")
            }
        }
    }

    /// Not called after a failure: then it stays, for looking at.
    pub(crate) async fn clear(self) {
        if let Self::Schema { server, name } = self {
            execute(&server, format!("DROP SCHEMA {name} CASCADE")).await;
        }
    }
}

async fn execute(server: &str, statements: String) {
    AnyConnection::connect(server).await.unwrap().execute(AssertSqlSafe(statements)).await.unwrap();
}

/// Makes of each function of a database's URL a test on SQLite, and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let place = super::Place::on_sqlite();
                super::$test(&place.url()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs DATABASE_URL=postgres://…"]
            async fn $test() {
                let place = super::Place::on_postgres(stringify!($test)).await;
                super::$test(&place.url()).await;
                place.clear().await;
            })*
        }
    };
}
