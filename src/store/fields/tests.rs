use super::*;

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.append("set-cookie", HeaderValue::from_static("a=1"));
    fields.append("x-own", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    fields.append("x-empty", HeaderValue::from_static(""));
    fields.append("set-cookie", HeaderValue::from_static("b=2"));
    fields.append("date", HeaderValue::from_static("Sat, 21 Nov 2026 07:00:00 GMT"));
    fields
}

fn packed(fields: &HeaderMap) -> Option<PackedFields> {
    PackedFields::pack(fields)
}

/// A head of one field, and whether it comes out as it went in.
fn survives(name: &str, value: &[u8]) -> Option<bool> {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    let fields = HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())]);
    packed(&fields).map(|head| head.view().to_map() == fields)
}

#[test]
fn order_repeats_and_bytes_survive() {
    let head = packed(&fields()).unwrap();
    assert_eq!(head.view().to_map(), fields());
    assert_eq!(head.view().len(), 5);
    assert_eq!(head.view().get(&http::header::SET_COOKIE).unwrap(), "a=1");
    assert_eq!(head.view().get(&http::header::ETAG), None);
}

#[test]
fn it_tells_the_same_validators_as_its_fields() {
    let lines = [
        ("etag", "\"a\""),
        ("etag", "Sat, 21 Nov 2026 07:00:00 GMT"),
        ("last-modified", "Sat, 21 Nov 2026 07:00:00 GMT"),
        ("last-modified", "Saturday, 21-Nov-26 07:00:00 GMT"),
        ("date", "Sat, 21 Nov 2026 07:00:01 GMT"),
        ("date", "now"),
    ];
    for choice in 0..1 << lines.len() {
        let chosen = lines.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1);
        let mut fields = HeaderMap::new();
        for (_, (name, value)) in chosen {
            fields.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(packed(&fields).unwrap().view().validators(), Validators::of(&fields), "{fields:?}");
    }
}

#[test]
fn lines_that_all_heads_have_are_a_number() {
    let fields = HeaderMap::from_iter([(
        http::header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    )]);
    let heads: Vec<PackedFields> = (0..10).map(|_| packed(&fields).unwrap()).collect();
    assert!(heads.iter().all(|head| head.view().to_map() == fields));
    assert!(heads.last().unwrap().0.len() <= 2);
}

#[test]
fn numbers_of_both_lengths_are_read_as_they_were_written() {
    let fields: HeaderMap = (0..200_u32)
        .map(|i| (HeaderName::from_static("x-numbered"), HeaderValue::from(i)))
        .chain([(header::ETAG, HeaderValue::from_static("\"a\""))])
        .collect();
    let heads: Vec<PackedFields> = (0..10).map(|_| packed(&fields).unwrap()).collect();
    assert!(heads.iter().all(|head| head.view().to_map() == fields));
    let last = heads.last().unwrap().0.len();
    // Some share a slot in which they are counted, and go without.
    assert!((200..=500).contains(&last), "{last}");
}

#[test]
fn a_date_is_a_number_only_if_that_is_all_it_says() {
    let packed_len = |value: &'static str| {
        assert_eq!(survives("last-modified", value.as_bytes()), Some(true), "{value}");
        packed(&HeaderMap::from_iter([(http::header::LAST_MODIFIED, HeaderValue::from_static(value))]))
            .map(|head| head.0.len())
    };
    assert_eq!(packed_len("Sat, 21 Nov 2026 07:00:00 GMT"), Some(6));
    assert_eq!(packed_len("Sun, 21 Nov 2026 07:00:00 GMT"), Some(31), "of another day of the week");
}

#[test]
fn names_without_a_number_are_written_out() {
    let names = (0..600).map(|i| HeaderName::from_bytes(format!("x-{i}").as_bytes()).unwrap());
    let fields: HeaderMap = names.map(|name| (name, HeaderValue::from_static("v"))).collect();
    assert_eq!(packed(&fields).unwrap().view().to_map(), fields);
    assert_eq!(lexicon::number_of_name(&HeaderName::from_static("x-599")), None);
}

#[test]
fn values_of_every_length_survive_up_to_what_a_connection_takes_in() {
    for len in [0, 1, 252, 253, 254, 255, 256, 257, 65_535] {
        assert_eq!(survives("x-long", &vec![b'v'; len]), Some(true), "{len}");
    }
    assert_eq!(survives("x-long", &vec![b'v'; 65_536]), None);
}
