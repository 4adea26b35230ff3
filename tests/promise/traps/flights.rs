//! Purges while something is on its way from the origin.

use super::{TAG, URL, begin, tagged, texts};
use crate::proxy::{Proxy, assert_hit, ours};
use crate::purging::{EVERYTHING, purge, soften};
use crate::support::*;

#[test]
fn waiters_from_before_a_purge_may_finish_and_later_ones_do_not_get_theirs() {
    // By the URL it is known at once that the fetch is of no use to those who ask later, by the tag only when it is
    // answered.
    for subject in [URL, TAG] {
        let origin = Origin::start();
        let head = Gate::closed();
        origin.on("/a").respond(tagged("first").held_by(&head)).then(tagged("second"));
        let proxy = Proxy::before(&origin);
        let early = begin(&proxy, 3, &proxy.asks("/a"));
        purge(&proxy, subject);
        let late = begin(&proxy, 3, &proxy.asks("/a"));
        head.open();
        assert_eq!(texts(early), ["first"; 3], "{subject:?}");
        assert_eq!(texts(late), ["second"; 3], "{subject:?}");
        proxy.settle();
        let hit = proxy.get("/a");
        assert_hit(&hit);
        assert_eq!(hit.text(), "second", "{subject:?}");
        assert_eq!(origin.count("/a"), 2, "{subject:?}");
    }
}

#[test]
fn a_fill_that_a_purge_hit_is_not_joined() {
    for subject in [URL, TAG, EVERYTHING] {
        let origin = Origin::start();
        let rest = Gate::closed();
        let first = pieces("first", [(&rest, " and last")]).cache("max-age=60").field("Cache-Tag", "t");
        origin.on("/a").respond(first).then(tagged("second"));
        let proxy = Proxy::before(&origin);
        let mut early = proxy.asks("/a").begin();
        early.wait_for_content("first");
        purge(&proxy, subject);
        assert_eq!(proxy.get("/a").text(), "second", "{subject:?}");
        rest.open();
        assert_eq!(early.finish().text(), "first and last");
        proxy.settle();
        assert_eq!(proxy.get("/a").text(), "second", "the dead fill was stored");
        // Nobody would be given it, but it would take memory.
        assert_eq!(proxy.metric("larder_not_stored_total{reason=\"purged-meanwhile\"}"), 1.0, "{subject:?}");
    }
}

/// To let them wait for what is dead already would only send them back, until each goes for itself.
#[test]
fn those_who_come_while_a_dead_fill_goes_on_share_the_next_fetch() {
    for purge in [purge, soften] {
        let origin = Origin::start();
        let (rest, second) = (Gate::closed(), Gate::closed());
        let first = pieces("first", [(&rest, " and last")]).cache("max-age=60").field("Cache-Tag", "t");
        origin.on("/a").respond(first).then(tagged("second").held_by(&second));
        let proxy = Proxy::before(&origin);
        let mut early = proxy.asks("/a").begin();
        early.wait_for_content("first");
        purge(&proxy, TAG);
        let late = begin(&proxy, 3, &proxy.asks("/a"));
        assert_eq!(origin.wait_for(2).len(), 2, "they do not wait for each other");
        second.open();
        assert_eq!(texts(late), ["second"; 3]);
        origin.was_asked("/a", 2);
        rest.open();
        early.finish();
    }
}

#[test]
fn a_number_is_taken_before_a_fetch_is_sent() {
    // The purge comes while the request is on its way: nobody waits, nothing is there to be marked.
    let origin = Origin::start();
    let head = Gate::closed();
    origin.on("/a").respond(tagged("first").held_by(&head)).then(tagged("second"));
    let proxy = Proxy::before(&origin);
    let early = proxy.asks("/a").begin();
    origin.wait_for(1);
    purge(&proxy, TAG);
    head.open();
    assert_eq!(early.finish().text(), "first");
    proxy.settle();
    let late = proxy.get("/a");
    assert_eq!((late.text().as_str(), ours(&late).hit), ("second", false));
}

#[test]
fn an_old_flight_neither_overwrites_a_newer_one_nor_clears_its_slot() {
    let origin = Origin::start();
    let (first, second) = (Gate::closed(), Gate::closed());
    origin.on("/a").respond(tagged("first").held_by(&first)).then(tagged("second").held_by(&second));
    let proxy = Proxy::before(&origin);
    let oldest = begin(&proxy, 1, &proxy.asks("/a"));
    purge(&proxy, URL);
    let newer = begin(&proxy, 1, &proxy.asks("/a"));
    origin.wait_for(2);
    first.open();
    assert_eq!(texts(oldest), ["first"]);
    let joining = begin(&proxy, 2, &proxy.asks("/a"));
    // The newer flight has lost its slot.
    origin.was_asked("/a", 2);
    second.open();
    assert_eq!(texts(newer), ["second"]);
    assert_eq!(texts(joining), ["second"; 2]);
    proxy.settle();
    assert_hit(&proxy.get("/a"));
}

#[test]
fn an_old_flight_that_ends_last_does_not_overwrite() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let first = pieces("first", [(&rest, ".")]).cache("max-age=60").field("Cache-Tag", "t");
    origin.on("/a").respond(first).then(tagged("second"));
    let proxy = Proxy::before(&origin);
    let mut oldest = proxy.asks("/a").begin();
    oldest.wait_for_content("first");
    purge(&proxy, URL);
    assert_eq!(proxy.get("/a").text(), "second");
    rest.open();
    oldest.finish();
    proxy.settle();
    let hit = proxy.get("/a");
    assert_hit(&hit);
    assert_eq!(hit.text(), "second");
}

#[test]
fn a_purge_removes_the_marker_of_what_could_not_be_shared() {
    let origin = Origin::start();
    let (apart, together) = (Gate::closed(), Gate::closed());
    let secret = || ok("secret").cache("no-store");
    origin
        .on("/a")
        .respond(secret())
        .then(secret().held_by(&apart))
        .then(secret().held_by(&apart))
        .then(tagged("public").held_by(&together));
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    let marked = begin(&proxy, 2, &proxy.asks("/a"));
    assert_eq!(origin.wait_for(3).len(), 3, "they do not wait for each other");
    purge(&proxy, URL);
    let coalesced = begin(&proxy, 3, &proxy.asks("/a"));
    // They do now.
    origin.was_asked("/a", 4);
    together.open();
    assert_eq!(texts(coalesced), ["public"; 3]);
    apart.open();
    texts(marked);
}

/// A proxy with a fetch under way that was sent before its tag was purged and its tag's cell forgotten.
fn forgotten(origin: &Origin, head: &Gate) -> (Proxy, Exchange) {
    origin.on("/a").respond(tagged("first").held_by(head)).then(tagged("second"));
    origin.on("/b").respond(tagged("other"));
    let proxy = Proxy::before(origin);
    let early = proxy.asks("/a").begin();
    origin.wait_for(1);
    purge(&proxy, TAG);
    proxy.log().sweep();
    proxy.log().sweep();
    (proxy, early)
}

#[test]
fn a_tag_that_was_forgotten_before_the_headers_came_is_not_taken_for_clean() {
    let origin = Origin::start();
    let head = Gate::closed();
    let (proxy, early) = forgotten(&origin, &head);
    let waiting = begin(&proxy, 2, &proxy.asks("/a"));
    head.open();
    assert_eq!(early.finish().text(), "first");
    assert_eq!(texts(waiting), ["second"; 2], "they asked after the purge");
    proxy.settle();
    assert_eq!(proxy.get("/a").text(), "second");
}

#[test]
fn a_tag_that_was_forgotten_and_came_back_is_not_taken_for_clean() {
    let origin = Origin::start();
    let head = Gate::closed();
    let (proxy, early) = forgotten(&origin, &head);
    // A response that is younger than the purge carries the same tag.
    proxy.get("/b");
    assert_hit(&proxy.get("/b"));
    head.open();
    assert_eq!(early.finish().text(), "first");
    proxy.settle();
    let late = proxy.get("/a");
    assert_eq!((late.text().as_str(), ours(&late).hit), ("second", false));
}
