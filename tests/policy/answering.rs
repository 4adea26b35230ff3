//! How a request is answered from a response: `precondition`, `range`.

use std::borrow::Cow;

use http::header::CONTENT_RANGE;
use larder::policy::{
    ByteRange, ContentRange, Precondition, Ranges, Validators, evaluate, select, strip_conditions,
};

use crate::sheet::{Sheet, fields, lines, received, row, same};

row!(PreconditionRow {
    stored: Vec<String>,
    request: Vec<String>,
    /// `proceed`, `not-modified` or `failed`.
    comes_to: String,
} check(row) {
    let stored = Validators::of(&fields(&row.stored));
    let comes_to = match evaluate(&fields(&row.request), &stored, received()) {
        Precondition::Proceed => "proceed",
        Precondition::NotModified => "not-modified",
        Precondition::Failed => "failed",
    };
    same("comes_to", row.comes_to.as_str(), comes_to)
});

row!(StripRow {
    request: Vec<String>,
    left: Vec<String>,
} check(row) {
    let mut request = fields(&row.request);
    strip_conditions(&mut request);
    same("left", row.left.clone(), lines(&request))
});

#[test]
fn precondition() {
    Sheet::open("precondition.toml").check::<PreconditionRow>("row").check::<StripRow>("strip").finish();
}

/// `0-4`, `0-0 9-9`, `whole` or `unsatisfiable`.
fn describe(ranges: &Ranges) -> String {
    let one = |range: &ByteRange| format!("{}-{}", range.first, range.last);
    match ranges {
        Ranges::Whole => "whole".to_owned(),
        Ranges::One(range) => one(range),
        Ranges::Many(ranges) => ranges.iter().map(one).collect::<Vec<_>>().join(" "),
        Ranges::Unsatisfiable => "unsatisfiable".to_owned(),
    }
}

row!(SelectRow {
    #[serde(default)]
    stored: Vec<String>,
    request: Vec<String>,
    #[serde(default = "ten")]
    len: u64,
    #[serde(default = "many")]
    max_ranges: usize,
    sent: String,
} check(row) {
    let stored = Validators::of(&fields(&row.stored));
    let found = select(&fields(&row.request), || Cow::Borrowed(&stored), row.len, row.max_ranges);
    same("sent", row.sent.clone(), describe(&found))
});

fn ten() -> u64 {
    10
}

fn many() -> usize {
    16
}

row!(ContentRangeRow {
    value: Vec<String>,
    /// As it is written again, or `none`.
    read: String,
} check(row) {
    let found = ContentRange::parse(&fields(&row.value));
    let found = found.map_or("none".to_owned(), |found| {
        let value = found.render();
        // What we write, we read.
        let again = [(CONTENT_RANGE, value.clone())].into_iter().collect();
        assert_eq!(ContentRange::parse(&again), Some(found));
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    });
    same("read", row.read.clone(), found)
});

#[test]
fn range() {
    Sheet::open("range.toml").check::<SelectRow>("select").check::<ContentRangeRow>("content_range").finish();
}

#[test]
fn a_416_tells_the_length() {
    assert_eq!(ContentRange::unsatisfied(10), "bytes */10");
    assert_eq!(ContentRange::unsatisfied(u64::MAX), "bytes */18446744073709551615");
}
