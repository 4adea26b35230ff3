//! What cannot be shared queues nobody, reaches one client only, and is remembered for a while.

use super::{begin, finish, texts};
use crate::proxy::{Proxy, assert_hit, assert_not_stored, assert_stored, ours};
use crate::support::*;

#[test]
fn an_answer_that_cannot_be_shared_releases_all_waiters_at_once() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    let mine = |text: &str| ok(text).cache("no-store");
    origin.on("/a").respond(mine("first").held_by(&first)).then(mine("other").held_by(&others));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 6, &proxy.asks("/a"));
    origin.was_asked("/a", 1);
    first.open();
    // None of these is answered before all of them have been asked.
    origin.wait_for(6);
    others.open();
    let mut answers = texts(&finish(waiters));
    answers.sort();
    assert_eq!(answers, ["first", "other", "other", "other", "other", "other"]);
}

#[test]
fn what_could_not_be_shared_is_not_waited_for_next_time() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let mine = || ok("mine").cache("no-store");
    origin.on("/a").respond(mine()).then(mine().held_by(&gate));
    let proxy = Proxy::before(&origin);
    assert_not_stored(&proxy.get("/a"));
    let waiters = begin(&proxy, 4, &proxy.asks("/a"));
    // Each goes to the origin by itself.
    origin.was_asked("/a", 5);
    gate.open();
    for answered in finish(waiters) {
        assert!(!ours(&answered).collapsed, "{answered:?}");
    }
}

#[test]
fn the_memory_of_what_could_not_be_shared_fades() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("mine").cache("no-store")).then(ok("ours").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::with(&origin).cache("hit_for_miss = \"30s\"").start();
    proxy.get("/a");
    proxy.advance(31);
    let waiters = begin(&proxy, 3, &proxy.asks("/a"));
    origin.was_asked("/a", 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["ours"; 3]);
}

#[test]
fn by_what_answers_vary_is_remembered_longer() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let page = || ok("x").cache("max-age=1").field("Vary", "X-Kind");
    origin.on("/a").respond(page()).then(ok("x").cache("no-store")).then(page().held_by(&gate));
    let proxy = Proxy::with(&origin).cache("hit_for_miss = \"30s\"").start();
    proxy.get("/a");
    proxy.advance(2);
    assert_not_stored(&proxy.get("/a"));
    proxy.advance(31);
    let ask = |kind: &str| proxy.asks("/a").field("X-Kind", kind);
    let mut waiters = begin(&proxy, 2, &ask("1"));
    waiters.extend(begin(&proxy, 2, &ask("2")));
    // One each of two kinds.
    origin.was_asked("/a", 4);
    gate.open();
    finish(waiters);
}

#[test]
fn an_answer_that_can_be_shared_ends_the_memory() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let shared = || ok("ours").cache("max-age=60");
    origin.on("/a").respond(ok("mine").cache("no-store")).then(shared()).then(shared().held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    assert_stored(&proxy.get("/a"));
    assert_hit(&proxy.get("/a"));
    proxy.advance(61);
    let waiters = begin(&proxy, 3, &proxy.asks("/a"));
    // They wait for each other again.
    origin.was_asked("/a", 3);
    gate.open();
    finish(waiters);
}

#[test]
fn what_was_owed_to_authorization_marks_only_its_like() {
    let origin = Origin::start();
    let (authorized, open) = (Gate::closed(), Gate::closed());
    let (for_them, for_all) = (authorized.clone(), open.clone());
    origin.on("/a").choose(move |seen| {
        let gate = if seen.fields.has("Authorization") { &for_them } else { &for_all };
        ok("x").cache("max-age=60").held_by(gate)
    });
    let proxy = Proxy::before(&origin);
    let with = proxy.asks("/a").field("Authorization", "Basic YTpi");
    authorized.open();
    assert_not_stored(&proxy.send(&with));
    let plain = begin(&proxy, 3, &proxy.asks("/a"));
    // Without Authorization they wait for each other.
    origin.was_asked("/a", 2);
    open.open();
    assert_eq!(finish(plain).len(), 3);
    proxy.settle();
    assert_hit(&proxy.get("/a"));
}

#[test]
fn an_answer_to_authorization_never_reaches_anyone_else() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/a").choose(move |seen| match seen.fields.one("Authorization") {
        Some(name) => ok(format!("secret of {name}")).cache("max-age=60").held_by(&held),
        None => ok("nothing for you").cache("max-age=60"),
    });
    let proxy = Proxy::before(&origin);
    let ask = |name: &str| proxy.asks("/a").field("Authorization", name);
    let alice = begin(&proxy, 2, &ask("alice"));
    let bob = begin(&proxy, 1, &ask("bob"));
    let anyone = begin(&proxy, 2, &proxy.asks("/a"));
    gate.open();
    // What anyone got is stored, and may be served to everyone (RFC 9111 §3.5 speaks of the other direction).
    assert_eq!(texts(&finish(anyone)), ["nothing for you"; 2]);
    assert!(texts(&finish(alice)).iter().all(|text| text != "secret of bob"));
    assert!(texts(&finish(bob)).iter().all(|text| text != "secret of alice"));
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "nothing for you");
}

#[test]
fn cookies_that_an_answer_sets_reach_one_client_only() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let answer = |id: &str| ok(id).cache("max-age=60").field("Set-Cookie", format!("session={id}"));
    origin.on("/a").respond(answer("1").held_by(&gate)).then(answer("2")).then(answer("3")).then(answer("4"));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 4, &proxy.asks("/a"));
    gate.open();
    let mut cookies: Vec<String> =
        finish(waiters).iter().flat_map(|answered| answered.fields.all("Set-Cookie")).collect();
    cookies.sort();
    assert_eq!(cookies, ["session=1", "session=2", "session=3", "session=4"]);
}

#[test]
fn a_private_field_reaches_one_client_only() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let answer = ok("x").cache("max-age=60, private=\"X-Mine\"").field("X-Mine", "secret");
    origin.on("/a").respond(answer.held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 4, &proxy.asks("/a"));
    let head = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    gate.open();
    let answers: Vec<Answered> = finish(waiters).into_iter().chain(finish(head)).collect();
    let told = answers.iter().filter(|answered| answered.fields.has("X-Mine")).count();
    assert!(told <= 1, "{told} clients were told the secret of one");
}

#[test]
fn a_write_ends_the_memory_of_what_could_not_be_shared() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin
        .on("GET /a")
        .respond(ok("mine").cache("no-store"))
        .then(ok("ours").cache("max-age=60").held_by(&gate));
    origin.on("PUT /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.send(&proxy.ask("PUT", "/a").content("x"));
    let waiters = begin(&proxy, 3, &proxy.asks("/a"));
    // One of the three, after a GET and a PUT.
    origin.was_asked("/a", 3);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["ours"; 3]);
}

#[test]
fn a_server_error_leaves_no_memory() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(problem(503)).then(ok("well").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    assert_eq!(proxy.get("/a").status, 503);
    let waiters = begin(&proxy, 3, &proxy.asks("/a"));
    origin.was_asked("/a", 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["well"; 3]);
}
