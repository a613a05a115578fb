#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_upstream_is_a_host_and_perhaps_a_port() {
    for url in ["http://127.0.0.1:8081", "http://[::1]:8081/", "http://api.internal"] {
        assert!(url.parse::<Origin>().is_ok(), "{url}");
    }
    for (url, why) in [
        ("https://a", "TLS to upstreams is not supported"),
        ("ftp://a", "must begin with http://"),
        ("127.0.0.1:8081", "must begin with http://"),
        ("http://a/path", "an upstream has no path"),
        ("http://a?b", "an upstream has no path"),
        ("http://user:secret@a", "an upstream has no user"),
        ("", "is no URL"),
        ("http://", "is no URL"),
    ] {
        let error = url.parse::<Origin>().unwrap_err();
        assert!(error.contains(why), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_target_keeps_its_path_and_nothing_else() {
    let origin: Origin = "http://a:1".parse().unwrap();
    for target in ["/", "/a%2Fb?c=d&e", "//evil.example/x", "/http://evil.example", "*"] {
        let uri = origin.with(target.parse().unwrap()).unwrap();
        assert_eq!((uri.authority().unwrap().as_str(), uri.path_and_query().unwrap().as_str()), ("a:1", target));
    }
}
