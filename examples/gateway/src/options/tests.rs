#![allow(clippy::unwrap_used)]

use super::*;

fn parse(line: &str) -> Result<Box<Options>, String> {
    match Wish::parse(Parser::from_args(line.split_whitespace())) {
        Ok(Wish::Serve(options)) => Ok(options),
        Ok(Wish::Help) => Err("help".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn what_is_not_said_is_as_the_usage_tells() {
    let options = parse("--upstream http://a").unwrap();
    assert_eq!(options.listen.to_string(), "127.0.0.1:3000");
    let told = |name: &str| {
        let line = USAGE.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.rsplit_once('(').unwrap().1.strip_suffix(')').unwrap().parse::<f64>().unwrap()
    };
    for (name, value) in [
        ("--concurrency", options.concurrency as f64),
        ("--batch-concurrency", options.batch_concurrency as f64),
        ("--max-operations", options.max_operations as f64),
        ("--timeout", options.timeout.as_secs_f64()),
        ("--connect-timeout", options.connect_timeout.as_secs_f64()),
        ("--batch-timeout", options.batch_timeout.as_secs_f64()),
        ("--backoff", options.backoff.first.as_secs_f64()),
        ("--max-backoff", options.backoff.last.as_secs_f64()),
        ("--retry-percent", f64::from(options.retry_percent)),
        ("--retry-reserve", f64::from(options.retry_reserve)),
        ("--drain", options.drain.as_secs_f64()),
    ] {
        assert_eq!(told(name), value, "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (line, why) in [
        ("", "there must be an --upstream"),
        ("--upstream https://a", "only http://"),
        ("--upstream http://a --concurrency 0", "one at least"),
        ("--upstream http://a --concurrency 99999999999", "too large"),
        ("--upstream http://a --timeout 0", "more than 0"),
        ("--upstream http://a --timeout NaN", "more than 0"),
        ("--upstream http://a --timeout inf", "more than 0"),
        ("--upstream http://a --timeout -1", "more than 0"),
        ("--upstream http://a --backoff 9", "not be more than --max-backoff"),
        ("--upstream http://a --retry-percent 100000", "less than 1000"),
        ("--upstream http://a --order any", "fenced, sequential or unordered"),
        ("--upstream http://a --listen here", "here"),
        ("--upstream http://a --nothing", "--nothing"),
        ("--upstream http://a more", "more"),
        ("--help", "help"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(why), "{line}: {error}");
    }
}
