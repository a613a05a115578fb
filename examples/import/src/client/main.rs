//! Sends a file of any number of rows to a batch endpoint, and tells what became of them.
//!
//! ```console
//! $ cargo run --release --bin import -- products.csv
//! ```

mod answer;
mod exchange;
mod failed;
mod import;
mod ledger;
mod options;
mod progress;
mod report;
mod source;
mod tally;

use std::{
    fs,
    path::Path,
    process::{self, ExitCode},
    sync::Arc,
    thread,
};

use tokio::sync::mpsc;

use crate::{
    failed::FailedRows,
    import::Import,
    options::{Options, USAGE},
    progress::Progress,
    report::INCOMPLETE,
};

/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// One thread for all that is sent and received; the file is read in another one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(INCOMPLETE);
        }
    };
    run(options).await.unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::from(INCOMPLETE)
    })
}

async fn run(Options { file, url, failed, from, patience }: Options) -> Result<ExitCode, String> {
    let size = file.as_ref().and_then(|file| fs::metadata(file).ok()).filter(fs::Metadata::is_file);
    let failed = failed.map(|path| failed_rows(file.as_deref(), &path)).transpose()?;
    let import = Arc::new(Import::new(failed));
    let (sender, parts) = mpsc::channel(AHEAD);
    // Not waited for: it may be at a read of a terminal that never ends.
    thread::spawn(move || source::read(file.as_deref(), from, sender));
    tokio::spawn(stop_when_interrupted(Arc::clone(&import)));

    let mut progress = Progress::begin(size.map(|size| size.len()));
    let ended = exchange::run(&import, parts, &url, patience, &mut progress).await;
    let elapsed = progress.end();
    report::print(&mut import.state(), ended, elapsed)
}

fn failed_rows(file: Option<&Path>, path: &Path) -> Result<FailedRows, String> {
    // The failed rows of an import of failed rows, perhaps. It would be empty before it is read.
    let is_same = |file| fs::canonicalize(file).is_ok_and(|file| fs::canonicalize(path).is_ok_and(|path| path == file));
    if file.is_some_and(is_same) {
        return Err(format!("{} can't be written while it is read", path.display()));
    }
    FailedRows::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What was sent is waited for; who doesn't want to wait asks twice.
async fn stop_when_interrupted(import: Arc<Import>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        import.stop();
        let _ = tokio::signal::ctrl_c().await;
        process::exit(INCOMPLETE.into());
    }
}
