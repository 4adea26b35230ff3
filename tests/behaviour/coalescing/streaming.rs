//! What is shared reaches all who wait as it comes, whoever leaves or lags.

use super::{begin, finish, texts};
use crate::proxy::{Proxy, assert_forwarded, assert_hit, ours};
use crate::support::*;

#[test]
fn many_waiters_cause_one_fetch() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(ok("hello").cache("max-age=60").held_by(&gate));
    let proxy = Proxy::before(&origin);
    let waiters = begin(&proxy, 20, &proxy.asks("/a"));
    origin.was_asked("/a", 1);
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
    origin.was_asked("/a", 1);
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
    origin.was_asked("/a", 1);
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
    origin.was_asked("/a", 1);
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
    origin.was_asked("/a", 1);
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
    origin.was_asked("/a", 2);
}
