//! Says what is in a 207, and what is wrong with it.
//!
//! ```console
//! $ cargo run --example conformance
//! $ echo '[{"path":"/users/1"},{"path":"/users/nobody"}]' > batch.json
//! $ cargo run --example inspect -- http://localhost:3000/batch --batch batch.json
//! $ cargo run --example inspect -- http://localhost:3000/batch --batch batch.json --header 'accept: application/xml' --json
//! ```
//!
//! An answer that was saved, or comes from another client, also over TLS:
//!
//! ```console
//! $ curl -i https://api.example.com/batch -H 'content-type: application/json' -d @batch.json > response.http
//! $ cargo run --example inspect -- --file response.http --batch batch.json
//! $ curl -i -X PROPFIND https://dav.example.com/ -H 'depth: 1' | cargo run --example inspect -- --file -
//! ```
//!
//! | it ends with | if |
//! |---|---|
//! | 0 | all operations have succeeded, and there is nothing to warn of |
//! | 1 | operations have failed, or the batch was refused as a whole |
//! | 2 | there is a warning or an error among the findings |
//! | 3 | the answer could not be read to its end, so that outcomes are unknown |
//! | 4 | there is no answer to be inspected: it could not be fetched or read, or the command line is wrong |

use std::{
    env,
    error::Error,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tower_multistatus::inspect::{self, Report};

mod batch;
mod options;
mod source;

use options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("inspect: {error}");
            ExitCode::from(4)
        }
    }
}

async fn run() -> Result<u8, Box<dyn Error>> {
    let Some(options) = Options::read(env::args().skip(1))? else {
        println!("{}", options::HELP);
        return Ok(0);
    };
    let batch = options.batch()?;
    let response = source::response(&options, batch.as_ref()).await?;
    let report = match &batch {
        Some(batch) => inspect::exchange(batch, &response),
        None => inspect::response(&response),
    };
    print(&report, options.is_json)?;
    Ok(report.exit_code())
}

fn print(report: &Report, is_json: bool) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    // https://no-color.org: whatever it says, if it says anything.
    let has_colour = out.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let printed = match (is_json, has_colour) {
        (true, _) => writeln!(out, "{}", serde_json::to_string_pretty(report)?),
        (false, true) => write!(out, "{}", report.painted()),
        (false, false) => write!(out, "{report}"),
    };
    // Who reads it may have seen enough: `inspect … | head`.
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
