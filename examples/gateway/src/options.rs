//! What the command line says.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};
use tower_multistatus::Order;

use crate::{health::Backoff, upstream::Origin};

pub(crate) const USAGE: &str = "\
usage: gateway --upstream URL [--upstream URL …] [OPTION …]

A gateway before a fleet of HTTP servers. POST /batch is a batch of requests to them.

  --upstream URL            http://HOST[:PORT] of a server; at least one
  --listen ADDRESS          where clients connect (127.0.0.1:3000)
  --authority NAME          a name of this server, beside the one that a batch was sent to; any number
  --trusted-proxy IP        a proxy in front, which is believed who the client is; any number
  --concurrency N           requests under way at an upstream, at most (64)
  --batch-concurrency N     operations of one batch under way, at most (64)
  --order ORDER             of a batch: fenced, sequential or unordered (fenced)
  --max-operations N        operations in a batch, at most (1000)
  --timeout SECONDS         until an answer begins, and for each pause in it (30)
  --connect-timeout SECONDS until an upstream has taken a connection (1)
  --batch-timeout SECONDS   for a whole batch (60)
  --backoff SECONDS         how long an upstream is left alone after a fault (0.1)
  --max-backoff SECONDS     and after many in a row (5)
  --retry-percent N         so many of 100 answered requests allow one to be sent again (20)
  --retry-reserve N         and so many a second may be in any case (10)
  --drain SECONDS           for what runs, when the gateway is told to end (30)
  --help                    says this";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) upstreams: Vec<Origin>,
    pub(crate) listen: SocketAddr,
    pub(crate) authorities: Vec<String>,
    pub(crate) trusted: Vec<IpAddr>,
    pub(crate) concurrency: usize,
    pub(crate) batch_concurrency: usize,
    pub(crate) order: Order,
    pub(crate) max_operations: usize,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) batch_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) retry_percent: u32,
    pub(crate) retry_reserve: u32,
    pub(crate) drain: Duration,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Wish {
    Help,
    Serve(Box<Options>),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            authorities: Vec::new(),
            trusted: Vec::new(),
            concurrency: 64,
            batch_concurrency: 64,
            order: Order::Fenced,
            max_operations: 1000,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            batch_timeout: Duration::from_secs(60),
            backoff: Backoff { first: Duration::from_millis(100), last: Duration::from_secs(5) },
            retry_percent: 20,
            retry_reserve: 10,
            drain: Duration::from_secs(30),
        }
    }
}

impl Wish {
    pub(crate) fn parse(mut arguments: Parser) -> Result<Self, lexopt::Error> {
        let mut options = Options::default();
        while let Some(argument) = arguments.next()? {
            let Arg::Long(name) = argument else { return Err(argument.unexpected()) };
            match name {
                "help" => return Ok(Self::Help),
                "upstream" => options.upstreams.push(arguments.value()?.parse()?),
                "listen" => options.listen = arguments.value()?.parse()?,
                "authority" => options.authorities.push(arguments.value()?.string()?),
                "trusted-proxy" => options.trusted.push(arguments.value()?.parse::<IpAddr>()?.to_canonical()),
                "concurrency" => options.concurrency = count(&mut arguments)?,
                "batch-concurrency" => options.batch_concurrency = count(&mut arguments)?,
                "order" => options.order = arguments.value()?.parse_with(order)?,
                "max-operations" => options.max_operations = count(&mut arguments)?,
                "timeout" => options.timeout = seconds(&mut arguments)?,
                "connect-timeout" => options.connect_timeout = seconds(&mut arguments)?,
                "batch-timeout" => options.batch_timeout = seconds(&mut arguments)?,
                "backoff" => options.backoff.first = seconds(&mut arguments)?,
                "max-backoff" => options.backoff.last = seconds(&mut arguments)?,
                "retry-percent" => options.retry_percent = arguments.value()?.parse_with(|text| below(text, 1000))?,
                "retry-reserve" => {
                    options.retry_reserve = arguments.value()?.parse_with(|text| below(text, 1_000_000))?
                }
                "drain" => options.drain = seconds(&mut arguments)?,
                _ => return Err(argument.unexpected()),
            }
        }
        if options.upstreams.is_empty() {
            return Err("there must be an --upstream".into());
        }
        if options.backoff.first > options.backoff.last {
            return Err("--backoff must not be more than --max-backoff".into());
        }
        Ok(Self::Serve(Box::new(options)))
    }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "fenced" => Ok(Order::Fenced),
        "sequential" => Ok(Order::Sequential),
        "unordered" => Ok(Order::Unordered),
        _ => Err("it must be fenced, sequential or unordered"),
    }
}

/// One at least, and no more than a semaphore may have.
fn count(arguments: &mut Parser) -> Result<usize, lexopt::Error> {
    arguments.value()?.parse_with(|text| match below(text, 10_000_000)? {
        0 => Err("it must be one at least".to_owned()),
        number => Ok(number as usize),
    })
}

fn below(text: &str, bound: u32) -> Result<u32, String> {
    let number: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if number < bound { Ok(number) } else { Err(format!("it must be less than {bound}")) }
}

/// More than none, and no more than a timer can tell.
fn seconds(arguments: &mut Parser) -> Result<Duration, lexopt::Error> {
    arguments.value()?.parse_with(|text| {
        let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() && time <= Duration::from_secs(86_400) => Ok(time),
            _ => Err("it must be more than 0, and no more than a day".to_owned()),
        }
    })
}

#[cfg(test)]
#[path = "options/tests.rs"]
mod tests;
