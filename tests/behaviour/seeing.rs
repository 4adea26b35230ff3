//! What can be seen of it all: `Cache-Status`, metrics, the access log, health.

use std::collections::BTreeSet;

use crate::proxy::{Proxy, assert_hit, ours, wait_until};
use crate::support::*;

#[test]
fn every_answer_explains_itself() {
    let origin = Origin::start();
    origin.on("/stored").respond(ok("x").cache("max-age=60").field("ETag", "\"1\""));
    origin.on("/passed").respond(ok("x").cache("no-store"));
    origin.on("/missing").respond(answer(404, "x"));
    origin.on("/broken").respond(problem(500));
    origin.on("/reset").respond(ok("").but_only(Act::Reset));
    origin.on("/silent").respond(ok("").but_only(Act::AwaitHangUp));
    let server = "instance = \"here\"\nmax_target = \"1KiB\"";
    let proxy = Proxy::with(&origin).server(server).upstream("first_byte_timeout = \"100ms\"").start();
    let long = format!("/{}", "a".repeat(1100));
    for (ask, status) in [
        (proxy.asks("/stored"), 200),
        (proxy.asks("/stored"), 200),
        (proxy.ask("HEAD", "/stored"), 200),
        (proxy.asks("/stored").field("If-None-Match", "\"1\""), 304),
        (proxy.asks("/stored").field("Range", "bytes=9-"), 416),
        (proxy.asks("/passed"), 200),
        (proxy.ask("POST", "/passed").content("x"), 200),
        (proxy.asks("/missing"), 404),
        (proxy.asks("/broken"), 500),
        (proxy.asks("/reset"), 502),
        (proxy.asks("/silent"), 504),
        (proxy.asks("/never").field("Cache-Control", "only-if-cached"), 504),
        (proxy.asks("/loop").field("CDN-Loop", "here"), 508),
        (proxy.asks(&long), 414),
        (proxy.asks("/a").host("a b"), 400),
        (proxy.ask("OPTIONS", "/a").field("Max-Forwards", "0"), 200),
    ] {
        let answered = ask.send();
        let shown = ask.bytes().escape_ascii().to_string();
        assert!(
            answered.status == status || (answered.status == 204 && status == 200),
            "{shown}: {answered:?}"
        );
        let said = ours(&answered);
        let from_origin = said.forward_status.is_some();
        assert!(said.hit || from_origin || said.detail.is_some(), "{shown}: no reason: {answered:?}");
        assert!(answered.fields.has("Date"), "{shown}: {answered:?}");
        assert!(answered.fields.has("Via"), "{shown}: {answered:?}");
    }
}

/// docs/caching.md explains the field by examples; each of them is an answer as it was given.
#[test]
fn the_examples_of_the_documentation_are_real() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/hit").respond(ok("x").cache("max-age=60"));
    origin.on("/stale").respond(ok("x").cache("max-age=60, stale-while-revalidate=30"));
    let tagged = ok("x").cache("max-age=60").field("ETag", "\"1\"");
    origin.on("/checked").respond(tagged).then(unchanged().cache("max-age=60").field("ETag", "\"1\""));
    origin.on("/shared").respond(ok("x").cache("max-age=60").held_by(&gate));
    origin.on("/passed").respond(ok("x").cache("no-store"));
    let proxy = Proxy::before(&origin);
    let said = |answered: Answered| answered.field("Cache-Status").unwrap();
    let mut real = vec![said(proxy.get("/hit")), said(proxy.get("/passed"))];
    proxy.get("/stale");
    proxy.get("/checked");
    proxy.advance(3);
    real.push(said(proxy.get("/hit")));
    proxy.advance(60);
    real.push(said(proxy.get("/stale")));
    real.push(said(proxy.get("/checked")));
    let first = proxy.asks("/shared").begin();
    origin.wait_for(6);
    let second = proxy.asks("/shared").begin();
    proxy.wait_for_metric("larder_collapsed_waiters_total", 1.0);
    gate.open();
    first.finish();
    real.push(said(second.finish()));

    let page = include_str!("../../docs/caching.md");
    let examples: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("cache-status: "))
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(examples.iter().copied().collect::<BTreeSet<_>>(), real.iter().map(String::as_str).collect());
}

#[test]
fn requests_are_counted_by_outcome() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    origin.on("/b").respond(ok("x").cache("no-store"));
    let proxy = Proxy::with(&origin).route("name = \"all\"").start();
    proxy.asks("/a").send();
    proxy.settle();
    let count = |outcome: &str, status: &str| {
        proxy.metric(&format!(
            "larder_requests_total{{route=\"all\",outcome=\"{outcome}\",status=\"{status}\"}}"
        ))
    };
    for _ in 0..3 {
        assert_hit(&proxy.asks("/a").send());
    }
    proxy.ask("POST", "/b").content("x").send();
    proxy.asks("/b").field("Cache-Control", "only-if-cached").send();
    proxy.settle();
    assert_eq!((count("hit", "2xx"), count("miss", "2xx"), count("local", "5xx")), (3.0, 1.0, 1.0));
    assert!(count("pass", "2xx") >= 1.0);
    assert!(proxy.metric("larder_sent_bytes_total{outcome=\"hit\"}") == 15.0);
    proxy.asks("/b").send();
    proxy.settle();
    assert_eq!(proxy.metric("larder_not_stored_total{reason=\"no-store\"}"), 1.0);
    proxy.wait_for_metric("larder_store_entries", 1.0);
    assert!(proxy.metric("larder_store_bytes") > 5.0);
}

/// Whoever is turned away at the door is seen, too: by what the server finds in the head, and where there is no head to
/// be found.
#[test]
fn refused_requests_are_counted_and_logged() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let log = format!("access = \"json\"\naccess_file = \"{}\"", file.display());
    let server = "max_target = \"64B\"\nmax_fields = 8";
    let proxy = Proxy::with(&origin).server(server).log(&log).start();
    let count = |class: &str| {
        proxy.metric(&format!("larder_requests_total{{route=\"\",outcome=\"local\",status=\"{class}\"}}"))
    };
    let long = "/".repeat(65);
    let refused = [
        ("GET", "/a", "GET /a HTTP/1.1\r\n\r\n".to_owned(), 400, "host-missing"),
        ("HEAD", "/b", "HEAD /b HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400, "host-invalid"),
        ("GET", &long, format!("GET {long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "target-too-long"),
        ("CONNECT", "a:1", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 501, "connect-method"),
        ("-", "-", "GET /c HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400, "head-malformed"),
        ("-", "-", format!("GET /d HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(9)), 431, "head-too-large"),
    ];
    for (_, _, request, status, _) in &refused {
        let mut connection = proxy.client().connect();
        connection.say(request);
        let method = if request.starts_with("HEAD") { "HEAD" } else { "GET" };
        assert_eq!(connection.expect(method).finish().status, *status, "{request}");
    }
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    assert!(wait_until(|| lines().len() >= refused.len()), "{:?}", lines());
    let lines = lines();
    for (method, target, _, status, reason) in &refused {
        let line = lines.iter().find(|line| line["detail"] == *reason);
        let line = line.unwrap_or_else(|| panic!("no {reason} in {lines:?}"));
        assert_eq!((&line["method"], &line["target"]), (&(*method).into(), &(*target).into()), "{line}");
        assert_eq!((&line["status"], &line["outcome"]), (&(*status).into(), &"local".into()), "{line}");
        assert_eq!((&line["aborted"], &line["client"]), (&false.into(), &"127.0.0.1".into()), "{line}");
    }
    assert_eq!((count("4xx"), count("5xx")), (5.0, 1.0));
    assert_eq!(proxy.metric("larder_aborted_requests_total"), 0.0);
}

#[test]
fn collapsed_waiters_are_counted() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters: Vec<Exchange> = (0..4).map(|_| proxy.asks("/a").begin()).collect();
    proxy.wait_for_metric("larder_collapsed_waiters_total", 3.0);
    gate.open();
    waiters.into_iter().for_each(|waiter| assert_eq!(waiter.finish().status, 200));
}

#[test]
fn a_whole_answer_is_not_counted_as_aborted() {
    let origin = Origin::start();
    let large = "x".repeat(3 << 20);
    for (target, answer) in [
        ("/small", ok("x").cache("max-age=60")),
        ("/large", ok(&large).cache("max-age=60")),
        ("/chunked", ok(&large).chunked().cache("max-age=60")),
        ("/passed", ok(&large).cache("no-store")),
        ("/empty", ok("").cache("max-age=60")),
        ("/nothing", nothing()),
    ] {
        origin.on(target).respond(answer);
    }
    let proxy = Proxy::before(&origin);
    for target in ["/small", "/large", "/chunked", "/passed", "/empty", "/nothing"] {
        for method in ["GET", "GET", "HEAD"] {
            proxy.send(&proxy.ask(method, target)).text();
            assert_eq!(proxy.metric("larder_aborted_requests_total"), 0.0, "{method} {target}");
        }
    }
}

#[test]
fn a_cut_answer_is_counted_as_aborted() {
    let origin = Origin::start();
    origin.on("/cut").respond(ok("hello").cut_after(2));
    let proxy = Proxy::before(&origin);
    assert!(proxy.get("/cut").end.is_err());
    proxy.wait_for_metric("larder_aborted_requests_total", 1.0);
}

#[test]
fn no_client_can_make_a_new_series() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let series = || {
        let text = proxy.admin().asks("/metrics").host("localhost").send().text();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        names.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<BTreeSet<_>>()
    };
    proxy.get("/a");
    proxy.get("/a");
    for number in 0..20 {
        let (target, method) = (format!("/{number}"), format!("METHOD{number}"));
        origin.on(&target).respond(ok("x").cache("max-age=60"));
        proxy.send(&proxy.asks(&target).host(&format!("host{number}.example")).field("User-Agent", &target));
        proxy.send(&proxy.ask(&method, &target));
    }
    let text = series().into_iter().collect::<Vec<_>>().join("\n");
    for theirs in ["METHOD", "host1", "/1", "User-Agent"] {
        assert!(!text.contains(theirs), "{theirs} shows in\n{text}");
    }
    let before = series();
    for number in 20..40 {
        let (target, method) = (format!("/{number}"), format!("METHOD{number}"));
        origin.on(&target).respond(ok("x").cache("max-age=60"));
        proxy.send(&proxy.asks(&target).host(&format!("host{number}.example")));
        proxy.send(&proxy.ask(&method, &target));
    }
    assert_eq!(before, series());
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let origin = Origin::start();
    origin.on("/a?b=c").respond(ok("hello").cache("max-age=60"));
    origin.on("/cut").respond(ok("hello").cut_after(2));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let log = format!("access = \"json\"\naccess_file = \"{}\"", file.display());
    let proxy = Proxy::with(&origin).log(&log).route("name = \"all\"").start();
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
        lines.filter(|line: &serde_json::Value| line["target"] != "/-/unseen").collect()
    };
    let ask = proxy.asks("/a?b=c").field("User-Agent", b"eve\"\\ \xff".as_slice());
    ask.clone().send();
    proxy.settle();
    ask.send();
    let _ = proxy.asks("/cut").send();
    assert!(wait_until(|| lines().len() >= 3), "{:?}", lines());
    let lines = lines();
    assert_eq!(lines.len(), 3);
    for (line, outcome) in lines.iter().zip(["miss", "hit", "miss"]) {
        let (status, route) = (line["status"].as_u64(), line["route"].as_str());
        assert_eq!(
            (status, route, line["outcome"].as_str()),
            (Some(200), Some("all"), Some(outcome)),
            "{line}"
        );
        assert_eq!((line["method"].as_str(), line["host"].as_str()), (Some("GET"), Some("example.com")));
    }
    assert_eq!((&lines[1]["target"], &lines[1]["bytes"]), (&"/a?b=c".into(), &5.into()));
    assert_eq!((&lines[1]["aborted"], &lines[2]["aborted"]), (&false.into(), &true.into()));
    assert_eq!(lines[0]["stored"], true);
}

#[test]
fn health_and_readiness_are_told() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(proxy.admin().asks(target).host("localhost:8081").send().status, 200, "{target}");
    }
    assert_eq!(proxy.admin().asks("/elsewhere").host("localhost").send().status, 404);
    let posted = proxy.admin().ask("POST", "/metrics").host("localhost").content("x").send();
    assert_eq!(posted.status, 405);
}

#[test]
fn probes_have_a_listener_of_their_own_where_it_is_wanted() {
    let origin = Origin::start();
    let setup = Proxy::with(&origin).admin("probe_listen = \"127.0.0.1:0\"\nhosts = [\"larder.internal\"]");
    let proxy = setup.start();
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(proxy.probes().asks(target).host("10.0.0.7:8082").send().status, 200, "{target}");
    }
    assert_eq!(proxy.probes().asks("/").host("10.0.0.7:8082").send().status, 404);
    assert_eq!(proxy.admin().asks("/metrics").host("10.0.0.7").send().status, 403);
    assert_eq!(proxy.admin().asks("/metrics").host("larder.internal").send().status, 200);
}

/// docs/operations.md lists the metrics; what it lists is there, and what is there it lists.
#[test]
fn every_metric_is_documented() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::with(&origin).route("name = \"all\"").start();
    proxy.get("/a");
    proxy.get("/a");
    let text = proxy.admin().asks("/metrics").host("localhost").send().text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let families: BTreeSet<&str> = samples
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name))
        .map(|name| name.strip_suffix("_sum").or(name.strip_suffix("_count")).unwrap_or(name))
        .collect();
    let page = include_str!("../../docs/operations.md");
    let documented: BTreeSet<&str> =
        page.split('`').filter(|code| code.starts_with("larder_") && !code.contains(' ')).collect();
    assert_eq!(families, documented);
    for (histogram, label) in [
        ("larder_first_byte_seconds_count", "outcome=\"hit\""),
        ("larder_first_byte_seconds_count", "outcome=\"miss\""),
        ("larder_origin_first_byte_seconds_count", "upstream=\"origin\""),
    ] {
        assert!(proxy.metric(&format!("{histogram}{{{label}}}")) >= 1.0, "{histogram} {label}");
    }
    assert!(proxy.metric("larder_origin_fetches_total{upstream=\"origin\",result=\"2xx\"}") >= 1.0);
}

/// A page in a browser on this machine can reach the admin listener by a name of its own.
#[test]
fn the_admin_listener_answers_to_its_own_names_only() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:8081", 200),
        ("[::1]:8081", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        assert_eq!(proxy.admin().asks("/metrics").host(host).send().status, status, "{host}");
    }
}
