//! Who wants another variant than the one that came.

use super::{begin, finish, texts};
use crate::proxy::{Proxy, assert_hit};
use crate::support::*;

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
    origin.was_asked("/a", 3);
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
    origin.was_asked("/a", 1);
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
    // One fetch for each of the two.
    origin.was_asked("/a", 3);
    assert_hit(&proxy.send(&ask("1")));
    gate.open();
    assert_eq!(texts(&finish(twos)), ["2"; 2]);
    assert_eq!(texts(&finish(threes)), ["3"; 2]);
    origin.was_asked("/a", 3);
}
