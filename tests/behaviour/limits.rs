//! Ceilings: what is too large, too much or too many is delivered all the same, and not kept.

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_not_stored, assert_stored, ours, wait_until};
use crate::support::*;

#[test]
fn content_that_is_declared_too_long_is_delivered_and_not_stored() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).cache("max_object = \"1KiB\"").start();
    for (target, length) in [("/fits", 1024), ("/too-long", 1025)] {
        origin.on(target).respond(ok("x".repeat(length)).cache("max-age=60"));
        let first = proxy.get(target);
        assert_eq!(first.text().len(), length);
        assert_eq!((ours(&first).stored, ours(&first).detail.is_some()), (length <= 1024, length > 1024));
        assert_eq!(ours(&proxy.get(target)).hit, length <= 1024, "{target}");
    }
}

#[test]
fn content_that_turns_out_too_long_is_delivered_and_not_stored() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).cache("max_object = \"1KiB\"").start();
    for (target, length) in [("/fits", 1024), ("/too-long", 1025), ("/far-too-long", 3 << 20)] {
        origin.on(target).respond(ok("x".repeat(length)).chunked().cache("max-age=60"));
        assert_eq!(proxy.get(target).text().len(), length);
        assert_eq!(ours(&proxy.get(target)).hit, length <= 1024, "{target}");
    }
    proxy.wait_for_metric("larder_store_entries", 1.0);
}

#[test]
fn waiters_for_what_is_declared_too_long_are_released_at_its_head() {
    let origin = Origin::start();
    let (first, others) = (Gate::closed(), Gate::closed());
    let long = || ok("x".repeat(2048)).cache("max-age=60");
    origin.on("/a").respond(long().held_by(&first)).then(long().held_by(&others));
    let proxy = Proxy::with(&origin).cache("max_object = \"1KiB\"").start();
    let waiters: Vec<Exchange> = (0..4).map(|_| proxy.asks("/a").begin_on(proxy.connect())).collect();
    proxy.settle();
    first.open();
    origin.wait_for(4);
    others.open();
    for waiter in waiters {
        assert_eq!(waiter.finish().text().len(), 2048);
    }
}

#[test]
fn several_readers_get_what_turns_out_too_long() {
    let origin = Origin::start();
    let (second, third) = (Gate::closed(), Gate::closed());
    let (one, two, three) = ("1".repeat(600), "2".repeat(600), "3".repeat(600));
    let answer = pieces(&one, [(&second, two.as_str()), (&third, three.as_str())]).cache("max-age=60");
    origin.on("/a").respond(answer);
    let proxy = Proxy::with(&origin).cache("max_object = \"1KiB\"").start();
    let mut waiters: Vec<Exchange> = (0..3).map(|_| proxy.asks("/a").begin_on(proxy.connect())).collect();
    proxy.settle();
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content(&one));
    second.open();
    waiters.iter_mut().for_each(|waiter| waiter.wait_for_content(&format!("{one}{two}")));
    third.open();
    for waiter in waiters {
        assert_eq!(waiter.finish().text(), format!("{one}{two}{three}"));
    }
    origin.was_asked("/a", 1);
    proxy.settle();
    assert!(!ours(&proxy.get("/a")).hit);
}

/// What is not stored cannot run far ahead of its slowest reader; but that one is waited for only so long.
#[test]
fn a_stuck_reader_holds_the_others_up_for_a_while_only() {
    let origin = Origin::start();
    let content = "x".repeat(24 << 20);
    origin.on("/a").respond(ok(&content).chunked().cache("max-age=60"));
    let setup = Proxy::with(&origin).cache("max_object = \"64KiB\"\nstream_window = \"64KiB\"");
    let proxy = setup.server("stall_timeout = \"200ms\"").start();
    let stuck = proxy.asks("/a").begin_on(proxy.connect().with_small_window());
    let reading = proxy.asks("/a").begin_on(proxy.connect());
    assert_eq!(reading.finish().text().len(), content.len());
    assert!(proxy.memory_used() < 8 << 20, "{} bytes", proxy.memory_used());
    assert!(stuck.finish().end.is_err());
}

#[test]
fn the_oldest_variant_makes_room() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let kind = seen.fields.one("X-Kind").unwrap();
        ok(kind).cache("max-age=60").field("Vary", "X-Kind")
    });
    let proxy = Proxy::with(&origin).cache("max_variants = 3").start();
    let ask = |kind: &str| proxy.send(&proxy.asks("/a").field("X-Kind", kind));
    for kind in ["1", "2", "3", "4"] {
        proxy.advance(1);
        assert_stored(&ask(kind));
    }
    for kind in ["2", "3", "4"] {
        let hit = ask(kind);
        assert_hit(&hit);
        assert_eq!(hit.text(), kind);
    }
    assert_forwarded(&ask("1"), "vary-miss");
}

/// Stores far more than fits, of all sizes.
#[test]
fn memory_stays_under_its_ceiling() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).memory("1MiB").start();
    let limit = proxy.metric("larder_store_limit_bytes");
    assert_eq!(limit, f64::from(1 << 20));
    for number in 0..150 {
        let target = format!("/{number}");
        let length = [100, 5_000, 40_000, 200_000][number % 4];
        origin.on(&target).respond(ok("x".repeat(length)).cache("max-age=60"));
        assert_eq!(proxy.asks(&target).send().text().len(), length, "{target}");
        let used = proxy.memory_used();
        assert!(used <= 1 << 20, "{used} bytes after {target}");
    }
    proxy.settle();
    let kept = (0..150).filter(|number| {
        let target = format!("/{number}");
        ours(&proxy.asks(&target).field("Cache-Control", "only-if-cached").send()).hit
    });
    let kept = kept.count();
    assert!(kept > 3, "something is kept");
    let evicted = proxy.metric("larder_evicted_entries_total");
    assert!(
        evicted > 0.0 && evicted <= f64::from(150 - i32::try_from(kept).unwrap()),
        "{evicted}, {kept} kept"
    );
}

#[test]
fn what_does_not_fit_into_memory_is_streamed_all_the_same() {
    let origin = Origin::start();
    let (half, rest) = ("x".repeat(450_000), Gate::closed());
    let targets = ["/a", "/b", "/c", "/d"];
    for target in targets {
        let answer = pieces(&half, [(&rest, half.as_str())]).with_length().cache("max-age=60");
        origin.on(target).respond(answer);
    }
    // Each is allowed by itself, but there is no room for all.
    let proxy = Proxy::with(&origin).memory("2MiB").cache("max_object = \"1MiB\"").start();
    let mut readers: Vec<Exchange> =
        targets.iter().flat_map(|target| [proxy.asks(target).begin(), proxy.asks(target).begin()]).collect();
    readers.iter_mut().for_each(|reader| reader.wait_for_content(&half));
    assert!(proxy.memory_used() <= 2 << 20, "{} bytes", proxy.memory_used());
    rest.open();
    // All at once: a stream goes at the pace of its slowest reader.
    std::thread::scope(|scope| {
        for reader in readers {
            scope.spawn(move || assert_eq!(reader.finish().text().len(), 900_000));
        }
    });
    assert!(proxy.memory_used() <= 2 << 20, "{} bytes", proxy.memory_used());
}

/// The store forgets by the machine's clock, so this takes a second.
#[test]
fn what_is_no_longer_needed_is_given_back() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).cache("keep = \"0s\"").system_clock().start();
    let empty = proxy.memory_used();
    for number in 0..10 {
        let target = format!("/{number}");
        origin.on(&target).respond(ok("x".repeat(100_000)).cache("max-age=1"));
        proxy.asks(&target).send().text();
    }
    proxy.settle();
    assert!(proxy.memory_used() >= empty + 900_000);
    proxy.wait_for_metric("larder_store_entries", 0.0);
    assert!(wait_until(|| proxy.memory_used() < empty + 100_000), "{} bytes stay", proxy.memory_used());
}

#[test]
fn many_variants_of_one_resource_stay_bounded() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let kind = seen.fields.one("X-Kind").unwrap();
        ok(kind).cache("max-age=60").field("Vary", "X-Kind")
    });
    let proxy = Proxy::with(&origin).cache("max_variants = 5").start();
    for kind in 0..40 {
        proxy.asks("/a").field("X-Kind", kind.to_string()).send();
    }
    proxy.settle();
    proxy.wait_for_metric("larder_store_entries", 5.0);
}

/// As many tags as are taken, and nearly as long as fits into a response head.
fn tags_of(number: usize) -> String {
    (0..256).map(|tag| format!("{number}-{tag:_<100}")).collect::<Vec<_>>().join(",")
}

/// That an answer could not be shared is remembered together with its tags, by which it can be purged.
#[test]
fn the_memory_of_what_could_not_be_shared_is_small_whatever_it_carries() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).memory("8MiB").start();
    for number in 0..200 {
        let target = format!("/{number}");
        origin.on(&target).respond(ok("mine").cache("no-store").field("Cache-Tag", tags_of(number)));
        assert_not_stored(&proxy.asks(&target).send());
    }
    let taken = || {
        proxy.log().sweep();
        proxy.log().figures().bytes
    };
    assert!(wait_until(|| taken() < 1 << 20), "{} bytes of tags stay", taken());
    assert!(proxy.memory_used() < 1 << 20, "{} bytes in use", proxy.memory_used());
}

/// The same is forgotten by the machine's clock, so this takes two seconds.
#[test]
fn the_memory_of_what_could_not_be_shared_is_given_back() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("mine").cache("no-store").field("Cache-Tag", tags_of(0)));
    let proxy = Proxy::with(&origin).cache("hit_for_miss = \"2s\"").system_clock().start();
    let empty = proxy.memory_used();
    assert_not_stored(&proxy.get("/a"));
    assert!(proxy.memory_used() > empty + 25_600, "tags count");
    assert!(wait_until(|| proxy.memory_used() == empty), "{} bytes stay", proxy.memory_used() - empty);
}
