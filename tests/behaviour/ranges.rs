//! Ranges (RFC 9110 §14) answered from what is stored, whole or in parts (RFC 9111 §3.3, §3.4).

use crate::proxy::{Proxy, Setup, assert_hit, assert_not_stored, ours};
use crate::support::*;

const DIGITS: &str = "0123456789";

/// `/a` holds ten digits with a strong tag, and is stored.
fn digits() -> (Origin, Proxy) {
    stored(
        ok(DIGITS).field("ETag", "\"1\"").field("Last-Modified", "Wed, 31 Dec 2025 23:00:00 GMT"),
        |setup| setup,
    )
}

fn stored(answer: Answer, configure: fn(Setup) -> Setup) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.on("/a").respond(answer.cache("max-age=60"));
    let proxy = configure(Proxy::with(&origin)).start();
    proxy.get("/a");
    (origin, proxy)
}

fn ask(proxy: &Proxy, range: &str) -> Answered {
    proxy.send(&proxy.asks("/a").field("Range", range))
}

/// 206 with the bytes `first..=last` of `whole`, as an origin sends it.
fn part(whole: &str, first: usize, last: usize) -> Answer {
    let range = format!("bytes {first}-{last}/{}", whole.len());
    answer(206, &whole[first..=last]).field("Content-Range", range).cache("max-age=60")
}

/// The range that `seen` asks for, if it is a single closed one.
fn asked_range(seen: &Seen) -> Option<(usize, usize)> {
    let (first, last) = seen
        .fields
        .one("Range")?
        .strip_prefix("bytes=")?
        .split_once('-')
        .map(|(first, last)| (first.parse().unwrap_or(0), last.parse().unwrap_or(DIGITS.len() - 1)))?;
    Some((first, last.min(DIGITS.len() - 1)))
}

/// An origin that serves the digits with this tag and honours single ranges, unless `If-Range` names another tag.
fn ranging(tag: &'static str) -> Origin {
    let origin = Origin::start();
    origin.on("/a").choose(move |seen| {
        let current = seen.fields.one("If-Range").is_none_or(|condition| condition == tag);
        match asked_range(seen) {
            Some((first, last)) if current => part(DIGITS, first, last),
            _ => ok(DIGITS).cache("max-age=60"),
        }
        .field("ETag", tag)
    });
    origin
}

#[test]
fn a_single_range_is_answered_from_a_stored_whole() {
    let (origin, proxy) = digits();
    for (range, content, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-99", DIGITS, "bytes 0-9/10"),
        ("bytes=0-99999999999999999999", DIGITS, "bytes 0-9/10"),
        ("Bytes=2-4", "234", "bytes 2-4/10"),
    ] {
        let answered = ask(&proxy, range);
        assert_eq!((answered.status, answered.text().as_str()), (206, content), "{range}");
        assert_eq!(answered.field("Content-Range").as_deref(), Some(content_range), "{range}");
        assert_eq!(answered.field("Content-Length"), Some(content.len().to_string()), "{range}");
        assert_eq!(answered.field("ETag").as_deref(), Some("\"1\""));
        assert_hit(&answered);
    }
    origin.was_asked("/a", 1);
}

#[test]
fn what_is_not_a_range_of_bytes_is_answered_with_the_whole() {
    let (origin, proxy) = digits();
    for range in
        ["bytes=4-2", "bytes=a-b", "bytes", "bytes=", "lines=1-2", "bytes=1-2;3", "bytes=--1", "bytes=1"]
    {
        let answered = ask(&proxy, range);
        assert_eq!((answered.status, answered.text().as_str()), (200, DIGITS), "{range}");
        assert!(!answered.fields.has("Content-Range"), "{range}");
    }
    origin.was_asked("/a", 1);
}

#[test]
fn an_unsatisfiable_range_is_told_the_length() {
    let (_origin, proxy) = digits();
    for range in ["bytes=10-", "bytes=10-20,30-40", "bytes=-0", "bytes=99999999999999999999-"] {
        let answered = ask(&proxy, range);
        assert_eq!(answered.status, 416, "{range}");
        assert_eq!(answered.field("Content-Range").as_deref(), Some("bytes */10"), "{range}");
        assert!(!answered.text().contains(&DIGITS[..5]), "{range}: nothing of the content shows");
    }
    assert_eq!(ask(&proxy, "bytes=10-,0-1").status, 206, "one of them is satisfiable");
}

#[test]
fn a_range_on_head_changes_nothing() {
    let (_origin, proxy) = digits();
    let answered = proxy.send(&proxy.ask("HEAD", "/a").field("Range", "bytes=2-4"));
    assert_eq!((answered.status, answered.field("Content-Length").as_deref()), (200, Some("10")));
}

/// The parts of a multipart/byteranges response: `Content-Range` and content.
fn parts(answered: &Answered) -> Vec<(String, String)> {
    let kind = answered.field("Content-Type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap_or_else(|| panic!("{kind}"));
    let boundary = boundary.trim_matches('"');
    let text = format!("\r\n{}", answered.text());
    let text = text.strip_suffix("\r\n").unwrap_or(&text);
    let text = text.strip_suffix(&format!("\r\n--{boundary}--")).expect("a closing delimiter");
    let delimiter = format!("\r\n--{boundary}\r\n");
    text.split(&delimiter)
        .skip(1)
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").expect("a part has a head");
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let range = lines.filter(|line| line.0.eq_ignore_ascii_case("Content-Range")).map(|line| line.1);
            (range.collect::<Vec<_>>().concat(), content.to_owned())
        })
        .collect()
}

#[test]
fn several_ranges_come_as_parts() {
    let (_origin, proxy) = stored(ok(DIGITS).field("Content-Type", "text/plain"), |setup| setup);
    let answered = ask(&proxy, "bytes=0-1, 4-5 ,-1, 20-30");
    assert_eq!(answered.status, 206);
    assert!(!answered.fields.has("Content-Range"), "only in the parts: {answered:?}");
    let expected = [("bytes 0-1/10", "01"), ("bytes 4-5/10", "45"), ("bytes 9-9/10", "9")];
    assert_eq!(parts(&answered), expected.map(|(range, content)| (range.to_owned(), content.to_owned())));
    assert_eq!(answered.text().matches("text/plain").count(), 3, "each part has the type of the whole");
    assert_eq!(answered.field("Content-Length"), Some(answered.content.len().to_string()));
}

#[test]
fn too_many_ranges_are_answered_with_the_whole() {
    let (_origin, proxy) = stored(ok(DIGITS), |setup| setup.cache("max_ranges = 3"));
    assert_eq!(ask(&proxy, "bytes=0-0,2-2,4-4").status, 206);
    assert_eq!(ask(&proxy, "bytes=0-0,2-2,4-4,6-6").status, 200);
    let abuse = format!("bytes={}", ["0-"; 1000].join(","));
    let answered = ask(&proxy, &abuse);
    assert!(answered.content.len() <= 10, "asking often does not multiply: {}", answered.content.len());
}

#[test]
fn if_range_decides_between_part_and_whole() {
    let (_origin, proxy) = digits();
    for (condition, status) in [
        ("\"1\"", 206),
        ("\"0\"", 200),
        ("W/\"1\"", 200),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 206),
        ("Wed, 31 Dec 2025 22:00:00 GMT", 200),
        ("Wed, 31 Dec 2025 23:00:01 GMT", 200),
    ] {
        let asking = proxy.asks("/a").field("Range", "bytes=2-4").field("If-Range", condition);
        let answered = proxy.send(&asking);
        assert_eq!(answered.status, status, "{condition}");
        assert_hit(&answered);
    }
}

#[test]
fn a_weak_validator_satisfies_no_if_range() {
    let (_origin, proxy) = stored(ok(DIGITS).field("ETag", "W/\"1\""), |setup| setup);
    let asking = proxy.asks("/a").field("Range", "bytes=2-4").field("If-Range", "W/\"1\"");
    assert_eq!(proxy.send(&asking).status, 200);
}

#[test]
fn conditions_come_before_ranges() {
    let (_origin, proxy) = digits();
    let asking = proxy.asks("/a").field("Range", "bytes=2-4");
    assert_eq!(proxy.send(&asking.clone().field("If-None-Match", "\"1\"")).status, 304);
    assert_eq!(proxy.send(&asking.field("If-None-Match", "\"0\"")).status, 206);
    let beyond = proxy.asks("/a").field("Range", "bytes=20-").field("If-None-Match", "\"1\"");
    assert_eq!(proxy.send(&beyond).status, 304);
}

#[test]
fn only_a_200_has_ranges() {
    let (_origin, proxy) = stored(answer(404, DIGITS), |setup| setup);
    assert_eq!(ask(&proxy, "bytes=2-4").status, 404);
}

#[test]
fn content_of_unknown_length_has_ranges_once_it_is_stored() {
    let (origin, proxy) = stored(ok(DIGITS).chunked(), |setup| setup);
    let answered = ask(&proxy, "bytes=2-4");
    assert_eq!((answered.status, answered.text().as_str()), (206, "234"));
    assert_eq!(answered.field("Content-Range").as_deref(), Some("bytes 2-4/10"));
    origin.was_asked("/a", 1);
}

#[test]
fn a_range_on_a_miss_is_asked_for_and_kept() {
    let origin = ranging("\"1\"");
    let proxy = Proxy::before(&origin);
    for round in 0..2 {
        let answered = ask(&proxy, "bytes=2-6");
        assert_eq!((answered.status, answered.text().as_str()), (206, "23456"), "round {round}");
        assert_eq!(answered.field("Content-Range").as_deref(), Some("bytes 2-6/10"));
        assert_eq!(ours(&answered).hit, round == 1, "{answered:?}");
    }
    assert_eq!(origin.last().fields.all("Range"), ["bytes=2-6"]);
    let within = ask(&proxy, "bytes=3-4");
    assert_eq!((within.status, within.text().as_str()), (206, "34"));
    assert_hit(&within);
    origin.was_asked("/a", 1);
}

#[test]
fn if_range_counts_on_a_miss_too() {
    let origin = ranging("\"1\"");
    for (condition, status, content) in
        [("\"1\"", 206, "234"), ("\"0\"", 200, DIGITS), ("W/\"1\"", 200, DIGITS)]
    {
        let proxy = Proxy::before(&origin);
        let asking = proxy.asks("/a").field("Range", "bytes=2-4").field("If-Range", condition);
        let answered = proxy.send(&asking);
        assert_eq!((answered.status, answered.text().as_str()), (status, content), "{condition}");
    }
}

#[test]
fn a_range_passes_where_nothing_can_be_shared() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| match asked_range(seen) {
        Some((first, last)) => part(DIGITS, first, last).field("Cache-Control", "no-store"),
        None => ok(DIGITS).cache("no-store"),
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/a");
    for _ in 0..2 {
        let answered = ask(&proxy, "bytes=2-4");
        assert_eq!((answered.status, answered.text().as_str()), (206, "234"));
        assert_not_stored(&answered);
    }
}

#[test]
fn a_stored_part_is_not_the_whole() {
    let origin = ranging("\"1\"");
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=2-6");
    let whole = proxy.get("/a");
    assert_eq!((whole.status, whole.text().as_str()), (200, DIGITS));
    assert!(!whole.fields.has("Content-Range"), "{whole:?}");
    assert!(!ours(&whole).hit);
    let again = proxy.get("/a");
    assert_hit(&again);
    assert_eq!((again.text().as_str(), origin.count("/a")), (DIGITS, 2));
}

#[test]
fn a_range_beyond_the_stored_part_goes_to_the_origin() {
    let origin = ranging("\"1\"");
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=2-6");
    let beyond = ask(&proxy, "bytes=5-8");
    assert_eq!((beyond.status, beyond.text().as_str()), (206, "5678"));
    assert!(!ours(&beyond).hit);
    origin.was_asked("/a", 2);
}

#[test]
fn parts_with_the_same_strong_tag_become_a_whole() {
    let origin = ranging("\"1\"");
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=0-5");
    ask(&proxy, "bytes=4-9");
    let whole = proxy.get("/a");
    assert_eq!((whole.status, whole.text().as_str()), (200, DIGITS));
    assert_hit(&whole);
    assert_eq!(whole.field("Content-Length").as_deref(), Some("10"));
    assert!(!whole.fields.has("Content-Range"), "{whole:?}");
    let across = ask(&proxy, "bytes=3-7");
    assert_eq!((across.status, across.text().as_str()), (206, "34567"));
    origin.was_asked("/a", 2);
}

/// The origin answers ranges in turn: first from the digits with `tags[0]`, then from the letters with `tags[1]`.
fn changing(tags: [&str; 2]) -> (Origin, Proxy) {
    let origin = Origin::start();
    let letters = "abcdefghij";
    let whole = ok(letters).cache("max-age=60").field("ETag", tags[1]);
    let first = part(DIGITS, 0, 4).field("ETag", tags[0]);
    origin.on("/a").respond(first).then(part(letters, 5, 9).field("ETag", tags[1])).then(whole);
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=0-4");
    ask(&proxy, "bytes=5-9");
    (origin, proxy)
}

#[test]
fn parts_of_different_things_are_never_combined() {
    for tags in [["\"1\"", "\"2\""], ["W/\"1\"", "W/\"1\""]] {
        let (origin, proxy) = changing(tags);
        let whole = proxy.get("/a");
        assert_eq!((whole.status, whole.text().as_str()), (200, "abcdefghij"), "{tags:?}");
        origin.was_asked("/a", 3);
    }
}

#[test]
fn multipart_answers_are_passed_on_and_never_stored() {
    let origin = Origin::start();
    let body = "--b\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n--b\r\nContent-Range: bytes 2-2/10\r\n\r\n2\r\n--b--\r\n";
    let multipart = answer(206, body).field("Content-Type", "multipart/byteranges; boundary=b");
    origin.on("/a").respond(multipart.cache("max-age=60").field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    for round in 1..3 {
        let answered = ask(&proxy, "bytes=0-0,2-2");
        assert_eq!((answered.status, answered.text().as_str()), (206, body));
        assert_not_stored(&answered);
        origin.was_asked("/a", round);
    }
}

#[test]
fn an_origin_that_ignores_the_range_fills_the_store() {
    let origin = Origin::start();
    origin.on("/a").respond(ok(DIGITS).cache("max-age=60").field("ETag", "\"1\""));
    let proxy = Proxy::before(&origin);
    let answered = ask(&proxy, "bytes=2-4");
    match answered.status {
        206 => assert_eq!(answered.text(), "234"),
        _ => assert_eq!((answered.status, answered.text().as_str()), (200, DIGITS)),
    }
    assert_hit(&ask(&proxy, "bytes=2-4"));
    assert_hit(&proxy.get("/a"));
    origin.was_asked("/a", 1);
}

#[test]
fn a_part_whose_place_is_unclear_is_not_stored() {
    let origin = Origin::start();
    let places = ["bytes 2-4/2", "bytes 4-2/10", "bytes 2-9/10", "bytes x-y/10", "lines 2-4/10", ""];
    let proxy = Proxy::before(&origin);
    for (number, place) in places.into_iter().enumerate() {
        let target = format!("/{number}");
        let wrong = answer(206, "234").cache("max-age=60").field("ETag", "\"1\"");
        let wrong = if place.is_empty() { wrong } else { wrong.field("Content-Range", place) };
        origin.on(&target).respond(wrong);
        for _ in 0..2 {
            let answered = proxy.send(&proxy.asks(&target).field("Range", "bytes=2-4"));
            assert!(!ours(&answered).stored && !ours(&answered).hit, "{place}: {answered:?}");
        }
        assert_eq!(origin.count(&target), 2, "{place}");
    }
}

#[test]
fn a_stale_part_is_not_served() {
    let origin = ranging("\"1\"");
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=2-6");
    proxy.advance(61);
    let answered = ask(&proxy, "bytes=2-6");
    assert_eq!((answered.status, answered.text().as_str()), (206, "23456"));
    assert!(!ours(&answered).hit);
    origin.was_asked("/a", 2);
}

/// Whoever puts parts together wants each of the same version, or none (RFC 9110 §13.1.1, §13.1.4).
#[test]
fn a_part_of_one_version_only_is_asked_of_the_origin() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| match seen.fields.one("If-Match").as_deref() {
        Some("\"2\"") | None => part(DIGITS, 2, 4).field("ETag", "\"2\""),
        Some(_) => answer(412, ""),
    });
    let proxy = Proxy::before(&origin);
    let ask = |tag: &str| {
        let asking = proxy.asks("/a").field("Range", "bytes=2-4").field("If-Match", tag);
        proxy.send(&asking).status
    };
    assert_eq!((ask("\"1\""), ask("\"2\"")), (412, 206), "nothing is stored");
    assert_eq!(proxy.send(&proxy.asks("/a").field("Range", "bytes=2-4")).status, 206);
    assert_eq!((ask("\"1\""), ask("\"2\"")), (412, 206), "a part of the second version is");
}

#[test]
fn a_whole_made_of_parts_varies_as_the_last_of_them_says() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| match (seen.fields.one("X-Kind"), asked_range(seen)) {
        (None, Some((0, _))) => part(DIGITS, 0, 4).field("ETag", "\"1\""),
        (None, Some((first, last))) => {
            part(DIGITS, first, last).field("ETag", "\"1\"").field("Vary", "X-Kind")
        }
        (kind, _) => ok(kind.unwrap_or_default()).cache("max-age=60").field("Vary", "X-Kind"),
    });
    let proxy = Proxy::before(&origin);
    ask(&proxy, "bytes=0-4");
    assert_eq!(proxy.get("/a").text(), DIGITS);
    assert_eq!(proxy.send(&proxy.asks("/a").field("X-Kind", "other")).text(), "other");
}

#[test]
fn a_part_is_never_served_for_another_host_or_variant() {
    let origin = Origin::start();
    origin.on("/a").choose(|seen| {
        let kind = seen.fields.one("X-Kind").unwrap_or_default().repeat(10);
        part(&kind, 0, 4).field("ETag", "\"1\"").field("Vary", "X-Kind")
    });
    let proxy = Proxy::before(&origin);
    let ask = |kind: &str| {
        let asking = proxy.asks("/a").field("Range", "bytes=0-4").field("X-Kind", kind);
        proxy.send(&asking).text()
    };
    assert_eq!((ask("a"), ask("b"), ask("a")), ("aaaaa".into(), "bbbbb".into(), "aaaaa".into()));
    origin.was_asked("/a", 2);
}
