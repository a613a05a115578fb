#![allow(clippy::unwrap_used)]

use super::*;

/// The values of these headers after one more hop.
fn after(client: &str, trusted: &[&str], headers: &[(&'static str, &str)]) -> [String; 4] {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let trusted: Vec<_> = trusted.iter().map(|address| address.parse().unwrap()).collect();
    add(&mut map, client.parse().unwrap(), &trusted);
    [FORWARDED, FOR, HOST, PROTO].map(|name| {
        assert!(map.get_all(&name).iter().count() <= 1, "{name}");
        map.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    })
}

#[test]
fn ipv6_is_in_brackets_and_in_quotes() {
    let told = after("2001:db8::1", &[], &[("host", "api.example")]);
    assert_eq!(told, ["for=\"[2001:db8::1]\";host=api.example;proto=http", "2001:db8::1", "api.example", "http"]);
}

#[test]
fn ipv4_on_a_socket_of_ipv6_is_ipv4() {
    let forged = ("x-forwarded-for", "10.0.0.1");
    assert_eq!(after("::ffff:192.0.2.1", &[], &[forged]), ["for=192.0.2.1;proto=http", "192.0.2.1", "", "http"]);
    assert_eq!(after("::ffff:192.0.2.1", &["192.0.2.1"], &[forged])[1], "10.0.0.1, 192.0.2.1");
}

#[test]
fn a_host_can_not_end_its_quotes() {
    let told = after("192.0.2.1", &[], &[("host", r#"a";for=10.0.0.1;x="\"#)]);
    assert_eq!(told[0], r#"for=192.0.2.1;host="a\";for=10.0.0.1;x=\"\\";proto=http"#);
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let said = [
        ("host", "inner"),
        ("forwarded", "for=_a"),
        ("forwarded", "for=_b;proto=https"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "api.example"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(
        after("10.0.0.1", &["10.0.0.1"], &said),
        [
            "for=_a, for=_b;proto=https, for=10.0.0.1;host=inner;proto=http",
            "192.0.2.7, 10.0.0.1",
            "api.example",
            "https"
        ]
    );
    assert_eq!(
        after("10.0.0.2", &["10.0.0.1"], &said),
        ["for=10.0.0.2;host=inner;proto=http", "10.0.0.2", "inner", "http"]
    );
}
