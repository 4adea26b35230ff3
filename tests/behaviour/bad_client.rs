//! Clients that smuggle, stall and vanish.

use std::time::Duration;

use crate::proxy::{Proxy, assert_hit};
use crate::support::*;

/// Says these bytes; the proxy answers one of `statuses` (or nothing), closes, and the origin sees nothing.
#[track_caller]
fn assert_refused(proxy: &Proxy, origin: &Origin, bytes: &[u8], statuses: &[u16]) {
    origin.forget();
    let mut connection = proxy.client().connect();
    connection.say(bytes);
    let shown = bytes[..bytes.len().min(200)].escape_ascii();
    match connection.expect("GET").finish_and_keep_or_cut() {
        Ok((answered, connection)) => {
            assert!(statuses.contains(&answered.status), "{} to {shown}", answered.status);
            assert!(connection.closes(), "goes on after {shown}");
        }
        Err(cut) => assert!(statuses.is_empty(), "no answer ({cut:?}) to {shown}"),
    }
    proxy.settle();
    let seen = origin.requests();
    assert!(seen.is_empty(), "the origin saw {seen:?} of {shown}");
}

const HEAD: &str = "POST /a HTTP/1.1\r\nHost: example.com\r\n";

#[test]
fn contradictory_lengths_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        assert_refused(&proxy, &origin, format!("{HEAD}{fields}\r\nhello!").as_bytes(), &[400]);
    }
}

#[test]
fn codings_other_than_chunked_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for (coding, statuses) in [
        ("gzip", &[400, 501][..]),
        ("chunked, gzip", &[400, 501]),
        ("gzip, chunked", &[400, 501]),
        ("chunked, chunked", &[400, 501]),
        ("identity", &[400, 501]),
        ("xchunked", &[400, 501]),
        ("\x0bchunked", &[400, 501]),
        ("\"chunked\"", &[400, 501]),
        ("", &[400, 501]),
    ] {
        let request = format!("{HEAD}Transfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        assert_refused(&proxy, &origin, request.as_bytes(), statuses);
    }
    let twice = format!("{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n");
    assert_refused(&proxy, &origin, twice.as_bytes(), &[400, 501]);
}

#[test]
fn a_request_with_both_framings_smuggles_nothing() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("a"));
    origin.on("/smuggled").respond(ok("smuggled"));
    let proxy = Proxy::before(&origin);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";
    for both in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        origin.forget();
        let mut connection = proxy.client().connect();
        connection.say(format!("{HEAD}{both}\r\n0\r\n\r\n{smuggled}"));
        let (answered, connection) = connection.expect("POST").finish_and_keep();
        assert!([200, 400].contains(&answered.status), "{answered:?}");
        assert!(connection.closes(), "refused, or reframed and closed (RFC 9112 §6.3)");
        for seen in origin.requests() {
            assert_eq!((seen.target.as_str(), seen.content().len()), ("/a", 0));
            let framing = [seen.fields.all("Content-Length"), seen.fields.all("Transfer-Encoding")];
            assert!(framing[0].is_empty() || framing[1].is_empty(), "{seen:?}");
        }
    }
}

#[test]
fn malformed_heads_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for head in [
        "GET /a HTTP/1.1\r\nHost : example.com\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nX: 1\r\n folded\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nBad Name: 1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nno colon\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nX: a\0b\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: example.com\r\nX: a\rb\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET  /a HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "G{T /a HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET /a HTTP/1.1 x\r\nHost: example.com\r\n\r\n",
        "nonsense\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
    ] {
        assert_refused(&proxy, &origin, head.as_bytes(), &[400]);
    }
    assert_refused(&proxy, &origin, b"GET /a HTTP/3.0\r\nHost: example.com\r\n\r\n", &[400, 505]);
}

#[test]
fn there_is_exactly_one_host() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for fields in [
        "",
        "Host: example.com\r\nHost: example.com\r\n",
        "Host: example.com\r\nHost: other.example\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@example.com\r\n",
        "Host: example.com:port\r\n",
        "Host: example.com#a\r\n",
        "Host: example.com?a\r\n",
        "Host: a\\b\r\n",
        "Host: [::1\r\n",
        "Host: \r\n",
        "Host: caf\u{e9}\r\n",
    ] {
        let request = format!("GET /a HTTP/1.1\r\n{fields}\r\n");
        let mut connection = proxy.client().connect();
        connection.say(request);
        let answered = connection.expect("GET").finish();
        assert_eq!(answered.status, 400, "{fields:?}");
    }
    proxy.settle();
    assert!(origin.requests().is_empty());
}

#[test]
fn an_absolute_target_agrees_with_host() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for target in
        ["http://other.example/a", "http://example.com:81/a", "http:///a", "http://user@example.com/a"]
    {
        assert_eq!(proxy.get(target).status, 400, "{target}");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn oversized_heads_are_refused() {
    let origin = Origin::start();
    let server = "max_head = \"8KiB\"\nmax_fields = 20\nmax_target = \"1KiB\"";
    let proxy = Proxy::with(&origin).server(server).start();
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n");
    let large = format!("X: {}\r\n", "y".repeat(10_000));
    let many: String = (0..30).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_refused(&proxy, &origin, get("/a", &large).as_bytes(), &[431]);
    let mut connection = proxy.client().connect();
    connection.say(get("/a", &many));
    assert_eq!(connection.expect("GET").finish().status, 431);
    let mut connection = proxy.client().connect();
    connection.say(get(&format!("/{}", "a".repeat(2000)), ""));
    assert_eq!(connection.expect("GET").finish().status, 414);
    let longest = format!("/{}", "a".repeat(1023));
    origin.on(&longest).respond(ok("x"));
    assert_eq!(proxy.get(&longest).status, 200);
}

#[test]
fn a_head_without_end_is_not_waited_for() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).server("header_timeout = \"150ms\"").start();
    let mut connection = proxy.client().connect();
    connection.say("GET /a HTTP/1.1\r\nHost: exam");
    match connection.expect("GET").try_finish() {
        Ok(answered) => assert_eq!(answered.status, 408),
        Err(cut) => assert_ne!(cut, Cut::Silence),
    }
}

#[test]
fn malformed_content_breaks_the_request_off() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("never"));
    let proxy = Proxy::before(&origin);
    for bad in
        ["xyz\r\n", "-1\r\n", "3\r\ntoo long\r\n", "ffffffffffffffffff\r\n", "\r\n", "3;x\ry\r\nabc\r\n"]
    {
        origin.forget();
        let mut connection = proxy.client().connect();
        connection.say(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
        let seen = origin.wait_for(1).pop().unwrap();
        seen.wait_for_content(b"hello");
        connection.say(bad);
        let (_, _, end) = seen.wait_for_end();
        assert!(end.is_err(), "the origin takes it for whole: {bad:?}");
        let answered = connection.expect("POST").finish_and_keep_or_cut();
        if let Ok((answered, connection)) = answered {
            assert_eq!(answered.status, 400, "{bad:?}");
            assert!(connection.closes(), "{bad:?}");
        }
    }
}

#[test]
fn a_client_that_vanishes_within_its_request_takes_it_along() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("never"));
    let proxy = Proxy::before(&origin);
    for framing in ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 100\r\n\r\nhello"] {
        for reset in [true, false] {
            origin.forget();
            let upload = proxy.client().say(format!("{HEAD}{framing}"));
            let seen = origin.wait_for(1).pop().unwrap();
            seen.wait_for_content(b"hello");
            if reset {
                upload.reset();
            } else {
                upload.hang_up();
            }
            assert!(seen.wait_for_end().2.is_err(), "the origin takes it for whole: {framing:?}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_nothing_follows_a_bad_one() {
    let origin = Origin::start();
    for target in ["/a", "/b", "/c"] {
        origin.on(target).respond(ok(target).cache("max-age=60"));
    }
    let proxy = Proxy::before(&origin);
    let mut connection = proxy.client().connect();
    let [a, b, c] = ["/a", "/b", "/c"].map(|target| proxy.asks(target).bytes());
    connection.say([&a[..], &b, b"GET nonsense\r\n\r\n", &c].concat());
    for target in ["/a", "/b"] {
        let (answered, kept) = connection.expect("GET").finish_and_keep();
        assert_eq!(answered.text(), target);
        connection = kept;
    }
    let (answered, connection) = connection.expect("GET").finish_and_keep();
    assert_eq!(answered.status, 400);
    assert!(connection.closes());
    origin.was_asked("/c", 0);
}

/// Whatever is answered without reading a request's content, that content must not be taken for the next request.
#[test]
fn content_of_a_refused_request_is_not_the_next_request() {
    let origin = Origin::start();
    origin.on("/stored").respond(ok("x").cache("max-age=60").field("ETag", "\"1\""));
    origin.on("POST /eager").respond(answer(403, "no").at_once());
    origin.on("/smuggled").respond(ok("smuggled"));
    let proxy = Proxy::with(&origin).server("instance = \"here\"\nmax_target = \"1KiB\"").start();
    proxy.get("/stored");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let long = format!("/{}", "a".repeat(1100));
    for (method, target, fields) in [
        ("POST", "/a", "CDN-Loop: here\r\nHost: example.com\r\n"),
        ("POST", "/a", "Host: a b\r\n"),
        ("POST", "/a", ""),
        ("POST", &long, "Host: example.com\r\n"),
        ("OPTIONS", "/a", "Host: example.com\r\nMax-Forwards: 0\r\n"),
        ("TRACE", "/a", "Host: example.com\r\nMax-Forwards: 0\r\n"),
        ("CONNECT", "example.com:80", "Host: example.com:80\r\n"),
        ("POST", "/eager", "Host: example.com\r\n"),
    ] {
        let mut connection = proxy.client().connect();
        let length = smuggled.len();
        connection
            .say(format!("{method} {target} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{smuggled}"));
        let (answered, connection) = connection.expect(method).finish_and_keep();
        assert!(
            [400, 403, 414, 501, 508].contains(&answered.status) || target == "/a",
            "{method} {fields:?}: {answered:?}"
        );
        connection.half_close();
        assert!(connection.closes(), "{method} {fields:?}: more than one answer");
    }
    origin.was_asked("/smuggled", 0);
}

#[test]
fn a_reader_that_takes_nothing_is_cut() {
    let origin = Origin::start();
    let content = vec![b'x'; 32 << 20];
    origin.on("/secret").respond(ok(&content).cache("no-store"));
    let proxy = Proxy::with(&origin).server("stall_timeout = \"200ms\"").start();
    let stuck = proxy.asks("/secret").begin_on(proxy.connect().with_small_window());
    origin.wait_for(1);
    // The origin is cut off too: what nobody takes is not fetched, let alone kept.
    origin.last().wait_for_hang_up();
    let answered = stuck.finish();
    assert!(answered.end.is_err() && answered.content.len() < content.len());
    proxy.wait_for_metric("larder_aborted_requests_total", 1.0);
}

#[test]
fn a_reader_of_a_stored_response_that_takes_nothing_is_cut() {
    let origin = Origin::start();
    let content = vec![b'x'; 12 << 20];
    origin.on("/a").respond(ok(&content).cache("max-age=60"));
    let proxy = Proxy::with(&origin).server("stall_timeout = \"200ms\"").start();
    proxy.get("/a");
    proxy.wait_for_metric("larder_store_entries", 1.0);
    let before = proxy.metric("larder_aborted_requests_total");
    let stuck = proxy.asks("/a").begin_on(proxy.connect().with_small_window());
    proxy.wait_for_metric("larder_aborted_requests_total", before + 1.0);
    let answered = stuck.finish();
    assert!(answered.end.is_err() && answered.content.len() < content.len(), "{answered:?}");
}

#[test]
fn a_slow_reader_that_takes_something_is_not_cut() {
    let origin = Origin::start();
    let content = "x".repeat(6 << 20);
    origin.on("/a").respond(ok(&content).cache("no-store"));
    let proxy = Proxy::with(&origin).server("stall_timeout = \"300ms\"").start();
    let mut slow = proxy.asks("/a").begin_on(proxy.connect().with_small_window());
    for taken in 1..12 {
        slow.wait_for_length(taken * 256 * 1024);
        std::thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(slow.finish().text().len(), content.len());
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answer() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let exchange = proxy.asks("/a").begin();
    origin.wait_for(1);
    exchange.half_close();
    proxy.settle();
    gate.open();
    // hyper treats a closed read side as a client that left; either way the answer is stored.
    let _ = exchange.try_finish();
    proxy.wait_for_metric("larder_store_entries", 1.0);
    assert_hit(&proxy.get("/a"));
}

#[test]
fn one_bad_client_does_not_disturb_another() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(pieces("one,", [(&gate, "two")]).cache("no-store"));
    let proxy = Proxy::before(&origin);
    let mut good = proxy.asks("/a").begin();
    good.wait_for_content("one,");
    for bad in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
    ] {
        let mut connection = proxy.client().connect();
        connection.say(bad);
        connection.half_close();
        let _ = connection.expect("GET").try_finish();
    }
    gate.open();
    assert_eq!(good.finish().text(), "one,two");
}
