//! One fetch, everyone streams: requests for the same thing at the same time (DESIGN §3).
//!
//! Waiters are requests that were sent on connections the proxy had accepted before; after [`Proxy::settle`] each has
//! been read, so it waits, or has gone to the origin.

use crate::proxy::{
    Proxy, assert_forwarded, assert_hit, assert_not_stored, assert_problem, assert_stored, ours,
};
use crate::support::*;

/// Sends the same request `count` times at once, and returns when the proxy has read them all.
fn begin(proxy: &Proxy, count: usize, ask: &Ask) -> Vec<Exchange> {
    let connections: Vec<Connection> = (0..count).map(|_| proxy.connect()).collect();
    let exchanges = connections.into_iter().map(|connection| ask.begin_on(connection)).collect();
    proxy.settle();
    exchanges
}

fn finish(exchanges: Vec<Exchange>) -> Vec<Answered> {
    exchanges.into_iter().map(Exchange::finish).collect()
}

fn texts(answers: &[Answered]) -> Vec<String> {
    answers.iter().map(Answered::text).collect()
}

#[test]
fn many_waiters_cause_one_fetch() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 20, &proxy.asks("/a"));
    assert_eq!(origin.count("/a"), 1);
    gate.open();
    let answers = finish(waiters);
    for answered in &answers {
        assert_eq!((answered.status, answered.text().as_str()), (200, "hello"));
        assert_forwarded(answered, "uri-miss");
    }
    let collapsed = answers.iter().filter(|answered| ours(answered).collapsed).count();
    assert!(collapsed >= 19, "{collapsed} of 20 say that they were collapsed");
    proxy.settle();
    assert_hit(&proxy.get("/a"));
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn every_waiter_receives_bytes_as_they_arrive() {
    let origin = Origin::start();
    let (second, third) = (Gate::closed(), Gate::closed());
    let answer = pieces("one,", [(&second, "two,"), (&third, "three")]);
    origin.on("/a").respond(answer.cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut waiters = begin(&proxy, 5, &proxy.asks("/a"));
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("one,"));
    second.open();
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("one,two,"));
    let mut late = proxy.asks("/a").begin();
    late.wait_for_content("one,two,");
    third.open();
    waiters.push(late);
    assert_eq!(texts(&finish(waiters)), ["one,two,three"; 6]);
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn different_things_do_not_wait_for_each_other() {
    let origin = Origin::start();
    let never = Gate::closed();
    origin.on("/slow").respond(ok("slow").cache("max-age=60").held_by(&never));
    origin.on("/quick").respond(ok("quick").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let slow = begin(&proxy, 2, &proxy.asks("/slow"));
    assert_eq!(proxy.get("/quick").text(), "quick");
    never.open();
    assert_eq!(texts(&finish(slow)), ["slow"; 2]);
}

#[test]
fn an_answer_that_cannot_be_shared_releases_all_waiters_at_once() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    let mine = |text: &str| ok(text).cache("no-store");
    origin.on("/a").respond(mine("first").held_by(&first)).then(mine("other").held_by(&others));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 6, &proxy.asks("/a"));
    assert_eq!(origin.count("/a"), 1);
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
    assert_eq!(origin.count("/a"), 5, "each goes to the origin by itself");
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
    assert_eq!(origin.count("/a"), 2);
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
    assert_eq!(origin.count("/a"), 4, "one each of two kinds");
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
    assert_eq!(origin.count("/a"), 3, "they wait for each other again");
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
    assert_eq!(origin.count("/a"), 2, "without Authorization they wait for each other");
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
    assert_eq!(origin.count("/a"), 3, "one of the three, after a GET and a PUT");
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
    assert_eq!(origin.count("/a"), 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["well"; 3]);
}

#[test]
fn a_failing_origin_is_not_hit_by_the_whole_queue() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    origin.on("/a").respond(problem(503).held_by(&first)).then(problem(503).held_by(&others));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 40, &proxy.asks("/a"));
    assert_eq!(origin.count("/a"), 1);
    first.open();
    origin.wait_for(2);
    proxy.settle();
    let at_once = origin.count("/a") - 1;
    assert!(at_once < 39, "{at_once} of 39 waiters went to the failing origin at the same time");
    others.open();
    for answered in finish(waiters) {
        assert_eq!(answered.status, 503);
    }
}

#[test]
fn a_failed_transport_is_one_verdict_for_all() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("").held_by(&gate).but_only(Act::Reset));
    let proxy = Proxy::before(&origin);
    // A pooled connection would be tried again on another: let there be none.
    let waiters: Vec<Exchange> = (0..8).map(|_| proxy.asks("/a").begin()).collect();
    origin.wait_for(1);
    proxy.settle();
    gate.open();
    let reasons: Vec<String> = finish(waiters).iter().map(|answered| assert_problem(answered, 502)).collect();
    assert!(reasons.iter().all(|reason| *reason == reasons[0]), "{reasons:?}");
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn a_timeout_is_one_verdict_for_all() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("").but_only(Act::AwaitHangUp));
    let proxy = Proxy::with(&origin).upstream("first_byte_timeout = \"200ms\"").start();
    let waiters: Vec<Exchange> = (0..8).map(|_| proxy.asks("/a").begin()).collect();
    for answered in finish(waiters) {
        assert_problem(&answered, 504);
    }
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn waiters_for_a_stale_response_share_the_grant() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let old = ok("old").cache("max-age=10, stale-if-error=60").field("ETag", "\"1\"");
    origin.on("/a").respond(old).then(problem(503).held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(15);
    let waiters = begin(&proxy, 5, &proxy.asks("/a"));
    assert_eq!(origin.count("/a"), 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["old"; 5]);
    assert_eq!(origin.count("/a"), 2);
}

/// Answers by `X-Kind`, and waits for the gate.
fn by_kind(origin: &Origin, gate: &Gate) {
    let gate = gate.clone();
    origin.on("/a").choose(move |seen| {
        let kind = seen.fields.one("X-Kind").unwrap_or_default();
        ok(kind).cache("max-age=60").field("Vary", "X-Kind").held_by(&gate)
    });
}

#[test]
fn waiters_for_another_variant_get_a_leader_of_their_own() {
    let origin = Origin::start();
    let gate = Gate::closed();
    by_kind(&origin, &gate);
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.asks("/a").field("X-Kind", kind);
    let ones = begin(&proxy, 3, &ask("1"));
    let twos = begin(&proxy, 3, &ask("2"));
    let threes = begin(&proxy, 3, &ask("3"));
    gate.open();
    assert_eq!(texts(&finish(ones)), ["1"; 3]);
    assert_eq!(texts(&finish(twos)), ["2"; 3]);
    assert_eq!(texts(&finish(threes)), ["3"; 3]);
    assert_eq!(origin.count("/a"), 3);
}

/// An origin that names other selecting fields each time could keep them waiting for ever.
#[test]
fn who_was_sent_back_twice_fetches_alone() {
    let origin = Origin::start();
    let (first, last) = (Gate::closed(), Gate::closed());
    let answers = origin.on("/a").respond(ok("0").cache("max-age=60").field("Vary", "X-A").held_by(&first));
    let answers = answers.then(ok("1").cache("max-age=60").field("Vary", "X-B"));
    answers.then(ok("alone").cache("max-age=60").field("Vary", "X-C").held_by(&last));
    let proxy = Proxy::before(&origin);
    let ask = |a: &str, b: &str| proxy.asks("/a").field("X-A", a).field("X-B", b);
    let leader = begin(&proxy, 1, &ask("0", "0"));
    let mut others = begin(&proxy, 2, &ask("1", "1"));
    others.extend(begin(&proxy, 2, &ask("1", "2")));
    assert_eq!(origin.count("/a"), 1);
    first.open();
    // One of the others fetches for all of them, and gets what only half of them select.
    origin.wait_for(4);
    last.open();
    assert_eq!(texts(&finish(leader)), ["0"]);
    let mut answers = texts(&finish(others));
    answers.sort();
    assert_eq!(answers, ["1", "1", "alone", "alone"]);
}

#[test]
fn known_variants_do_not_wait_for_each_other() {
    let origin = Origin::start();
    let open = Gate::closed();
    open.open();
    by_kind(&origin, &open);
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.asks("/a").field("X-Kind", kind);
    proxy.send(&ask("1"));
    let gate = Gate::closed();
    by_kind(&origin, &gate);
    let twos = begin(&proxy, 2, &ask("2"));
    let threes = begin(&proxy, 2, &ask("3"));
    assert_eq!(origin.count("/a"), 3, "one fetch for each of the two");
    assert_hit(&proxy.send(&ask("1")));
    gate.open();
    assert_eq!(texts(&finish(twos)), ["2"; 2]);
    assert_eq!(texts(&finish(threes)), ["3"; 2]);
    assert_eq!(origin.count("/a"), 3);
}

#[test]
fn a_leader_that_leaves_takes_nobody_along() {
    let origin = Origin::start();
    let (head, rest) = (Gate::closed(), Gate::closed());
    origin.on("/a").respond(pieces("one,", [(&rest, "two")]).cache("max-age=60").held_by(&head));
    let proxy = Proxy::before(&origin);
    let leader = begin(&proxy, 1, &proxy.asks("/a")).remove(0);
    let mut followers = begin(&proxy, 3, &proxy.asks("/a"));
    leader.reset();
    proxy.settle();
    head.open();
    followers.iter_mut().for_each(|follower| follower.wait_for_content("one,"));
    followers.remove(0).reset();
    proxy.settle();
    rest.open();
    assert_eq!(texts(&finish(followers)), ["one,two"; 2]);
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn what_will_be_stored_is_fetched_to_its_end_though_nobody_reads() {
    let origin = Origin::start();
    let rest = Gate::closed();
    origin.on("/a").respond(pieces("one,", [(&rest, "two")]).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut only = proxy.asks("/a").begin();
    only.wait_for_content("one,");
    only.reset();
    proxy.settle();
    rest.open();
    proxy.wait_for_metric("larder_store_entries", 1.0);
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!((hit.text().as_str(), origin.count("/a")), ("one,two", 1));
}

#[test]
fn what_will_not_be_stored_is_dropped_when_nobody_reads() {
    let origin = Origin::start();
    origin.on("/secret").respond(ok("one").cache("no-store").chunked().then_hangs());
    let large = ok("one").declaring(1 << 20).cache("max-age=60").then_hangs();
    origin.on("/large").respond(large);
    let proxy = Proxy::with(&origin).cache("max_object = \"512KiB\"").start();
    for target in ["/secret", "/large"] {
        let mut only = proxy.asks(target).begin();
        only.wait_for_content("one");
        only.reset();
        origin.last().wait_for_hang_up();
    }
}

#[test]
fn a_flight_that_was_invalidated_serves_only_those_who_came_before() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let (first, second) = (ok("before").cache("max-age=60"), ok("after").cache("max-age=60"));
    origin.on("GET /a").respond(first.held_by(&gate)).then(second);
    origin.on("POST /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    let early = begin(&proxy, 2, &proxy.asks("/a"));
    assert_eq!(proxy.send(&proxy.ask("POST", "/a").content("x")).status, 204);
    let late = proxy.get("/a");
    assert_eq!(late.text(), "after", "it arrived after the write was answered");
    gate.open();
    assert_eq!(texts(&finish(early)), ["before"; 2]);
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "after", "the dead flight must not replace what is newer");
    assert_eq!(origin.count("/a"), 3);
}

#[test]
fn an_answer_that_has_begun_is_not_joined_after_a_write() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=60");
    origin.on("GET /a").respond(first).then(ok("after").cache("max-age=60"));
    origin.on("DELETE /a").respond(nothing());
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("before,");
    proxy.send(&proxy.ask("DELETE", "/a"));
    assert_eq!(proxy.get("/a").text(), "after");
    rest.open();
    assert_eq!(early.finish().text(), "before,done");
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "after");
}

/// To read along is to reuse (RFC 9111 §4).
#[test]
fn an_answer_that_has_gone_stale_while_it_came_is_not_joined() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=10");
    origin.on("/a").respond(first).then(ok("after").cache("max-age=10"));
    let proxy = Proxy::before(&origin);
    let mut early = proxy.asks("/a").begin();
    early.wait_for_content("before,");
    let mut joined = proxy.asks("/a").begin();
    joined.wait_for_content("before,");
    proxy.advance(11);
    assert_eq!(proxy.get("/a").text(), "after");
    rest.open();
    assert_eq!(early.finish().text(), "before,done");
    assert_eq!(joined.finish().text(), "before,done");
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn who_wants_it_validated_joins_nothing_that_was_asked_for_before() {
    let origin = Origin::start();
    let (rest, held) = (Gate::closed(), Gate::closed());
    let first = pieces("before,", [(&rest, "done")]).cache("max-age=60");
    origin.on("/begun").respond(first).then(ok("after").cache("max-age=60"));
    origin.on("/asked").respond(ok("before").cache("max-age=60").held_by(&held)).then(ok("after"));
    let proxy = Proxy::with(&origin).route("client_cache_control = \"honor\"").start();
    let mut begun = proxy.asks("/begun").begin();
    begun.wait_for_content("before,");
    let asked = begin(&proxy, 1, &proxy.asks("/asked"));
    for target in ["/begun", "/asked"] {
        for directive in ["no-cache", "max-age=0"] {
            let reload = proxy.send(&proxy.asks(target).field("Cache-Control", directive));
            assert_eq!(reload.text(), "after", "{target} with {directive}");
        }
        assert_eq!(origin.count(target), 3);
    }
    rest.open();
    held.open();
    assert_eq!(begun.finish().text(), "before,done");
    assert_eq!(texts(&finish(asked)), ["before"]);
}

#[test]
fn head_follows_a_get() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let get = begin(&proxy, 1, &proxy.asks("/a"));
    let head = begin(&proxy, 1, &proxy.ask("HEAD", "/a"));
    assert_eq!(origin.count("/a"), 1);
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
    assert_eq!(origin.count("/a"), 1);
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
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn the_same_range_is_fetched_once() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let part = answer(206, "123").field("Content-Range", "bytes 1-3/10").field("ETag", "\"1\"");
    origin.on("/a").respond(part.cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 4, &proxy.asks("/a").field("Range", "bytes=1-3"));
    assert_eq!(origin.count("/a"), 1);
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
    assert_eq!(origin.count("/a"), 1);
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
    assert_eq!(origin.count("/a"), 1);
    gate.open();
    assert!(finish(knowing).iter().all(|answered| answered.status == 304));
    assert_eq!(texts(&finish(outdated)), ["hello"; 2]);
    assert_eq!(texts(&finish(plain)), ["hello"; 2]);
    let seen = origin.last();
    for name in ["If-None-Match", "Cache-Control", "Range", "TE", "Expect"] {
        assert!(!seen.fields.has(name), "{seen:?}");
    }
}

#[test]
fn revalidations_are_one_request_too() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let first = ok("hello").cache("max-age=10").field("ETag", "\"1\"");
    let same = unchanged().cache("max-age=10").field("ETag", "\"1\"");
    origin.on("/a").respond(first).then(same.held_by(&gate));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let waiters = begin(&proxy, 5, &proxy.asks("/a"));
    let knowing = begin(&proxy, 2, &proxy.asks("/a").field("If-None-Match", "\"1\""));
    assert_eq!(origin.count("/a"), 2);
    gate.open();
    assert_eq!(texts(&finish(waiters)), ["hello"; 5]);
    assert!(finish(knowing).iter().all(|answered| answered.status == 304));
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn a_revalidated_variant_is_given_to_those_only_who_select_it() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let held = gate.clone();
    origin.on("/a").choose(move |seen| {
        let kind = seen.fields.one("X-Kind").unwrap_or_default();
        if seen.fields.has("X-Other") {
            return ok("other").cache("max-age=10").field("Vary", "X-Other");
        }
        let same = kind == "1" && seen.fields.has("If-None-Match");
        let answer = if same { unchanged().held_by(&held) } else { ok(kind.clone()) };
        answer.cache("max-age=10").field("Vary", "X-Kind").field("ETag", format!("\"{kind}\""))
    });
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| proxy.asks("/a").field("X-Kind", kind);
    proxy.send(&ask("1"));
    // From now on flights are told apart by another field, in which the following do not differ.
    proxy.send(&ask("3").field("X-Other", "yes"));
    proxy.advance(11);
    let ones = begin(&proxy, 2, &ask("1"));
    let twos = begin(&proxy, 2, &ask("2"));
    assert_eq!(origin.count("/a"), 3, "all wait for the same");
    gate.open();
    assert_eq!(texts(&finish(ones)), ["1"; 2]);
    assert_eq!(texts(&finish(twos)), ["2"; 2]);
}

#[test]
fn a_revalidation_that_brings_something_new_streams_it_to_all() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let new = pieces("new,", [(&rest, "really")]).cache("max-age=10");
    origin.on("/a").respond(ok("old").cache("max-age=10").field("ETag", "\"1\"")).then(new);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let mut waiters = begin(&proxy, 3, &proxy.asks("/a"));
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("new,"));
    rest.open();
    assert_eq!(texts(&finish(waiters)), ["new,really"; 3]);
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn a_slow_reader_does_not_hold_up_the_others() {
    let origin = Origin::start();
    let content = "x".repeat(4 << 20);
    origin.on("/a").respond(ok(&content).cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let stuck = proxy.connect().with_small_window();
    let stuck = proxy.asks("/a").begin_on(stuck);
    origin.wait_for(1);
    assert_eq!(proxy.get("/a").content.len(), content.len());
    proxy.wait_for_metric("larder_store_entries", 1.0);
    assert_hit(&proxy.get("/a"));
    assert_eq!(stuck.finish().content.len(), content.len());
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn a_cut_answer_is_cut_for_everyone_and_not_stored() {
    let origin = Origin::start();
    let gate = Gate::closed();
    let cut = pieces("one,", [(&gate, "two")]).with_length().cut_after(5).cache("max-age=60");
    origin.on("/a").respond(cut).then(ok("whole").cache("max-age=60"));
    let proxy = Proxy::before(&origin);
    let mut waiters = begin(&proxy, 3, &proxy.asks("/a"));
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content("one,"));
    gate.open();
    for answered in finish(waiters) {
        assert!(answered.end.is_err(), "it looks whole: {answered:?}");
        assert!("one,t".starts_with(std::str::from_utf8(&answered.content).unwrap()));
    }
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "whole");
    assert_eq!(origin.count("/a"), 2);
}
