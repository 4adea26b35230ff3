//! The steps of a hit one by one, in nanoseconds (criterion): key, lookup, liveness, directives, plan, preconditions,
//! ranges, head; what a line of the access log takes of a serving thread; and what a purge costs.
//!
//! `cargo bench --bench micro`, or `cargo bench --bench micro -- key` for those with that in their name.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on is to stop")]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

use larder::clock::Clock;
use larder::config::{self, Config, LogFormat};
use larder::key::CacheKey;
use larder::policy::{
    Exchange, RequestDirectives, ResponseDirectives, Rules, Stored, Target, Terms, Validators, Variant, Vary,
    evaluate, judge, select, terms,
};
use larder::store::{Budget, Entry, Extent, Head, NewEntry, Sealed, Store};
use larder::telemetry::{Asked, Decision, Labels, Record, Telemetry};
use larder::validity::{Fact, Kind, Log, Stamp, Subject, Subjects};

const TAGS: [&str; 8] =
    ["product-1", "product-2", "category-3", "brand-4", "shop-5", "price-6", "stock-7", "page-8"];
/// Stored responses in the lookup.
const ENTRIES: usize = 100_000;

criterion_group!(benches, keys, lookup, liveness, directives, plan, conditions, head, log, purge);
criterion_main!(benches);

fn keys(c: &mut Criterion) {
    c.bench_function("key: of a short URL", |b| {
        b.iter(|| CacheKey::of("http", black_box("api.example.com"), black_box("/products/42?view=full")));
    });
}

fn lookup(c: &mut Criterion) {
    let kitchen = Kitchen::new();
    let keys: Vec<CacheKey> =
        (0..ENTRIES).map(|i| CacheKey::of("http", "api.example.com", &format!("/{i}"))).collect();
    for key in &keys {
        let entry = NewEntry { key: *key, ..kitchen.entry(&[]) };
        kitchen.store.commit(Entry::new(entry).unwrap());
    }
    let missing = CacheKey::of("http", "api.example.com", "/nothing");
    let mut next = 0;
    c.bench_function("lookup: one of 100,000", |b| {
        b.iter(|| {
            // A prime stride: no order that a processor's cache could learn.
            next = (next + 7919) % keys.len();
            kitchen.store.get(black_box(&keys[next]))
        });
    });
    c.bench_function("lookup: of nothing", |b| b.iter(|| kitchen.store.get(black_box(&missing))));
}

fn liveness(c: &mut Criterion) {
    let kitchen = Kitchen::new();
    for (name, tags) in [("no tag", &TAGS[..0]), ("8 tags", &TAGS[..])] {
        let entry = Entry::new(kitchen.entry(tags)).unwrap();
        c.bench_function(&format!("liveness: {name}, nothing purged since"), |b| {
            b.iter(|| kitchen.log.check(black_box(&entry.marks), black_box(&entry.stamp)));
        });
        c.bench_function(&format!("liveness: {name}, something else purged since"), |b| {
            b.iter_batched(
                || {
                    let stamp = Stamp::new(kitchen.log.published());
                    kitchen.purge(Subject::Tag("something-else"));
                    stamp
                },
                |stamp| kitchen.log.check(black_box(&entry.marks), &stamp),
                criterion::BatchSize::SmallInput,
            );
        });
    }
}

fn directives(c: &mut Criterion) {
    let response = response();
    let request = request();
    c.bench_function("directives: of a response", |b| {
        b.iter(|| ResponseDirectives::parse(black_box(&response)))
    });
    c.bench_function("directives: of a request without any", |b| {
        b.iter(|| RequestDirectives::parse(black_box(&request)));
    });
}

fn plan(c: &mut Criterion) {
    let (request, response) = (request(), response());
    let terms = lasting_terms(&request, &response);
    let client = RequestDirectives::parse(&request);
    c.bench_function("plan: whether a response may be stored", |b| {
        b.iter(|| lasting_terms(black_box(&request), black_box(&response)));
    });
    c.bench_function("plan: whether a stored one may be delivered", |b| {
        b.iter(|| {
            let stored =
                Stored { terms: black_box(&terms), resident: Duration::from_secs(5), softened: None };
            judge(&stored, black_box(&client))
        });
    });
}

fn conditions(c: &mut Criterion) {
    let stored = Validators::of(&response());
    let with = |name: &'static str, value: &'static str| {
        let mut request = request();
        request.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        request
    };
    let now = SystemTime::now();
    for (name, request) in [("none", request()), ("If-None-Match", with("if-none-match", "\"7f3a\""))] {
        c.bench_function(&format!("preconditions: {name}"), |b| {
            b.iter(|| evaluate(black_box(&request), black_box(&stored), now));
        });
    }
    let range = with("range", "bytes=256-767");
    c.bench_function("range: one", |b| {
        b.iter(|| select(black_box(&range), || Cow::Borrowed(&stored), 1024, 16))
    });
}

fn head(c: &mut Criterion) {
    let kitchen = Kitchen::new();
    let fields = response();
    let packed = Head::pack(StatusCode::OK, &fields, &kitchen.budget).unwrap();
    let mut out = HeaderMap::new();
    c.bench_function("head: into the map of an answer", |b| {
        b.iter(|| {
            out.clear();
            packed.fields().write_to(black_box(&mut out));
        });
    });
    c.bench_function("head: packed to be stored", |b| {
        b.iter(|| Head::pack(StatusCode::OK, black_box(&fields), &kitchen.budget));
    });
}

fn log(c: &mut Criterion) {
    let (clock, fields) = (Clock::system(), request());
    for (name, access) in [("none", None), ("text", Some(LogFormat::Text)), ("json", Some(LogFormat::Json))] {
        let file = Some("/dev/null".into());
        let log = config::Log { filter: String::new(), format: LogFormat::Text, access, access_file: file };
        let labels = Labels { routes: vec!["default"], ..Labels::default() };
        let telemetry = Telemetry::new(&log, &clock, &labels).unwrap();
        let answer = |received| {
            let line = telemetry.access_log().map(|log| {
                log.line(&Asked {
                    client: ([127, 0, 0, 1], 50_000).into(),
                    time: clock.wall(),
                    method: &Method::GET,
                    host: black_box(b"api.example.com"),
                    target: black_box(b"/products/42?view=full"),
                    version: Version::HTTP_11,
                    fields: &fields,
                })
            });
            let ended = if line.is_some() { clock.moment() } else { received };
            telemetry.finish(&mut Record {
                decision: Decision::hit(3600),
                status: StatusCode::OK,
                method: Method::GET,
                received,
                first_byte: Some(received),
                ended,
                bytes: 1024,
                aborted: false,
                route: Some(0),
                upstream: None,
                line,
            });
        };
        let now = clock.moment();
        c.bench_function(&format!("log: end of a request, access log {name}"), |b| {
            b.iter(|| answer(black_box(now)))
        });
        if !telemetry.render_metrics().contains("larder_dropped_log_lines_total 0\n") {
            println!("the machine is busy: some lines were dropped, which takes less time");
        }
    }
}

fn purge(c: &mut Criterion) {
    let kitchen = Kitchen::new();
    // Somebody must hold the tag, or there would be nothing to tell.
    let _held = kitchen.entry(&TAGS);
    c.bench_function("purge: a tag", |b| b.iter(|| kitchen.purge(black_box(Subject::Tag("product-1")))));
    c.bench_function("purge: a URL", |b| {
        b.iter(|| kitchen.purge(black_box(Subject::Url("api.example.com/products/42"))));
    });
}

/// A store with what belongs to it.
struct Kitchen {
    budget: Arc<Budget>,
    store: Arc<Store>,
    log: Arc<Log>,
    clock: Clock,
}

impl Kitchen {
    fn new() -> Self {
        let config = Config::from_str(
            "micro",
            "[cache]\nmemory = \"1GiB\"\n[[upstream]]\nservers = [\"http://localhost\"]\n",
        );
        let config = config.ok().unwrap().cache;
        let (budget, clock) = (Budget::new(config.memory), Clock::system());
        let store = Store::new(&config, budget.clone(), clock.clone());
        Self { budget, store, log: Log::new(), clock }
    }

    fn entry(&self, tags: &[&str]) -> NewEntry {
        let (request, response) = (request(), response());
        let sent = self.log.published();
        let subjects =
            Subjects { tags, ..Subjects::address("api.example.com", "api.example.com/products/42") };
        NewEntry {
            key: CacheKey::of("http", "api.example.com", "/products/42"),
            head: Head::pack(StatusCode::OK, &response, &self.budget).unwrap(),
            body: Sealed::concat(vec![self.budget.bytes(&[b'x'; 1024]).unwrap()], &self.budget),
            extent: Extent::Whole,
            terms: lasting_terms(&request, &response),
            validators: Validators::of(&response),
            variant: Variant::of(&[], &request),
            received: self.clock.moment(),
            received_wall: self.clock.wall(),
            marks: self.log.intern(&subjects, sent).unwrap(),
            stamp: Stamp::new(sent),
        }
    }

    fn purge(&self, subject: Subject<'_>) {
        self.log.publish(&[Fact { subject, kind: Kind::Hard }], self.clock.moment());
    }
}

fn lasting_terms(request: &HeaderMap, response: &HeaderMap) -> Terms {
    let exchange = Exchange {
        target: Target { scheme: "http", authority: "api.example.com", path: "/products/42" },
        method: &Method::GET,
        request,
        status: StatusCode::OK,
        response,
        validators: &Validators::of(response),
        vary: &Vary::parse(response),
        rules: &Rules::default(),
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        delay: Duration::from_millis(20),
    };
    terms(&exchange).ok().unwrap()
}

fn request() -> HeaderMap {
    fields(&[
        ("host", "api.example.com"),
        ("user-agent", "bench/1"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, br"),
    ])
}

fn response() -> HeaderMap {
    fields(&[
        ("content-type", "application/json"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("etag", "\"7f3a\""),
        ("cache-control", "public, max-age=86400, stale-while-revalidate=60"),
        ("content-length", "1024"),
    ])
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}
