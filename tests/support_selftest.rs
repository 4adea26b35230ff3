//! The instruments are tested before they are believed: origin and client face to face, no proxy between.

#![allow(unreachable_pub)] // shared with other tests
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

mod support;

use support::*;

#[test]
fn an_answer_arrives_as_it_was_written() {
    let origin = Origin::start();
    origin.on("/a?b=c").respond(ok("hello").field("X-Odd", b"caf\xe9").field("x-odd", "2"));
    let answered = Client::to(origin.addr()).asks("/a?b=c").field("A", "1").field("a", "2").send();
    assert_eq!((answered.status, answered.text().as_str()), (200, "hello"));
    assert_eq!(answered.fields.bytes("x-odd"), [b"caf\xe9".as_slice(), b"2"]);
    assert_eq!(answered.field("content-length").as_deref(), Some("5"));
    assert_eq!(origin.last().fields.all("a"), ["1", "2"]);
    assert_eq!(origin.last().method, "GET");
}

#[test]
fn scripts_run_in_turn_and_the_last_answer_stays() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("1")).then(ok("2"));
    origin.on("POST /a").respond(nothing());
    let client = Client::to(origin.addr());
    let said: Vec<String> = (0..3).map(|_| client.get("/a").text()).collect();
    assert_eq!(said, ["1", "2", "2"]);
    let posted = client.ask("POST", "/a").content("x=1").send();
    assert_eq!(posted.status, 204);
    assert_eq!(origin.last().content(), b"x=1");
    origin.on("/a").respond(ok("3"));
    assert_eq!(client.get("/a").text(), "3");
    assert_eq!((origin.count("/a"), origin.wait_for(5).len()), (5, 5));
}

#[test]
fn a_script_may_look_at_the_request() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| if seen.fields.has("If-None-Match") { unchanged() } else { ok("new") });
    let client = Client::to(origin.addr());
    assert_eq!(client.get("/a").text(), "new");
    let answered = client.asks("/a").field("If-None-Match", "\"1\"").send();
    assert_eq!((answered.status, answered.text().as_str()), (304, ""));
}

#[test]
fn pieces_wait_for_their_gates() {
    let origin = Origin::start();
    let (second, third) = (Gate::closed(), Gate::closed());
    origin.on("/a").respond(pieces("one,", [(&second, "two,"), (&third, "three")]).trailer("X-End", "yes"));
    let mut exchange = Client::to(origin.addr()).asks("/a").begin();
    exchange.wait_for_content("one,");
    second.open();
    exchange.wait_for_content("one,two,");
    third.open();
    let answered = exchange.finish();
    assert_eq!(answered.text(), "one,two,three");
    assert_eq!(answered.trailers.all("X-End"), ["yes"]);
}

#[test]
fn a_cut_shows_in_every_framing() {
    let origin = Origin::start();
    origin.on("/length").respond(ok("hello").cut_after(2));
    origin.on("/chunked").respond(ok("hello").chunked().cut_after(2));
    origin.on("/lie").respond(ok("hello").declaring(9).cut_after(5));
    origin.on("/close").respond(ok("hello").close_delimited());
    let client = Client::to(origin.addr());
    for (target, content) in [("/length", "he"), ("/chunked", "he"), ("/lie", "hello")] {
        let answered = client.get(target);
        assert_eq!((answered.content.as_slice(), answered.end), (content.as_bytes(), Err(Cut::Closed)));
    }
    assert_eq!(client.get("/close").text(), "hello");
}

#[test]
fn a_reset_is_not_a_close() {
    let origin = Origin::start();
    let seen_it = Gate::closed();
    origin.on("/a").respond(pieces("he", [(&seen_it, "llo")]).reset_after(5));
    origin.on("/b").respond(ok("").but_only(support::Act::Reset));
    let client = Client::to(origin.addr());
    let mut exchange = client.asks("/a").begin();
    exchange.wait_for_content("he");
    seen_it.open();
    assert_eq!(exchange.finish().end, Err(Cut::Reset));
    assert_eq!(client.asks("/b").begin().try_finish().err(), Some(Cut::Reset));
}

#[test]
fn interim_responses_are_kept_apart() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").after(early_hints("</a.css>")).held_by(&gate));
    let mut exchange = Client::to(origin.addr()).asks("/a").begin();
    assert_eq!(exchange.next_interim().fields.all("Link"), ["</a.css>"]);
    gate.open();
    let answered = exchange.finish();
    assert_eq!((answered.status, answered.interim.len()), (200, 1));
    assert!(!answered.fields.has("Link"));
}

#[test]
fn request_content_is_noted_as_it_comes() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("thanks"));
    let client = Client::to(origin.addr());
    let mut upload = client.ask("POST", "/a").field("Transfer-Encoding", "chunked").begin();
    upload.say("3\r\none\r\n");
    origin.wait_for(1);
    origin.last().wait_for_content(b"one");
    upload.say("3\r\ntwo\r\n0\r\nX-T: 1\r\n\r\n");
    assert_eq!(upload.finish().text(), "thanks");
    let (content, trailers, end) = origin.last().wait_for_end();
    assert_eq!((content.as_slice(), end), (b"onetwo".as_slice(), Ok(())));
    assert_eq!(trailers.all("x-t"), ["1"]);
}

#[test]
fn an_abandoned_request_and_an_abandoned_answer_are_noticed() {
    let origin = Origin::start();
    origin.on("/up").respond(ok(""));
    origin.on("/down").respond(ok("some").chunked().then_hangs());
    let client = Client::to(origin.addr());
    let mut upload = client.ask("POST", "/up").field("Content-Length", "10").begin();
    upload.say("123");
    origin.wait_for(1);
    origin.last().wait_for_content(b"123");
    upload.hang_up();
    assert_eq!(origin.last().wait_for_end().2, Err(Cut::Closed));
    let mut download = client.asks("/down").begin();
    download.wait_for_content("some");
    download.hang_up();
    origin.last().wait_for_hang_up();
}

#[test]
fn connections_are_kept_and_numbered() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello"));
    let client = Client::to(origin.addr());
    let (first, connection) = client.asks("/a").begin().finish_and_keep();
    let (second, connection) = client.asks("/a").begin_on(connection).finish_and_keep();
    let head = client.ask("HEAD", "/a").begin_on(connection).finish();
    assert_eq!((first.text(), second.text(), head.text()), ("hello".into(), "hello".into(), String::new()));
    client.get("/a");
    let on: Vec<usize> = origin.requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(on, [0, 0, 0, 1]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("a"));
    origin.on("/b").respond(ok("b"));
    let client = Client::to(origin.addr());
    let mut connection = client.connect();
    connection.say([client.asks("/a").bytes(), client.asks("/b").bytes()].concat());
    let (first, connection) = connection.expect("GET").finish_and_keep();
    assert_eq!(first.text() + &connection.expect("GET").finish().text(), "ab");
}

#[test]
fn malformed_answers_are_called_so() {
    let origin = Origin::start();
    origin
        .on("/both")
        .respond(raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"));
    origin.on("/chunk").respond(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"));
    origin.on("/204").respond(raw("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"));
    origin.on("/name").respond(raw("HTTP/1.1 200 OK\r\nBad Name: 0\r\n\r\n"));
    let client = Client::to(origin.addr());
    for target in ["/both", "/204", "/name"] {
        let read = client.asks(target).begin().try_finish();
        assert!(matches!(read, Err(Cut::Malformed(_))), "{target}: {read:?}");
    }
    assert!(matches!(client.get("/chunk").end, Err(Cut::Malformed(_))));
}

#[test]
fn an_unforeseen_request_fails_the_test() {
    let origin = Origin::start();
    assert_eq!(Client::to(origin.addr()).get("/surprise").status, 418);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(origin)));
    assert!(dropped.is_err());
}

#[test]
fn cache_status_is_read_exactly() {
    let mut fields = Fields::default();
    fields
        .push("Cache-Status", "inner; fwd=uri-miss; fwd-status=200; stored; collapsed, larder; hit; ttl=-3");
    let [inner, outer] = &CacheStatus::all(&fields)[..] else { panic!("two members") };
    assert_eq!((inner.forward.as_deref(), inner.forward_status), (Some("uri-miss"), Some(200)));
    assert!(inner.stored && inner.collapsed && !inner.hit);
    assert_eq!((outer.name.as_str(), outer.hit, outer.ttl), ("larder", true, Some(-3)));
    for wrong in ["larder", "larder; hit; fwd=miss", "larder; fwd=why", "larder; hit; stored", "l; hit; x=1"]
    {
        let mut fields = Fields::default();
        fields.push("Cache-Status", wrong);
        assert!(std::panic::catch_unwind(|| CacheStatus::all(&fields)).is_err(), "{wrong}");
    }
}
