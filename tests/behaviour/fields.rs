//! Which fields pass, in both directions, which are for one hop only, and which are added or replaced on the way.

use crate::proxy::{Proxy, assert_hit};
use crate::support::*;

#[test]
fn what_is_meant_for_the_next_hop_only_stays_there() {
    let origin = Origin::start();
    let back = ok("x").cache("max-age=60").field("Connection", "X-Back, keep-alive").field("X-Back", "1");
    origin.on("/a").respond(
        back.field("Keep-Alive", "timeout=9").field("Proxy-Authenticate", "Basic").field("X-End", "1"),
    );
    let proxy = Proxy::before(&origin);
    let ask = proxy.asks("/a").field("Connection", "X-Forth, Keep-Alive,upgrade").field("X-Forth", "1");
    let ask =
        ask.field("Keep-Alive", "timeout=9").field("Proxy-Connection", "keep-alive").field("TE", "gzip");
    let passed = proxy.send(&ask.field("Upgrade", "websocket").field("X-End", "1"));
    let seen = origin.last();
    for name in ["X-Forth", "Keep-Alive", "Proxy-Connection", "Upgrade"] {
        assert!(!seen.fields.has(name), "{name} went through: {seen:?}");
    }
    assert!(!seen.fields.list("TE").contains(&"gzip".to_owned()), "{seen:?}");
    assert!(seen.fields.has("X-End"));
    for answered in [passed, proxy.get("/a")] {
        for name in ["X-Back", "Keep-Alive"] {
            assert!(!answered.fields.has(name), "{name} came through: {answered:?}");
        }
        assert!(!answered.fields.list("Connection").contains(&"X-Back".to_owned()), "{answered:?}");
        assert!(answered.fields.has("X-End"));
    }
    assert_hit(&proxy.get("/a"));
}

#[test]
fn connection_cannot_name_away_what_matters() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| ok(seen.content()));
    let proxy = Proxy::before(&origin);
    let names = "Host, Content-Length, X-Forwarded-For, Via, Cookie, close";
    let passed = proxy.send(&proxy.ask("POST", "/a").field("Connection", names).content("hello"));
    assert_eq!(passed.text(), "hello", "the framing is intact");
    let seen = origin.last();
    assert_eq!(seen.fields.all("Host"), ["example.com"]);
    assert_eq!(seen.fields.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.fields.list("Via"), ["1.1 larder"]);
}

#[test]
fn via_grows_in_both_directions() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Via", "1.0 inner (x)"));
    let proxy = Proxy::before(&origin);
    let passed = proxy.send(&proxy.asks("/a").field("Via", "1.0 outer"));
    assert_eq!(origin.last().fields.list("Via"), ["1.0 outer", "1.1 larder"]);
    assert_eq!(passed.fields.list("Via"), ["1.0 inner (x)", "1.1 larder"]);
    assert_eq!(proxy.get("/a").fields.list("Via"), ["1.0 inner (x)", "1.1 larder"]);
}

#[test]
fn a_strangers_word_about_the_client_is_replaced() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let proxy = Proxy::before(&origin);
    let ask = proxy.asks("/a").field("X-Forwarded-For", "6.6.6.6").field("X-Forwarded-Proto", "https");
    let ask =
        ask.field("X-Forwarded-Host", "evil.example").field("Forwarded", "for=6.6.6.6;host=evil.example");
    proxy.send(&ask.field("X-Forwarded-For", "7.7.7.7").field("X-Forwarded-Port", "1"));
    let seen = origin.last();
    assert_eq!(seen.fields.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.fields.all("X-Forwarded-Proto"), ["http"]);
    assert_eq!(seen.fields.all("X-Forwarded-Host"), ["example.com"]);
    assert!(!seen.fields.has("X-Forwarded-Port"), "what we do not set ourselves goes, too");
    for (name, value) in seen.fields.lines() {
        let line = format!("{}: {}", name.escape_ascii(), value.escape_ascii());
        assert!(!line.contains("6.6.6") && !line.contains("7.7.7") && !line.contains("evil"), "{line}");
    }
    assert_eq!(seen.fields.all("Forwarded"), ["for=127.0.0.1;host=\"example.com\";proto=http"], "RFC 7239");
}

#[test]
fn a_trusted_proxys_word_is_kept_and_added_to() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let proxy = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let ask = proxy.asks("/a").field("X-Forwarded-For", "6.6.6.6").field("X-Forwarded-Proto", "https");
    let ask = ask.field("Forwarded", "for=6.6.6.6;proto=https").field("X-Forwarded-Port", "8443");
    proxy.send(&ask.field("X-Forwarded-Host", "shop.example"));
    let seen = origin.last();
    let ours = "for=127.0.0.1;host=\"example.com\";proto=https";
    assert_eq!(seen.fields.list("Forwarded"), ["for=6.6.6.6;proto=https", ours]);
    assert_eq!(seen.fields.all("X-Forwarded-Port"), ["8443"]);
    assert_eq!(seen.fields.list("X-Forwarded-For"), ["6.6.6.6", "127.0.0.1"]);
    assert_eq!(seen.fields.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(seen.fields.all("X-Forwarded-Host"), ["shop.example"]);
}

/// Frameworks rewrite requests by these; a client must not be able to poison a key with them.
#[test]
fn fields_that_rewrite_requests_are_dropped_unless_trusted() {
    const REWRITING: [&str; 7] = [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
    ];
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let wary = Proxy::before(&origin);
    let trusting = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1\"]").start();
    for name in REWRITING {
        wary.send(&wary.asks("/a").field(name, "/admin"));
        assert!(!origin.last().fields.has(name), "{name}");
        trusting.send(&trusting.asks("/a").field(name, "/admin"));
        assert_eq!(origin.last().fields.all(name), ["/admin"]);
    }
}

#[test]
fn max_forwards_counts_down_and_ends_here() {
    let origin = Origin::start();
    origin.on("OPTIONS /a").respond(nothing());
    origin.on("TRACE /a").respond(ok("traced"));
    let proxy = Proxy::before(&origin);
    for method in ["OPTIONS", "TRACE"] {
        proxy.send(&proxy.ask(method, "/a").field("Max-Forwards", "5"));
        assert_eq!(origin.last().fields.all("Max-Forwards"), ["4"], "{method}");
        let before = origin.requests().len();
        let answered =
            proxy.send(&proxy.ask(method, "/a").field("Max-Forwards", "0").field("Cookie", "secret=1"));
        assert!(answered.status < 500, "{answered:?}");
        assert!(!answered.text().contains("secret"), "TRACE shows no secrets (RFC 9110 §9.3.8)");
        assert_eq!(origin.requests().len(), before, "{method} ends here");
    }
}

#[test]
fn options_for_the_whole_server_passes() {
    let origin = Origin::start();
    origin.on("OPTIONS *").respond(nothing().field("Allow", "GET"));
    let proxy = Proxy::before(&origin);
    let passed = proxy.send(&proxy.ask("OPTIONS", "*"));
    assert_eq!((passed.status, passed.field("Allow").as_deref()), (204, Some("GET")));
    assert_eq!(origin.last().target, "*");
}

#[test]
fn a_client_that_expects_100_is_told_to_continue() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("thanks"));
    let proxy = Proxy::before(&origin);
    let ask = proxy.ask("POST", "/a").field("Expect", "100-continue").field("Content-Length", "5");
    let mut exchange = ask.begin();
    assert!(exchange.next_interim().start.starts_with("HTTP/1.1 100"));
    exchange.say("hello");
    let passed = exchange.finish();
    assert_eq!((passed.status, passed.text().as_str(), passed.interim.len()), (200, "thanks", 1));
    assert_eq!(origin.last().content(), b"hello");
}

#[test]
fn trailers_pass_and_are_never_merged() {
    let origin = Origin::start();
    let answer = pieces("hello", []).cache("max-age=60").field("Trailer", "X-Sum");
    origin.on("/a").respond(answer.trailer("X-Sum", "abc").trailer("Set-Cookie", "evil=1"));
    let proxy = Proxy::before(&origin);
    let asks = proxy.asks("/a").field("TE", "trailers").field("Connection", "TE");
    let (first, hit) = (proxy.send(&asks), proxy.send(&asks));
    assert_hit(&hit);
    for answered in [first, hit] {
        assert_eq!(
            (answered.text().as_str(), answered.trailers.all("X-Sum")),
            ("hello", vec!["abc".to_owned()])
        );
        assert!(!answered.fields.has("X-Sum") && !answered.fields.has("Set-Cookie"), "{answered:?}");
    }
}

#[test]
fn request_trailers_pass() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("thanks"));
    let proxy = Proxy::before(&origin);
    proxy.send(&proxy.ask("POST", "/a").field("TE", "gzip;q=0.5, Trailers").field("Connection", "TE"));
    assert_eq!(origin.last().fields.all("TE"), ["trailers"], "which this hop takes, too");
    let ask = proxy.ask("POST", "/a").field("Transfer-Encoding", "chunked").field("Trailer", "X-Sum");
    let mut upload = ask.begin();
    upload.say("5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n");
    assert_eq!(upload.finish().text(), "thanks");
    let (content, trailers, end) = origin.last().wait_for_end();
    assert_eq!(
        (content.as_slice(), trailers.all("X-Sum"), end),
        (&b"hello"[..], vec!["abc".to_owned()], Ok(()))
    );
    assert!(!origin.last().fields.has("X-Sum"));
}

#[test]
fn repeated_fields_keep_their_order_and_every_byte_passes() {
    let origin = Origin::start();
    let answer = ok("x")
        .cache("max-age=60")
        .field("X-List", "1")
        .field("X-Odd", b"\xff\xfe caf\xe9")
        .field("X-List", "2, 3");
    origin.on("/a").respond(answer.field("WWW-Authenticate", "Basic").field("WWW-Authenticate", "Bearer"));
    let proxy = Proxy::before(&origin);
    let ask = proxy
        .asks("/a")
        .field("X-List", "b")
        .field("X-Odd", b"\x80\xff")
        .field("X-List", "a")
        .field("X-Empty", "");
    for answered in [proxy.send(&ask), proxy.get("/a")] {
        assert_eq!(answered.fields.all("X-List"), ["1", "2, 3"]);
        assert_eq!(answered.fields.bytes("X-Odd"), [b"\xff\xfe caf\xe9"]);
        assert_eq!(answered.fields.all("WWW-Authenticate"), ["Basic", "Bearer"]);
    }
    let seen = origin.last();
    assert_eq!(seen.fields.all("X-List"), ["b", "a"]);
    assert_eq!(seen.fields.bytes("X-Odd"), [b"\x80\xff"]);
    assert_eq!(seen.fields.all("X-Empty"), [""]);
}

#[test]
fn the_target_passes_as_it_was_sent() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for target in ["/%7Ea/%2e%2E/b?x=%20&&y", "/a/../b", "//double", "/a;p=1/'()!*", "/?", "/a?b?c", "/%e9"] {
        origin.on(target).respond(ok("x"));
        assert_eq!(proxy.get(target).status, 200, "{target}");
        assert_eq!(origin.last().target, target);
    }
    origin.on("/in/full?x=1").respond(ok("x"));
    proxy.get("http://example.com/in/full?x=1");
    assert_eq!(origin.last().target, "/in/full?x=1");
    assert_eq!(origin.last().fields.all("Host"), ["example.com"]);
}

#[test]
fn the_upstreams_host_may_be_configured() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let plain = Proxy::before(&origin);
    plain.send(&plain.asks("/a").host("shop.example:8000"));
    assert_eq!(origin.last().fields.all("Host"), ["shop.example:8000"]);
    let renamed = Proxy::with(&origin).upstream("host = \"internal\"").start();
    renamed.get("/a");
    let seen = origin.last();
    assert_eq!(
        (seen.fields.all("Host"), seen.fields.all("X-Forwarded-Host")),
        (vec!["internal".into()], vec!["example.com".into()])
    );
}
