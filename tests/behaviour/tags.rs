//! Tags: where they come from, what they reach, who does not see them.

use larder::validity::Subject;
use serde_json::{Value, json};

use crate::proxy::{Proxy, assert_forwarded, assert_hit, assert_not_stored, ours};
use crate::purge_command::{larder, outcome};
use crate::support::*;

/// An origin with one tagged response for each of these: target, field, tags. Each answer says which one it is.
fn tagged(rows: &[(&str, &str, &str)]) -> Origin {
    let origin = Origin::start();
    for (target, field, tags) in rows {
        let version = |text: &str| ok(text).cache("max-age=60").field(field, tags);
        origin.on(target).respond(version("first")).then(version("second"));
    }
    origin
}

/// Fetches all, purges a tag, and tells which of them are fetched again.
fn reached<'t>(proxy: &Proxy, targets: &[&'t str], tag: &str) -> Vec<&'t str> {
    targets.iter().for_each(|target| assert_eq!(proxy.get(target).text(), "first"));
    proxy.purge(Subject::Tag(tag));
    targets.iter().copied().filter(|target| proxy.get(target).text() == "second").collect()
}

#[test]
fn a_purge_by_tag_reaches_what_carries_it_in_any_of_three_fields() {
    let rows = [
        ("/1", "Cache-Tag", "other, shoes,x"),
        ("/2", "Surrogate-Key", "shoes"),
        ("/3", "xkey", "other  shoes"),
        ("/4", "Cache-Tag", "shoes and more"),
        ("/5", "Surrogate-Key", "x,shoes Shoes"),
        ("/6", "X-Tag", "shoes"),
    ];
    let origin = tagged(&rows);
    let proxy = Proxy::before(&origin);
    let targets = rows.map(|(target, ..)| target);
    assert_eq!(reached(&proxy, &targets, "shoes"), ["/1", "/2", "/3"]);
}

const PECULIAR: [&str; 9] =
    ["\"quoted\"", "caf%C3%A9", "caf%c3%a9", "Straße/你", "/items", "/items/1", "a b", "a;b=c", "*"];
/// What they must not be taken for.
const OTHERS: &str = "quoted, /, items, a, café, %22quoted%22, Straße, b";

#[test]
fn tags_are_compared_as_the_origin_wrote_them() {
    for tag in PECULIAR {
        let origin = tagged(&[("/this", "Cache-Tag", tag), ("/that", "Cache-Tag", OTHERS)]);
        let proxy = Proxy::before(&origin);
        assert_eq!(reached(&proxy, &["/this", "/that"], tag), ["/this"], "{tag}");
    }
}

/// A door by which a tag is purged; tells whether that was done.
type Door = fn(&Proxy, &str) -> bool;

fn post(proxy: &Proxy, kind: &str, content: &str) -> bool {
    let ask = proxy.admin().ask("POST", "/purge").host("localhost").field("Content-Type", kind);
    ask.content(content).send().status == 200
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn tags_pass_every_door_unchanged() {
    let doors: [(&str, Door); 4] = [
        ("JSON", |proxy, tag| post(proxy, "application/json", &json!({ "tags": [tag] }).to_string())),
        ("form", |proxy, tag| {
            let content = format!("tag={}", percent_encoded(tag));
            post(proxy, "application/x-www-form-urlencoded", &content)
        }),
        ("PURGE", |proxy, tag| proxy.ask("PURGE", "/").field("Cache-Tag", tag).send().status == 200),
        ("command", |proxy, tag| outcome(&mut larder(proxy, &["--tag", tag])).0 == Some(0)),
    ];
    for tag in PECULIAR {
        for (name, door) in doors {
            let origin = tagged(&[("/this", "Cache-Tag", tag), ("/that", "Cache-Tag", OTHERS)]);
            let proxy = Proxy::with(&origin).purge("allow = [\"127.0.0.1\"]").start();
            let versions = || ["/this", "/that"].map(|target| proxy.get(target).text());
            assert_eq!(versions(), ["first", "first"]);
            assert!(door(&proxy, tag), "{tag} by {name}");
            assert_eq!(versions(), ["second", "first"], "{tag} by {name}");
        }
    }
}

#[test]
fn tags_are_shown_as_the_origin_wrote_them() {
    for tag in PECULIAR {
        let origin = tagged(&[("/this", "Cache-Tag", tag)]);
        let proxy = Proxy::before(&origin);
        proxy.get("/this");
        // Softly: of what is gone nothing is shown.
        proxy.soften(Subject::Tag(tag));
        let shown = proxy.admin().asks("/api/tags").host("localhost").send();
        let shown: Value = serde_json::from_str(&shown.text()).unwrap();
        let [only] = shown["tags"].as_array().unwrap().as_slice() else { panic!("{tag}: {shown}") };
        assert_eq!((&only["tag"], &only["purged"]["sequence"]), (&json!(tag), &json!(1)));
    }
}

#[test]
fn a_tag_is_no_prefix_of_others() {
    let origin = tagged(&[("/a", "xkey", "/items/1"), ("/b", "xkey", "/items"), ("/c", "xkey", "/items/")]);
    let proxy = Proxy::before(&origin);
    assert_eq!(reached(&proxy, &["/a", "/b", "/c"], "/items"), ["/b"]);
}

#[test]
fn clients_see_no_tags_however_they_are_answered() {
    let origin = Origin::start();
    let tags = |answer: Answer| answer.field("Cache-Tag", "a").field("Surrogate-Key", "b").field("XKey", "c");
    let page = || tags(ok("x").field("ETag", "\"1\"").field("X-Other", "d"));
    origin.on("/stored").respond(page().cache("max-age=60"));
    origin.on("/passed").respond(page().cache("no-store"));
    origin.on("HEAD /head").respond(page().cache("max-age=60"));
    origin.on("POST /posted").respond(page());
    let same = tags(unchanged()).field("ETag", "\"1\"");
    origin.on("/changed").respond(page().cache("max-age=0")).then(same);
    let proxy = Proxy::before(&origin);
    let answers = [
        proxy.get("/stored"),
        proxy.get("/stored"),
        proxy.send(&proxy.asks("/stored").field("If-None-Match", "\"1\"")),
        proxy.send(&proxy.asks("/stored").field("Range", "bytes=0-0")),
        proxy.get("/passed"),
        proxy.head("/head"),
        proxy.send(&proxy.ask("POST", "/posted").content("x")),
        proxy.get("/changed"),
        proxy.get("/changed"),
    ];
    for answered in answers {
        for name in ["Cache-Tag", "Surrogate-Key", "xkey"] {
            assert!(!answered.fields.has(name), "{name}: {answered:?}");
        }
        assert_eq!(answered.field("X-Other").as_deref(), Some("d"), "{answered:?}");
    }
}

#[test]
fn the_fields_can_be_others() {
    let origin = tagged(&[("/1", "X-Labels", "a, b c"), ("/2", "Cache-Tag", "a")]);
    let proxy = Proxy::with(&origin).cache("comma_tags = \"X-Labels\"\nspace_tags = []").start();
    assert_eq!(reached(&proxy, &["/1", "/2"], "b c"), ["/1"]);
    assert!(!proxy.get("/1").fields.has("X-Labels"));
    proxy.purge(Subject::Tag("a"));
    let untagged = proxy.get("/2");
    assert_hit(&untagged);
    assert_eq!(untagged.field("Cache-Tag").as_deref(), Some("a"), "a field like any other");
}

/// To keep some tags of many would mean to serve the response after a purge by one of the others.
#[test]
fn what_has_too_many_or_too_long_tags_is_delivered_and_not_stored() {
    let list = |count: usize| (0..count).map(|i| format!("tag-{i}")).collect::<Vec<_>>().join(",");
    for (most, over) in [(list(256), list(257)), ("x".repeat(1024), "x".repeat(1025))] {
        let origin = tagged(&[("/most", "Cache-Tag", &most), ("/over", "Cache-Tag", &over)]);
        let proxy = Proxy::before(&origin);
        proxy.get("/most");
        assert_hit(&proxy.get("/most"));
        for version in ["first", "second"] {
            let delivered = proxy.get("/over");
            assert_not_stored(&delivered);
            assert_eq!((delivered.status, delivered.text().as_str()), (200, version));
        }
        assert_eq!(proxy.metric("larder_not_stored_total{reason=\"too-many-tags\"}"), 2.0);
    }
}

#[test]
fn the_most_tags_and_the_longest_can_be_configured() {
    let list = (0..33).map(|i| format!("t{i}")).collect::<Vec<_>>().join(" ");
    let long = "x".repeat(33);
    for (key, tags) in [("max_tags", list), ("max_tag_length", long)] {
        let origin = tagged(&[("/a", "xkey", &tags)]);
        for (limit, detail) in [(32, Some("too-many-tags")), (33, None)] {
            let proxy = Proxy::with(&origin).cache(&format!("{key} = {limit}")).start();
            let answered = proxy.get("/a");
            assert_eq!(ours(&answered).detail.as_deref(), detail, "{key} = {limit}");
        }
    }
}

#[test]
fn what_has_a_tag_that_no_purge_can_name_is_not_stored() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Cache-Tag", b"a, caf\xe9"));
    let proxy = Proxy::before(&origin);
    let delivered = proxy.get("/a");
    assert_not_stored(&delivered);
    assert_eq!(ours(&delivered).detail.as_deref(), Some("unreadable-tags"));
}

#[test]
fn tags_from_before_and_after_a_304_both_count() {
    for tag in ["old", "new"] {
        let origin = Origin::start();
        let first = ok("first").cache("max-age=10").field("ETag", "\"1\"").field("Cache-Tag", "old");
        let same = unchanged().cache("max-age=60").field("ETag", "\"1\"").field("Cache-Tag", "new");
        origin.on("/a").respond(first).then(same).then(ok("second").cache("max-age=60"));
        let proxy = Proxy::before(&origin);
        proxy.get("/a");
        proxy.advance(11);
        assert_eq!(ours(&proxy.get("/a")).detail.as_deref(), Some("revalidated"));
        assert_hit(&proxy.get("/a"));
        proxy.purge(Subject::Tag(tag));
        assert_eq!(proxy.get("/a").text(), "second", "{tag}");
    }
}

#[test]
fn a_304_with_too_many_tags_keeps_nothing() {
    let origin = Origin::start();
    let many = (0..257).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let first = ok("first").cache("max-age=10").field("ETag", "\"1\"");
    let same = unchanged().cache("max-age=60").field("ETag", "\"1\"").field("Cache-Tag", &many);
    let second = ok("second").cache("max-age=60").field("Cache-Tag", &many);
    origin.on("/a").respond(first).then(same).then(second);
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    proxy.advance(11);
    let fetched = proxy.get("/a");
    assert_eq!(fetched.text(), "second");
    assert_not_stored(&fetched);
    assert_forwarded(&proxy.get("/a"), "uri-miss");
}

#[test]
fn a_purge_by_its_tag_lets_requests_wait_for_each_other_again() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("no-store").field("Cache-Tag", "t"));
    let proxy = Proxy::before(&origin);
    let detail = || ours(&proxy.get("/a")).detail.unwrap();
    assert_eq!((detail(), detail()), ("no-store".to_owned(), "hit-for-miss".to_owned()));
    proxy.purge(Subject::Tag("t"));
    assert_eq!((detail(), detail()), ("no-store".to_owned(), "hit-for-miss".to_owned()));
}
