//! What holds for all inputs.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use larder::policy::{
    ContentRange, Exchange, NotStored, Ranges, RequestDirectives, ResponseDirectives, Rules, Stored, Target,
    Terms, Validators, Variant, Vary, evaluate, fields, freshen, head_update, invalidated, judge,
    make_conditional, select, selected_by_304, stale_if_error, storable_fields, strip_hop_by_hop, terms,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample;

use crate::sheet;

const TARGET: Target<'static> = Target { scheme: "http", authority: "example.com", path: "/a" };

/// Field values of any bytes that a field may hold, mostly of the marks that parsers stumble over.
fn any_value() -> impl Strategy<Value = HeaderValue> {
    let pieces = vec(
        prop_oneof![
            4 => sample::select(vec![
                ",", "\"", "\\", "=", " ", "\t", ";", "-", "*", "/", "W/", "0", "1", "bytes", "q=", "max-age",
                "no-store", "private", "no-cache", "s-maxage", "stale-if-error", "Thu, 01 Jan 2026 00:00:00 GMT",
                "18446744073709551616", "//", "..", "http:", "?", "#", "gzip", "en", "\u{fc}",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ],
        0..12,
    );
    pieces.prop_filter_map("not a field value", |pieces| HeaderValue::from_bytes(&pieces.concat()).ok())
}

/// The fields that this room reads.
fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let names = sample::select(vec![
        "accept-encoding",
        "accept-language",
        "age",
        "authorization",
        "cache-control",
        "cdn-cache-control",
        "connection",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "etag",
        "expires",
        "foo",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "pragma",
        "range",
        "set-cookie",
        "vary",
    ]);
    vec((names, any_value()), 0..12).prop_map(|pairs| {
        let mut fields = HeaderMap::new();
        for (name, value) in pairs {
            fields.append(HeaderName::from_static(name), value);
        }
        fields
    })
}

fn cache_control(lines: &[&str]) -> HeaderMap {
    let line = |text: &&str| (header::CACHE_CONTROL, HeaderValue::from_str(text).unwrap());
    let mut fields = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        fields.append(name, value);
    }
    fields
}

fn judged(
    method: &Method,
    request: &HeaderMap,
    response: &HeaderMap,
    status: StatusCode,
    rules: &Rules,
) -> Result<Terms, NotStored> {
    terms(&Exchange {
        target: TARGET,
        method,
        request,
        status,
        response,
        validators: &Validators::of(response),
        vary: &Vary::parse(response),
        rules,
        received: sheet::received(),
        delay: Duration::ZERO,
    })
}

/// Rules that allow as much as rules can.
fn generous() -> Rules {
    Rules {
        ttl: Some(Duration::from_secs(600)),
        stale_while_revalidate: Some(Duration::from_secs(60)),
        stale_if_error: Some(Duration::from_secs(60)),
        allow_set_cookie: true,
        ..Rules::default()
    }
}

/// What of these fields is stored.
fn kept(fields: &HeaderMap) -> HeaderMap {
    storable_fields(fields, &[]).map(|(name, value)| (name.clone(), value.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_comes_from_outside_panics(
        request in any_fields(),
        response in any_fields(),
        status in 100_u16..1000,
        post in any::<bool>(),
        len in prop_oneof![Just(0), Just(1), any::<u64>()],
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let rules = Rules::default();
        let method = if post { Method::POST } else { Method::GET };
        let judgement = judged(&method, &request, &response, status, &rules);
        let client = RequestDirectives::parse(&request);
        if let Ok(terms) = judgement {
            let stored = Stored { terms: &terms, resident: Duration::MAX, softened: Some(Duration::MAX) };
            let _ = (judge(&stored, &client), stale_if_error(&stored, &client), terms.horizon(Duration::MAX));
        }
        let _ = (client.to_string(), ResponseDirectives::parse(&response).to_string());
        let validators = Validators::of(&response);
        let _ = evaluate(&request, &validators, sheet::received());
        let _ = select(&request, || Cow::Borrowed(&validators), len, 16);
        let _ = selected_by_304(&[&validators], &response);
        let _ = invalidated(&TARGET, &method, status, &response);
        let _ = head_update(&response, len, StatusCode::OK, &request);
        let _ = ContentRange::parse(&response).map(|range| range.render());
        let vary = Vary::parse(&response);
        let variant = Variant::of(vary.fields(), &request);
        prop_assert!(variant.matches(&request, || response.get(header::CONTENT_TYPE).cloned()));
        let mut conditional = request.clone();
        make_conditional(&mut conditional, &[&validators, &Validators::of(&request)]);
        prop_assert!(conditional.get_all(header::IF_NONE_MATCH).iter().count() <= 1);
        let mut updated = kept(&response);
        freshen(&mut updated, &request);
        strip_hop_by_hop(&mut updated);
        fields::ensure_date(&mut updated, sheet::received());
        prop_assert!(fields::date(&updated).is_some());
    }

    /// Promise 3: what does not clearly say that it may be shared is not stored.
    #[test]
    fn no_directive_makes_a_private_or_unstorable_response_storable(
        response in any_fields(),
        restriction in sample::select(vec!["private", "no-store", "Private", "PRIVATE=\"\"", "no-store, x=\"a"]),
    ) {
        let mut response = response;
        response.remove("cdn-cache-control");
        let understood = ResponseDirectives::parse(&response).to_string();
        // `must-understand` is the one directive that lifts `no-store`.
        prop_assume!(!understood.contains("must-understand"));
        response.append(header::CACHE_CONTROL, HeaderValue::from_static(restriction));
        let (request, rules) = (HeaderMap::new(), generous());
        prop_assert!(judged(&Method::GET, &request, &response, StatusCode::OK, &rules).is_err());
    }

    #[test]
    fn a_request_with_credentials_needs_an_explicit_permission(response in any_fields()) {
        let mut request = HeaderMap::new();
        request.insert(header::AUTHORIZATION, HeaderValue::from_static("x"));
        let rules = generous();
        if judged(&Method::GET, &request, &response, StatusCode::OK, &rules).is_ok() {
            let understood = ResponseDirectives::parse(&response).to_string();
            let permissions = ["public", "s-maxage", "must-revalidate"];
            prop_assert!(permissions.iter().any(|name| understood.contains(name)), "{understood}");
        }
    }

    #[test]
    fn nothing_is_stored_without_a_word_or_a_rule(response in any_fields(), status in 200_u16..600) {
        let mut response = response;
        for name in ["cache-control", "cdn-cache-control", "expires"] {
            response.remove(name);
        }
        let (request, rules) = (HeaderMap::new(), Rules::default());
        let status = StatusCode::from_u16(status).unwrap();
        prop_assert!(judged(&Method::GET, &request, &response, status, &rules).is_err());
    }

    #[test]
    fn time_only_makes_older_and_staler(
        response in any_fields(),
        earlier in 0_u64..10_000,
        further in 0_u64..10_000,
    ) {
        let (request, rules) = (HeaderMap::new(), generous());
        if let Ok(terms) = judged(&Method::GET, &request, &response, StatusCode::OK, &rules) {
            let (earlier, later) = (Duration::from_secs(earlier), Duration::from_secs(earlier + further));
            prop_assert_eq!(terms.age(later), terms.age(earlier) + Duration::from_secs(further));
            prop_assert!(terms.age(earlier) >= terms.initial_age);
            if terms.remaining(earlier).is_err() {
                prop_assert!(terms.remaining(later).is_err());
            }
            let client = RequestDirectives::default();
            let at = |resident| Stored { terms: &terms, resident, softened: None };
            if stale_if_error(&at(later), &client) {
                prop_assert!(stale_if_error(&at(earlier), &client));
            }
        }
    }

    #[test]
    fn what_must_not_be_stale_is_never_delivered_stale(
        extra in any_value(),
        resident in 0_u64..200,
        softened in proptest::option::of(0_u64..200),
        restriction in sample::select(vec!["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"]),
    ) {
        let mut response = cache_control(&["max-age=60, stale-while-revalidate=100, stale-if-error=100"]);
        response.append(header::CACHE_CONTROL, extra);
        response.append(header::CACHE_CONTROL, HeaderValue::from_static(restriction));
        response.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        let (request, rules) = (HeaderMap::new(), Rules::default());
        if let Ok(terms) = judged(&Method::GET, &request, &response, StatusCode::OK, &rules) {
            let stored = Stored {
                terms: &terms,
                resident: Duration::from_secs(resident),
                softened: softened.map(Duration::from_secs),
            };
            let client = RequestDirectives::parse(&cache_control(&["max-stale, stale-if-error=1000"]));
            let is_stale = softened.is_some() || terms.remaining(stored.resident).is_err();
            if is_stale {
                let reuse = judge(&stored, &client);
                prop_assert!(matches!(reuse, larder::policy::Reuse::Validate(_)), "{reuse:?}");
                prop_assert!(!stale_if_error(&stored, &client));
            }
        }
    }

    #[test]
    fn a_smaller_lifetime_wins_wherever_it_stands(lifetimes in vec(0_u32..100_000, 1..6)) {
        let line = lifetimes.iter().map(|seconds| format!("max-age={seconds}")).collect::<Vec<_>>().join(", ");
        let mut response = cache_control(&[&line]);
        response.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        let (request, rules) = (HeaderMap::new(), Rules::default());
        let terms = judged(&Method::GET, &request, &response, StatusCode::OK, &rules).unwrap();
        let smallest = lifetimes.iter().min().copied().unwrap();
        prop_assert_eq!(terms.lifetime, Duration::from_secs(u64::from(smallest)));
    }

    #[test]
    fn ranges_lie_within_the_content(
        specs in vec((proptest::option::of(0_u64..40), proptest::option::of(0_u64..40)), 1..8),
        len in 0_u64..40,
    ) {
        let text = |end: &Option<u64>| end.map(|number| number.to_string()).unwrap_or_default();
        let specs: Vec<String> =
            specs.iter().map(|(first, last)| format!("{}-{}", text(first), text(last))).collect();
        let mut request = HeaderMap::new();
        let value = format!("bytes={}", specs.join(","));
        request.insert(header::RANGE, HeaderValue::from_str(&value).unwrap());
        let ranges = match select(&request, Cow::default, len, 6) {
            Ranges::One(range) => vec![range],
            Ranges::Many(ranges) => ranges,
            Ranges::Whole | Ranges::Unsatisfiable => Vec::new(),
        };
        prop_assert!(ranges.len() <= 6);
        for range in &ranges {
            prop_assert!(range.first <= range.last && range.last < len, "{range:?} of {len}");
        }
        // However they overlap, they cost at most twice the content.
        let sent: u64 = ranges.iter().map(|range| range.last - range.first + 1).sum();
        prop_assert!(sent <= 2 * len, "{sent} of {len}: {value}");
    }

    #[test]
    fn variants_are_equal_exactly_if_their_keys_are(
        a in any_fields(),
        b in any_fields(),
        vary in sample::subsequence(vec!["accept-language", "cookie", "foo"], 0..=3),
    ) {
        let names: Vec<HeaderName> = vary.into_iter().map(HeaderName::from_static).collect();
        let (of_a, of_b) = (Variant::of(&names, &a), Variant::of(&names, &b));
        prop_assert_eq!(of_a == of_b, of_a.key() == of_b.key());
        prop_assert_eq!(of_a == of_b, of_a.matches(&b, || None));
        let has_same_presence = names.iter().all(|name| a.contains_key(name) == b.contains_key(name));
        prop_assert!(of_a != of_b || has_same_presence);
    }

    #[test]
    fn a_request_in_normal_form_selects_what_the_original_does(
        request in any_fields(),
        vary in sample::subsequence(vec!["accept-encoding", "accept-language", "cookie", "foo"], 0..=4),
    ) {
        let names: Vec<HeaderName> = vary.into_iter().map(HeaderName::from_static).collect();
        let variant = Variant::of(&names, &request);
        let mut normal = request.clone();
        variant.write_to(&mut normal);
        prop_assert_eq!(&Variant::of(&names, &normal), &variant);
        prop_assert!(names.iter().all(|name| normal.get_all(name).iter().count() <= 1));
        let others = request.keys().filter(|name| !names.contains(name));
        for name in others {
            prop_assert!(normal.get_all(name).iter().eq(request.get_all(name).iter()), "{name}");
        }
    }

    #[test]
    fn a_date_that_is_written_is_read(seconds in 0_u64..300_000_000_000) {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        let read = fields::http_date(fields::render_date(time).as_bytes()).unwrap();
        prop_assert_eq!(read, time.min(std::time::UNIX_EPOCH + Duration::from_secs(253_402_300_799)));
    }

    #[test]
    fn freshening_keeps_what_belongs_to_the_content(stored in any_fields(), update in any_fields()) {
        let mut fresh = kept(&stored);
        let before = fresh.clone();
        freshen(&mut fresh, &update);
        for name in [header::ETAG, header::CONTENT_LENGTH, header::CONTENT_RANGE] {
            let values = |fields: &HeaderMap| fields.get_all(&name).iter().cloned().collect::<Vec<_>>();
            prop_assert_eq!(values(&fresh), values(&before));
        }
        // Once more changes nothing.
        let once = fresh.clone();
        freshen(&mut fresh, &update);
        prop_assert_eq!(fresh, once);
    }
}

#[test]
fn an_empty_line_selects_nothing_else() {
    let name = [header::COOKIE];
    let mut request = HeaderMap::new();
    request.append(header::COOKIE, "".parse().unwrap());
    request.append(header::COOKIE, "a=1".parse().unwrap());
    let variant = Variant::of(&name, &request);
    request.append(header::COOKIE, "".parse().unwrap());
    assert_eq!(Variant::of(&name, &request), variant);
    variant.write_to(&mut request);
    assert_eq!(request.get(header::COOKIE).unwrap(), "a=1");
    assert_eq!(Variant::of(&name, &request), variant);
}
