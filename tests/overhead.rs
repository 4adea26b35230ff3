//! What is charged against the memory limit is what the process takes: the store is filled, with the allocator that the
//! program uses, and the growth of the resident set, with the file in memory that long content is in, is held against the
//! budget.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder::clock::Clock;
use larder::config;
use larder::key::CacheKey;
use larder::policy::freshness::Terms;
use larder::policy::validation::Validators;
use larder::policy::vary::Variant;
use larder::store::{Budget, Entry, Extent, Head, NewEntry, Sealed, Store};
use larder::validity::{Log, Stamp, Subjects};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LIMIT: u64 = 1 << 30;

#[path = "../benches/support/memfile.rs"]
mod memfile;

/// Bytes of memory that the process has.
fn taken() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    field("VmRSS:") - field("RssShmem:") + memfile::bytes(std::process::id())
}

struct House {
    clock: Clock,
    log: Arc<Log>,
    budget: Arc<Budget>,
    store: Arc<Store>,
}

impl House {
    fn new() -> Self {
        let clock = Clock::system();
        let budget = Budget::new(LIMIT);
        let config = config::Cache {
            memory: LIMIT,
            max_object: LIMIT,
            max_variants: 8,
            keep: Duration::from_secs(600),
            retry_after_error: Duration::ZERO,
            max_ranges: 1,
            stream_window: 1,
            hit_for_miss: Duration::ZERO,
            tag_fields: Vec::new(),
            max_tags: 256,
            max_tag_length: 1024,
        };
        let store = Store::new(&config, budget.clone(), clock.clone());
        Self { clock, log: Log::new(), budget, store }
    }

    /// What an API sends: a head of its own for each, and two tags.
    fn put(&self, i: usize, content: &[u8]) {
        let url = format!("shop.example.com/products/{i}?currency=eur&view=full");
        let own = format!("product-{i}");
        self.store_under(&url, &["products", &own], &fields(i), Variant::default(), content);
    }

    /// What a server of files sends.
    fn put_plain(&self, i: usize, content: &[u8]) {
        self.put_file(i, Variant::default(), content);
    }

    /// The same from one that compresses.
    fn put_varying(&self, i: usize, content: &[u8]) {
        self.put_for(i, "gzip, br", content);
    }

    /// Each of its resources in two codings.
    fn put_both(&self, i: usize, content: &[u8]) {
        self.put_for(1_000_000 + i / 2, if i.is_multiple_of(2) { "br" } else { "identity" }, content);
    }

    fn put_for(&self, i: usize, codings: &'static str, content: &[u8]) {
        let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(codings))]);
        self.put_file(i, Variant::of(&[ACCEPT_ENCODING], &asked), content);
    }

    fn put_file(&self, i: usize, variant: Variant, content: &[u8]) {
        let date = if i.is_multiple_of(2) {
            "Sat, 21 Nov 2026 07:00:00 GMT"
        } else {
            "Sat, 21 Nov 2026 07:00:01 GMT"
        };
        let lines = [
            ("server", "nginx/1.26.3"),
            ("date", date),
            ("content-type", "application/json"),
            ("last-modified", "Sat, 21 Nov 2026 06:00:00 GMT"),
            ("etag", "\"67434a80-3e8\""),
            ("cache-control", "public, max-age=86400"),
            ("accept-ranges", "bytes"),
        ];
        let line = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let fields = lines.into_iter().map(line).collect();
        self.store_under(&format!("bench.example/plain/1000/{i}"), &[], &fields, variant, content);
    }

    fn store_under(&self, url: &str, tags: &[&str], fields: &HeaderMap, variant: Variant, content: &[u8]) {
        let sent = self.log.published();
        let (host, _) = url.split_once('/').unwrap();
        let subjects = Subjects { tags, ..Subjects::address(host, url) };
        let entry = NewEntry {
            key: CacheKey::of("https", host, url),
            head: Head::pack(StatusCode::OK, fields, &self.budget).unwrap(),
            body: Sealed::concat(
                content.chunks(1 << 16).map(|chunk| self.budget.bytes(chunk).unwrap()).collect(),
                &self.budget,
            ),
            extent: Extent::Whole,
            terms: terms(),
            validators: Validators::of(fields),
            variant,
            received: self.clock.moment(),
            received_wall: self.clock.wall(),
            marks: self.log.intern(&subjects, sent).unwrap(),
            stamp: Stamp::new(sent),
        };
        self.store.commit(Entry::new(entry).unwrap());
    }
}

fn fields(i: usize) -> HeaderMap {
    let lines = [
        ("date", "Sat, 21 Nov 2026 07:00:00 GMT".to_owned()),
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("cache-control", "public, max-age=300, stale-while-revalidate=60".to_owned()),
        ("etag", format!("\"{i:032x}\"")),
        ("last-modified", "Sat, 21 Nov 2026 06:00:00 GMT".to_owned()),
        ("x-request-id", format!("{i:024x}")),
        ("x-powered-by", "example".to_owned()),
        ("strict-transport-security", "max-age=31536000".to_owned()),
    ];
    let line = |(name, value): (&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap())
    };
    lines.into_iter().map(line).collect()
}

fn terms() -> Terms {
    Terms { stale_while_revalidate: Duration::from_secs(60), ..Terms::fresh_for(Duration::from_secs(300)) }
}

#[test]
fn what_is_charged_is_what_is_taken() {
    // In one test, and nothing is let go meanwhile: what is taken is the process's.
    let house = House::new();
    house.put(usize::MAX, b"what is set up once is not counted");
    let mut stored = 0;
    let put: [fn(&House, usize, &[u8]); 4] =
        [House::put, House::put_plain, House::put_varying, House::put_both];
    let [api, files, varying, both] = put;
    // So many of the short ones that the steps in which tables grow weigh little.
    for (put, count, len) in [
        (files, 60_000, 256),
        (files, 60_000, 1_000),
        (files, 60_000, 0),
        (varying, 60_000, 1_000),
        (both, 60_000, 1_000),
        (api, 60_000, 100),
        (api, 30_000, 1_024),
        (api, 1_000, 20_000),
        (api, 300, 200_000),
    ] {
        let content = vec![7; len];
        let before = (taken(), house.budget.used());
        for i in stored..stored + count {
            put(&house, i, &content);
        }
        stored += count;
        house.store.tick();
        let per = |after: u64, before: u64| after.saturating_sub(before) / count as u64;
        let (taken, charged) = (per(self::taken(), before.0), per(house.budget.used(), before.1));
        println!("{count} x {len} bytes: {taken} taken, {charged} charged each");
        assert!(taken <= charged + charged / 10, "{len} bytes: {taken} taken, {charged} charged");
        assert!(charged <= taken + taken / 3, "{len} bytes: {taken} taken, {charged} charged");
    }
    assert!(house.store.figures().entries > stored as u64 * 99 / 100, "nothing had to go");
}
