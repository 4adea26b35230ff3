//! What a purge reaches, and what it leaves alone.

use super::{TAG, tagged};
use crate::proxy::{Proxy, assert_hit, ours};
use crate::purging::purge;
use crate::support::*;

#[test]
fn names_are_compared_whole() {
    let origin = Origin::start();
    for (target, tag) in [("/items", "/items"), ("/items/1", "/items/1"), ("/items?page=2", "items")] {
        origin.on(target).respond(ok(target).cache("max-age=60").field("Cache-Tag", tag));
    }
    let proxy = Proxy::before(&origin);
    let fetched = |target: &str| !ours(&proxy.get(target)).hit;
    ["/items", "/items/1", "/items?page=2"].iter().for_each(|target| assert!(fetched(target)));
    for subject in [("tags", "/items"), ("urls", "example.com/items")] {
        purge(&proxy, subject);
        assert!(fetched("/items"), "{subject:?}");
        assert!(!fetched("/items/1"), "{subject:?}");
        assert!(!fetched("/items?page=2"), "{subject:?}");
    }
    purge(&proxy, ("tags", "/items/1"));
    assert!(fetched("/items/1"));
    for subject in [("tags", "/items/"), ("tags", "/ITEMS"), ("hosts", "example.co")] {
        purge(&proxy, subject);
        assert!(!fetched("/items") && !fetched("/items/1"), "{subject:?}");
    }
}

#[test]
fn a_url_reaches_both_schemes_all_variants_head_and_ranges() {
    let origin = Origin::start();
    let content = |text: &str| ok(text).cache("max-age=60").field("Vary", "X-Kind").field("ETag", "\"1\"");
    origin.on("/a").choose(move |_| content("0123456789"));
    let proxy = Proxy::with(&origin).server("trusted_proxies = [\"127.0.0.1\"]").start();
    let ways = || {
        let plain = || proxy.asks("/a");
        let kind = |kind: &str| plain().field("X-Kind", kind);
        [
            plain(),
            kind("1"),
            kind("2"),
            kind("2").field("X-Forwarded-Proto", "https"),
            kind("1").field("Range", "bytes=2-4"),
        ]
    };
    let hits = || ways().map(|ask| ours(&proxy.send(&ask)).hit);
    for url in ["http://example.com/a", "https://example.com/a", "https://EXAMPLE.com:443/a"] {
        hits();
        assert_eq!(hits(), [true; 5], "all of it is stored");
        let head = |kind: &str| ours(&proxy.send(&proxy.ask("HEAD", "/a").field("X-Kind", kind))).hit;
        assert!(head("1"));
        purge(&proxy, ("urls", url));
        assert!(!head("1"), "a HEAD is answered from what is dead");
        let each = ways().map(|ask| {
            purge(&proxy, ("urls", url));
            ours(&proxy.send(&ask)).hit
        });
        assert_eq!(each, [false; 5]);
    }
}

#[test]
fn a_stored_part_dies_too() {
    let origin = Origin::start();
    let part = |content: &str| {
        let part = answer(206, content).field("Content-Range", "bytes 0-3/8").field("ETag", "\"1\"");
        part.cache("max-age=60").field("Cache-Tag", "t")
    };
    origin.on("/a").respond(part("old-")).then(part("new-")).then(tagged("new-new-"));
    let proxy = Proxy::before(&origin);
    let ask = || proxy.send(&proxy.asks("/a").field("Range", "bytes=0-3"));
    ask();
    assert_hit(&ask());
    purge(&proxy, TAG);
    assert_eq!(ask().text(), "new-");
    purge(&proxy, TAG);
    let whole = proxy.get("/a");
    assert_eq!(whole.text(), "new-new-");
    assert!(!origin.last().fields.has("Range"), "the dead part must not be completed: {:?}", origin.last());
}

#[test]
fn an_unsafe_request_has_purged_when_its_answer_begins() {
    let origin = Origin::start();
    let rest = Gate::closed();
    let elsewhere = pieces("done", [(&rest, ".")]).field("Location", "/b");
    for target in ["/a", "/b"] {
        origin.on(&format!("GET {target}")).respond(tagged("first")).then(tagged("second"));
    }
    origin.on("POST /a").respond(elsewhere);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.get("/b");
    let mut write = proxy.ask("POST", "/a").content("x").begin();
    assert_eq!(write.status(), 200);
    assert_eq!(proxy.asks("/a").send().text(), "second", "the answer to the write has only begun");
    assert_eq!(proxy.asks("/b").send().text(), "second");
    rest.open();
    write.finish();
}
