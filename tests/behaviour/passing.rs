//! What passes through, in both directions, and when; and which connections it takes.

use std::net::TcpListener;

use crate::proxy::{Proxy, Setup, assert_forwarded, assert_hit, assert_not_stored, assert_problem, ours};
use crate::support::*;

#[test]
fn any_method_passes_with_its_content() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "FROB", "get"] {
        origin.on("/a").choose(|seen| answer(202, [b"got ", &seen.content()[..]].concat()));
        let passed = proxy.send(&proxy.ask(method, "/a").content(method));
        assert_eq!((passed.status, passed.text()), (202, format!("got {method}")));
        let said = assert_forwarded(&passed, "method");
        assert_eq!((said.forward_status, said.stored), (Some(202), false));
        assert_eq!(origin.last().method, method);
    }
}

#[test]
fn every_status_passes() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for status in
        [200, 201, 202, 203, 206, 226, 299, 300, 301, 307, 400, 402, 418, 451, 499, 500, 501, 503, 511, 599]
    {
        origin.on("/a").respond(answer(status, "content"));
        let passed = proxy.send(&proxy.ask("POST", "/a").content("x"));
        assert_eq!((passed.status, passed.text().as_str()), (status, "content"));
    }
    for status in [204, 304] {
        origin.on("/a").respond(if status == 204 { nothing() } else { unchanged() });
        assert_eq!(proxy.send(&proxy.ask("POST", "/a").content("x")).status, status);
    }
}

#[test]
fn request_content_is_not_held_back() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("thanks"));
    let proxy = Proxy::before(&origin);
    for framing in [("Transfer-Encoding", "chunked"), ("Content-Length", "6")] {
        let mut upload = proxy.ask("POST", "/a").field(framing.0, framing.1).begin();
        let chunked = framing.0 == "Transfer-Encoding";
        upload.say(if chunked { "3\r\none\r\n" } else { "one" });
        let seen = origin.wait_for(1).pop().unwrap();
        seen.wait_for_content(b"one");
        upload.say(if chunked { "3\r\ntwo\r\n0\r\n\r\n" } else { "two" });
        assert_eq!(upload.finish().text(), "thanks");
        assert_eq!(seen.content(), b"onetwo");
        assert_eq!(seen.fields.all("Content-Length"), if chunked { vec![] } else { vec!["6".to_owned()] });
        origin.forget();
    }
}

#[test]
fn response_content_is_not_held_back() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    for (method, framed) in [("POST", false), ("POST", true), ("GET", false), ("GET", true)] {
        let gate = Gate::closed();
        let answer = pieces("one,", [(&gate, "two")]).cache("no-store");
        origin.on("/a").respond(if framed { answer.with_length() } else { answer });
        let mut download = proxy.ask(method, "/a").begin();
        download.wait_for_content("one,");
        gate.open();
        let passed = download.finish();
        assert_eq!(passed.text(), "one,two");
        assert_eq!(passed.field("Content-Length").is_some(), framed, "{passed:?}");
    }
}

#[test]
fn both_directions_flow_at_the_same_time() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(pieces("first", [(&gate, ", last")]).at_once());
    let proxy = Proxy::before(&origin);
    let mut exchange = proxy.ask("POST", "/a").field("Transfer-Encoding", "chunked").begin();
    exchange.say("3\r\none\r\n");
    exchange.wait_for_content("first");
    exchange.say("3\r\ntwo\r\n");
    gate.open();
    exchange.wait_for_content("first, last");
    let seen = origin.last();
    exchange.say("0\r\n\r\n");
    seen.wait_for_content(b"onetwo");
    assert_eq!(exchange.finish().text(), "first, last");
}

#[test]
fn connections_to_the_origin_are_used_again() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    origin.on("/last").respond(ok("x").field("Connection", "close"));
    let proxy = Proxy::before(&origin);
    for target in ["/a", "/a", "/last", "/a"] {
        assert_eq!(proxy.asks(target).send().status, 200);
    }
    let on: Vec<usize> = origin.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(on, [0, 0, 0, 1]);
}

#[test]
fn a_connection_that_the_origin_closed_meanwhile_is_no_reason_to_fail() {
    let origin = Origin::start();
    // Says that the connection stays open, and closes it.
    let closing = || raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").then_closes();
    origin.on("/a").respond(closing());
    let proxy = Proxy::before(&origin);
    for _ in 0..20 {
        assert_eq!(proxy.asks("/a").send().status, 200);
    }
}

#[test]
fn connections_of_clients_are_used_again() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60"));
    origin.on("/b").respond(ok("y"));
    let proxy = Proxy::before(&origin);
    let mut connection = proxy.connect();
    for (method, target, content) in
        [("GET", "/a", "x"), ("HEAD", "/a", ""), ("GET", "/b", "y"), ("GET", "/a", "x")]
    {
        let (answered, kept) = proxy.ask(method, target).begin_on(connection).finish_and_keep();
        assert_eq!((answered.status, answered.text().as_str()), (200, content));
        connection = kept;
    }
    let closing = proxy.asks("/a").field("Connection", "close").begin_on(connection);
    let (answered, connection) = closing.finish_and_keep();
    assert_eq!(answered.fields.list("Connection"), ["close"]);
    assert!(connection.closes());
}

#[test]
fn a_client_keeps_its_connection_through_errors() {
    let origin = Origin::start();
    origin.on("/missing").respond(answer(404, "no"));
    origin.on("/broken").respond(problem(503));
    origin.on("/reset").respond(ok("").but_only(Act::Reset));
    origin.on("/good").respond(ok("x"));
    let proxy = Proxy::before(&origin);
    let mut connection = proxy.client().connect();
    for (target, status) in [("/missing", 404), ("/broken", 503), ("/reset", 502), ("/good", 200)] {
        let (answered, kept) = proxy.asks(target).begin_on(connection).finish_and_keep();
        assert_eq!(answered.status, status, "{target}");
        connection = kept;
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let origin = Origin::start();
    let gate = Gate::closed();
    gate.open();
    origin.on("/a").respond(pieces("one,", [(&gate, "two")]).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    for _ in 0..2 {
        let mut connection = proxy.client().connect();
        connection.say("GET /a HTTP/1.0\r\nHost: example.com\r\n\r\n");
        let (answered, connection) = connection.expect("GET").finish_and_keep();
        assert_eq!(answered.text(), "one,two");
        assert!(!answered.fields.has("Transfer-Encoding"), "{answered:?}");
        assert!(connection.closes());
        proxy.settle();
    }
    origin.was_asked("/a", 1);
}

#[test]
fn an_origin_of_http_1_0_is_understood() {
    let origin = Origin::start();
    let old = raw("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\n\r\nhello")
        .then_closes();
    origin.on("/a").respond(old);
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/a").text(), "hello");
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "hello");
}

#[test]
fn an_origin_that_takes_too_long_is_given_up() {
    let origin = Origin::start();
    origin.on("/silent").respond(ok("").but_only(Act::AwaitHangUp));
    origin.on("/stuck").respond(ok("some").chunked().then_hangs());
    let upstream = "first_byte_timeout = \"150ms\"\nbetween_bytes_timeout = \"150ms\"";
    let proxy = Proxy::with(&origin).upstream(upstream).start();
    for method in ["GET", "POST"] {
        assert_problem(&proxy.ask(method, "/silent").send(), 504);
        origin.last().wait_for_hang_up();
        let stuck = proxy.ask(method, "/stuck").send();
        assert_eq!((stuck.status, stuck.content.as_slice()), (200, &b"some"[..]));
        assert!(stuck.end.is_err(), "it looks whole: {stuck:?}");
        origin.last().wait_for_hang_up();
    }
}

#[test]
fn an_origin_that_is_not_there_is_a_bad_gateway() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Setup::before(nobody).start();
    for method in ["GET", "POST"] {
        let refused = proxy.ask(method, "/a").send();
        assert_problem(&refused, 502);
        assert_eq!(ours(&refused).forward_status, None);
    }
    let head = proxy.ask("HEAD", "/a").send();
    assert_eq!((head.status, head.text().as_str()), (502, ""));
}

#[test]
fn an_origin_without_a_free_connection_is_busy() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/held").respond(ok("x").held_by(&gate));
    origin.on("/a").respond(ok("x"));
    let upstream = "max_connections = 1\nconnect_timeout = \"100ms\"";
    let proxy = Proxy::with(&origin).upstream(upstream).start();
    let held = proxy.asks("/held").begin();
    origin.wait_for(1);
    assert_problem(&proxy.asks("/a").send(), 503);
    gate.open();
    assert_eq!(held.finish().status, 200);
    assert_eq!(proxy.asks("/a").send().status, 200, "the connection is free again");
}

#[test]
fn a_request_that_was_here_before_is_refused() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let proxy = Proxy::with(&origin).server("instance = \"here-1\"").start();
    assert_problem(&proxy.send(&proxy.asks("/a").field("CDN-Loop", "other, here-1")), 508);
    assert_problem(
        &proxy.send(&proxy.asks("/a").field("CDN-Loop", "other").field("CDN-Loop", "here-1; x=1")),
        508,
    );
    origin.was_asked("/a", 0);
    assert_eq!(proxy.send(&proxy.asks("/a").field("CDN-Loop", "other, here-10")).status, 200);
    assert_eq!(origin.last().fields.list("CDN-Loop"), ["other", "here-10", "here-1"]);
}

#[test]
fn a_loop_ends_at_its_second_turn() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Setup::before(here).listen(here).start();
    for method in ["GET", "POST"] {
        assert_eq!(proxy.ask(method, "/a").send().status, 508);
    }
}

#[test]
fn a_date_is_added_to_what_passes_without_one() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x"));
    let proxy = Proxy::before(&origin);
    let passed = proxy.send(&proxy.ask("POST", "/a").content("x"));
    assert_eq!(passed.field("Date"), Some(proxy.date(0)));
    assert_not_stored(&passed);
}

#[test]
fn connect_is_no_way_through() {
    let origin = Origin::start();
    let proxy = Proxy::before(&origin);
    let target = origin.addr().to_string();
    let refused = proxy.ask("CONNECT", &target).host(&target).send();
    assert!((400..600).contains(&refused.status), "{refused:?}");
    assert!(origin.requests().is_empty());
}
