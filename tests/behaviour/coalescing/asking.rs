//! Who asks for the same thing in another form: by HEAD, for a range, with conditions.

use super::{begin, finish, texts};
use crate::proxy::Proxy;
use crate::support::*;

#[test]
fn head_follows_a_get() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let get = begin(&proxy, 1, &proxy.asks("/a"));
    let head = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    origin.was_asked("/a", 1);
    gate.open();
    let head = finish(head).remove(0);
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    assert_eq!(texts(&finish(get)), ["hello"]);
}

#[test]
fn head_goes_by_itself_if_the_get_was_for_one_only() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("GET /a").respond(ok("hello").cache("no-store").held_by(&gate));
    origin.on("HEAD /a").respond(ok("hello").cache("no-store").field("X-Head", "1"));
    let proxy = Proxy::before(&origin);
    let get = begin(&proxy, 1, &proxy.asks("/a"));
    let head = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    gate.open();
    assert!(finish(head)[0].fields.has("X-Head"));
    assert_eq!(texts(&finish(get)), ["hello"]);
}

#[test]
fn get_does_not_follow_a_head() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("HEAD /a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    origin.on("GET /a").respond(ok("hello").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let head = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    assert_eq!(proxy.get("/a").text(), "hello");
    gate.open();
    assert_eq!(finish(head)[0].status, 200);
}

#[test]
fn a_range_follows_a_whole_whose_length_is_known() {
    let origin = Origin::start();
    let rest = Gate::closed();
    origin.on("/a").respond(pieces("01234", [(&rest, "56789")]).with_length().cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut whole = proxy.asks("/a").begin();
    whole.wait_for_content("01234");
    let early = proxy.asks("/a").field("Range", "bytes=1-3").send();
    assert_eq!((early.status, early.text().as_str()), (206, "123"), "its bytes are there already");
    assert_eq!(early.field("Content-Range").as_deref(), Some("bytes 1-3/10"));
    let across = begin(&proxy, 1, &proxy.asks("/a").field("Range", "bytes=3-6"));
    rest.open();
    let across = finish(across).remove(0);
    assert_eq!((across.status, across.text().as_str()), (206, "3456"));
    assert_eq!(whole.finish().text(), "0123456789");
    origin.was_asked("/a", 1);
}

#[test]
fn a_range_of_a_whole_of_unknown_length_gets_the_whole() {
    let origin = Origin::start();
    let rest = Gate::closed();
    origin.on("/a").respond(pieces("01234", [(&rest, "56789")]).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut whole = proxy.asks("/a").begin();
    whole.wait_for_content("01234");
    let range = begin(&proxy, 1, &proxy.asks("/a").field("Range", "bytes=3-6"));
    rest.open();
    let range = finish(range).remove(0);
    assert_eq!((range.status, range.text().as_str()), (200, "0123456789"));
    assert_eq!(whole.finish().text(), "0123456789");
    origin.was_asked("/a", 1);
}

#[test]
fn the_same_range_is_fetched_once() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let part = answer(206, "123").field("Content-Range", "bytes 1-3/10").field("ETag", "\"1\"");
    origin.on("/a").respond(part.cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 4, &proxy.asks("/a").field("Range", "bytes=1-3"));
    origin.was_asked("/a", 1);
    gate.open();
    for answered in finish(waiters) {
        assert_eq!((answered.status, answered.text().as_str()), (206, "123"));
    }
}

#[test]
fn a_range_that_cannot_be_shared_is_fetched_by_each() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    let part = || answer(206, "123").field("Content-Range", "bytes 1-3/10").cache("no-store");
    origin.on("/a").respond(part().held_by(&first)).then(part().held_by(&others));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 4, &proxy.asks("/a").field("Range", "bytes=1-3"));
    origin.was_asked("/a", 1);
    first.open();
    origin.wait_for(4);
    others.open();
    for answered in finish(waiters) {
        assert_eq!((answered.status, answered.text().as_str()), (206, "123"));
    }
}

#[test]
fn conditions_are_answered_for_each_waiter() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").field("ETag", "\"1\"").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let knowing = begin(&proxy, 2, &proxy.asks("/a").field("If-None-Match", "\"1\""));
    let outdated = begin(&proxy, 2, &proxy.asks("/a").field("If-None-Match", "\"0\""));
    let plain = begin(&proxy, 2, &proxy.asks("/a").field("Cache-Control", "max-age=0"));
    origin.was_asked("/a", 1);
    gate.open();
    assert!(finish(knowing).iter().all(|answered| answered.status == 304));
    assert_eq!(texts(&finish(outdated)), ["hello"; 2]);
    assert_eq!(texts(&finish(plain)), ["hello"; 2]);
    let seen = origin.last();
    for name in ["If-None-Match", "Cache-Control", "Range", "TE", "Expect"] {
        assert!(!seen.fields.has(name), "{seen:?}");
    }
}
