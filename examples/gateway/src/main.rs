//! A gateway before a fleet of servers, with a batch endpoint.
//!
//! ```console
//! $ cargo run --release -- --upstream http://127.0.0.1:8081 --upstream http://127.0.0.1:8082
//! ```

mod answer;
mod attempt;
mod circuit;
mod fault;
mod fleet;
mod forwarded;
mod front;
mod headers;
mod health;
mod options;
mod outgoing;
mod read_ahead;
mod retries;
mod server;
mod stack;
mod upstream;

use std::{error::Error, io, process::ExitCode};

use lexopt::Parser;
use tokio::net::TcpListener;

use crate::options::{Options, USAGE, Wish};

fn main() -> ExitCode {
    match Wish::parse(Parser::from_env()) {
        Ok(Wish::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Wish::Serve(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(options.listen).await?;
    let told = told()?;
    let stack = stack::stack(options)?;
    println!("listening on http://{}", listener.local_addr()?);
    server::serve(listener, stack, told, options.drain).await?;
    Ok(())
}

/// Ends when the gateway is told to, by Ctrl-C or by whoever started it.
#[cfg(unix)]
fn told() -> io::Result<impl Future<Output = io::Result<()>>> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminated.recv() => Ok(()),
        }
    })
}

#[cfg(not(unix))]
fn told() -> io::Result<impl Future<Output = io::Result<()>>> {
    Ok(tokio::signal::ctrl_c())
}
