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

#[test]
fn it_is_charged_as_long_as_it_is_held() {
    assert!(Head::pack(StatusCode::OK, &fields(), &Budget::new(30)).is_none());
    let budget = Budget::new(10_000);
    let head = Head::pack(StatusCode::OK, &fields(), &budget).unwrap();
    let size = head.fields().to_packed().size();
    assert_eq!(budget.used(), size as u64);
    let copy = Head::charged(head.status(), head.fields().to_packed(), &budget).unwrap();
    assert_eq!((copy.packed(), budget.used()), (head.packed(), 2 * size as u64));
    drop(head);
    assert_eq!(budget.used(), size as u64);
    drop(copy);
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_head_without_fields_takes_no_room() {
    let head = Head::pack(StatusCode::NO_CONTENT, &HeaderMap::new(), &Budget::new(0)).unwrap();
    assert!(head.fields().is_empty() && head.fields().to_map().is_empty());
}

#[test]
fn trailers_are_copied_and_charged() {
    let budget = Budget::new(10_000);
    let packed = packed_trailers(&fields(), &budget).unwrap();
    assert_eq!(packed, fields());
    assert!(budget.used() > 5 * 100);
    drop(packed);
    assert_eq!(budget.used(), 0);
}
