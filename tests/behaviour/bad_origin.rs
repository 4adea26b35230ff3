//! Origins that cut, lie and babble: what comes of it is visible, and nothing of it is kept.

use crate::proxy::{Proxy, assert_hit, assert_problem, assert_stored, ours};
use crate::support::*;

/// Asks twice for `/a`: first the origin misbehaves, then it answers `good`. Returns the first answer.
fn bad_then_good(bad: Answer) -> Result<Answered, Cut> {
    let origin = Origin::start();
    origin.on("/a").respond(bad).then(ok("good").cache("max-age=60"));
    let proxy = Proxy::with(&origin).upstream("between_bytes_timeout = \"150ms\"").start();
    let first = proxy.asks("/a").begin().try_finish();
    proxy.settle();
    let second = proxy.get("/a");
    assert_eq!((second.status, second.text().as_str()), (200, "good"), "after {first:?}");
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 2);
    first
}

/// What came is cut for all to see, or an error; or, if nothing had been passed on yet, a second try has succeeded.
#[track_caller]
fn assert_visibly_cut(answered: Result<Answered, Cut>, content: &str) {
    let Ok(answered) = answered else { return };
    if answered.end.is_ok() && answered.content == b"good" {
        return;
    }
    if answered.status == 502 {
        assert_problem(&answered, 502);
        return;
    }
    assert!(answered.end.is_err(), "it looks whole: {answered:?}");
    assert!(content.as_bytes().starts_with(&answered.content), "{answered:?}");
}

#[test]
fn truncated_content_is_cut_and_not_stored() {
    let whole = || ok("hello, world").cache("max-age=60");
    assert_visibly_cut(bad_then_good(whole().cut_after(5)), "hello");
    assert_visibly_cut(bad_then_good(whole().cut_after(0)), "");
    assert_visibly_cut(bad_then_good(whole().chunked().cut_after(5)), "hello");
    assert_visibly_cut(bad_then_good(whole().declaring(13).then_closes()), "hello, world");
    assert_visibly_cut(bad_then_good(whole().chunked().then_hangs()), "hello, world");
}

#[test]
fn a_last_chunk_without_its_end_is_cut_and_not_stored() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    for rest in [
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhello\r\n0\r\nX-T: 1\r\n",
        "5\r\nhello",
        "6\r\nhello",
    ] {
        assert_visibly_cut(bad_then_good(raw(format!("{head}{rest}")).then_closes()), "hello");
    }
}

#[test]
fn a_reset_is_a_cut_and_nothing_is_stored() {
    for framed in [true, false] {
        let gate = Gate::closed();
        let answer = pieces("hello", [(&gate, ", world")]).reset_after(7).cache("max-age=60");
        let answer = if framed { answer.with_length() } else { answer };
        let origin = Origin::start();
        origin.on("/a").respond(answer).then(ok("good").cache("max-age=60"));
        let proxy = Proxy::before(&origin);
        let mut first = proxy.asks("/a").begin();
        first.wait_for_content("hello");
        gate.open();
        assert!(first.finish().end.is_err());
        proxy.settle();
        assert_eq!(proxy.get("/a").text(), "good");
    }
}

#[test]
fn a_reset_of_content_without_length_is_not_its_end() {
    let gate = Gate::closed();
    let answer = pieces("hello", [(&gate, ", world")]).close_delimited().reset_after(12).cache("max-age=60");
    let origin = Origin::start();
    origin.on("/a").respond(answer).then(ok("good").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut first = proxy.asks("/a").begin();
    first.wait_for_content("hello");
    gate.open();
    assert!(first.finish().end.is_err());
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "good");
}

#[test]
fn malformed_chunks_are_cut_and_not_stored() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
    for rest in [
        "xyz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5hello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
    ] {
        assert_visibly_cut(bad_then_good(raw(format!("{head}{rest}")).then_closes()), "hello");
    }
}

#[test]
fn content_that_never_comes_is_not_asked_for_for_ever() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    for rest in [
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 5\r\n\r\n",
        "Content-Length: 5\r\n\r\nhell",
    ] {
        let origin = Origin::start();
        origin.on("/a").respond(raw(format!("{head}{rest}")).then_closes());
        let proxy = Proxy::before(&origin);
        let waiters: Vec<Exchange> = (0..3).map(|_| proxy.asks("/a").begin()).collect();
        for waiter in waiters {
            assert_visibly_cut(waiter.try_finish(), "hell");
        }
        // Each may have been asked for once more, by itself.
        assert!(origin.count("/a") <= 6, "asked {} times: {rest:?}", origin.count("/a"));
    }
}

#[test]
fn what_is_no_http_is_a_bad_gateway() {
    let huge_field = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 1\r\n\r\nx", "y".repeat(2 << 20));
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 1\r\n\r\nx", "X: y\r\n".repeat(20_000));
    for bad in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &huge_field,
        &many_fields,
    ] {
        let answered = bad_then_good(raw(bad).then_closes()).expect("an answer of our own");
        assert_problem(&answered, 502);
    }
}

#[test]
fn no_answer_at_all_is_a_bad_gateway() {
    for end in [Act::Close, Act::Reset] {
        let answered = bad_then_good(ok("").but_only(end)).expect("an answer of our own");
        assert_problem(&answered, 502);
    }
}

/// RFC 9112 §6.3: Transfer-Encoding overrides Content-Length, and the connection is not to be trusted any more.
#[test]
fn of_two_framings_the_chunks_count_and_the_connection_is_not_used_again() {
    let origin = Origin::start();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n";
    for both in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        origin.forget();
        origin.on("/a").respond(raw(format!("{head}{both}\r\n5\r\nhello\r\n0\r\n\r\n")));
        let proxy = Proxy::before(&origin);
        for _ in 0..2 {
            let answered = proxy.asks("/a").send();
            assert_eq!(answered.text(), "hello");
            assert!(!answered.fields.has("Content-Length"), "{answered:?}");
        }
        let on: Vec<usize> = origin.requests().iter().map(|seen| seen.connection).collect();
        assert_ne!(on[0], on[1], "the connection was used again");
    }
}

/// What follows an answer on the connection must not become the answer to somebody else.
#[test]
fn bytes_after_an_answer_belong_to_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil";
    for first in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{evil}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
        format!("HTTP/1.1 204 No\r\n\r\n{evil}"),
        format!("HTTP/1.1 304 Not\r\nContent-Length: 4\r\n\r\n{evil}"),
        format!("HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody{evil}"),
    ] {
        let origin = Origin::start();
        origin.on("/a").respond(raw(&first));
        origin.on("/b").respond(ok("mine").cache("max-age=60"));
        let proxy = Proxy::before(&origin);
        let _ = proxy.asks("/a").begin().try_finish();
        for _ in 0..2 {
            let answered = proxy.asks("/b").send();
            assert_eq!((answered.status, answered.text().as_str()), (200, "mine"), "after {first:?}");
        }
    }
}

#[test]
fn content_after_head_belongs_to_nobody() {
    let origin = Origin::start();
    origin.on("HEAD /a").respond(raw(
        "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ));
    origin.on("/b").respond(ok("mine"));
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.ask("HEAD", "/a").send().status, 200);
    assert_eq!(proxy.asks("/b").send().text(), "mine");
}

#[test]
fn early_hints_reach_the_client_and_are_never_stored() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let answer = ok("hello").cache("max-age=60").field("X-Final", "1");
    let hinted =
        answer.after(early_hints("</a.css>; rel=preload")).after(early_hints("</b.js>; rel=preload"));
    origin.on("/a").respond(hinted.held_by(&gate));
    let proxy = Proxy::before(&origin);
    let mut exchange = proxy.asks("/a").begin();
    for link in ["</a.css>; rel=preload", "</b.js>; rel=preload"] {
        let hint = exchange.next_interim();
        assert!(hint.start.starts_with("HTTP/1.1 103"), "{hint:?}");
        assert_eq!(hint.fields.all("Link"), [link]);
    }
    gate.open();
    let answered = exchange.finish();
    assert_eq!((answered.status, answered.text().as_str()), (200, "hello"));
    assert!(!answered.fields.has("Link"), "it leaked: {answered:?}");
    assert_stored(&answered);
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert!(hit.interim.is_empty() && !hit.fields.has("Link"), "it was stored: {hit:?}");
    assert!(hit.fields.has("X-Final"));
}

#[test]
fn early_hints_of_a_refresh_in_the_background_reach_nobody() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let answer = |text: &str| ok(text).cache("max-age=10, stale-while-revalidate=60");
    let new = answer("new").held_by(&gate).after(early_hints("</a.css>"));
    origin.on("/a").respond(answer("old")).then(new);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    let (stale, connection) = proxy.asks("/a").begin_on(proxy.connect()).finish_and_keep();
    assert_eq!(stale.text(), "old");
    origin.wait_for(2);
    gate.open();
    proxy.settle();
    let (next, _) = proxy.asks("/a").begin_on(connection).finish_and_keep();
    assert!(stale.interim.is_empty() && next.interim.is_empty(), "{stale:?}, {next:?}");
}

#[test]
fn early_hints_reach_the_one_who_asked_and_nobody_who_waits() {
    let origin = Origin::start();
    let (hints, gate) = (Gate::closed(), Gate::closed());
    let answer =
        ok("hello").cache("max-age=60").held_by(&hints).after(early_hints("</a.css>")).held_by(&gate);
    origin.on("/a").respond(answer);
    let proxy = Proxy::before(&origin);
    let mut leader = proxy.asks("/a").begin_on(proxy.connect());
    proxy.settle();
    let follower = proxy.asks("/a").begin_on(proxy.connect());
    proxy.settle();
    hints.open();
    leader.next_interim();
    gate.open();
    assert_eq!(leader.finish().interim.len(), 1);
    let followed = follower.finish();
    assert_eq!((followed.text().as_str(), followed.fields.has("Link")), ("hello", false));
}

#[test]
fn early_hints_do_not_confuse_an_old_client() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").after(early_hints("</a.css>")));
    let proxy = Proxy::before(&origin);
    let answered = proxy.client().say("GET /a HTTP/1.0\r\nHost: example.com\r\n\r\n").finish();
    assert_eq!(
        (answered.text().as_str(), answered.interim.len()),
        ("hello", 0),
        "a 1xx to HTTP/1.0: {answered:?}"
    );
}

#[test]
fn other_interim_responses_do_no_harm() {
    let origin = Origin::start();
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nX-Interim: 1\r\n\r\n",
        "HTTP/1.1 199 Odd\r\nX-Interim: 1\r\n\r\n",
    ] {
        origin.on("/a").respond(ok("hello").after(interim.as_bytes().to_vec()));
        let proxy = Proxy::before(&origin);
        let answered = proxy.get("/a");
        assert_eq!((answered.status, answered.text().as_str()), (200, "hello"));
        assert!(!answered.fields.has("X-Interim"), "{answered:?}");
    }
}

#[test]
fn a_304_that_nobody_asked_for_is_not_stored() {
    let unasked = || unchanged().cache("max-age=60").field("ETag", "\"1\"");
    let answered = bad_then_good(unasked()).expect("an answer");
    assert!(answered.status != 200 || answered.text() == "good", "{answered:?}");
    let origin = Origin::start();
    origin.on("/a").respond(unasked());
    let proxy = Proxy::before(&origin);
    assert_problem(&proxy.get("/a"), 502);
    assert!(origin.count("/a") <= 2, "asked {} times in vain", origin.count("/a"));
}

#[test]
fn a_206_that_nobody_asked_for_is_not_taken_for_the_whole() {
    let part = answer(206, "part").field("Content-Range", "bytes 0-3/10").field("ETag", "\"1\"");
    let answered = bad_then_good(part.cache("max-age=60")).expect("an answer");
    assert_ne!(answered.status, 200, "{answered:?}");
}

#[test]
fn a_coding_that_nobody_asked_for_is_not_passed_off_as_content() {
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    let answered = bad_then_good(raw(format!("{head}5\r\nhello\r\n0\r\n\r\n"))).expect("an answer");
    assert_problem(&answered, 502);
}

#[test]
fn a_failing_origin_leaves_what_is_stored_alone() {
    let origin = Origin::start();
    let stored = ok("stored").cache("max-age=10, stale-if-error=600").field("ETag", "\"1\"");
    origin
        .on("/a")
        .respond(stored)
        .then(ok("new and longer").cache("max-age=10").cut_after(3))
        .then(problem(503));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    let cut = proxy.get("/a");
    assert!(cut.end.is_err(), "the head of a new answer had been passed on: {cut:?}");
    proxy.advance(5);
    let stale = proxy.get("/a");
    assert_eq!((stale.status, stale.text().as_str()), (200, "stored"));
    assert_eq!(ours(&stale).ttl, Some(-10));
}
