//! How much of what is asked for is found when there is room for a part of it only: the store beside a list by last use
//! and beside moka (W-TinyLFU with weights), on made-up traffic. Prints hits in percent, of requests and of bytes; times nothing.
//!
//! ```console
//! $ cargo bench --bench eviction
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder::clock::Clock;
use larder::config::Config;
use larder::key::CacheKey;
use larder::policy::freshness::Terms;
use larder::policy::validation::Validators;
use larder::policy::vary::Variant;
use larder::store::{Budget, Entry, Extent, Head, NewEntry, Resource, Sealed, Store};
use larder::validity::{Log, Stamp, Subjects};

const RESOURCES: u64 = 40_000;
const REQUESTS: usize = 600_000;
/// Requests before the count begins.
const WARM_UP: usize = REQUESTS / 5;
/// What a stored response takes beside its content, about, so that all have room for as many.
const BESIDE: u64 = 450;

/// Something that stores responses by number.
trait Cache {
    fn finds(&mut self, number: u64) -> bool;
    fn store(&mut self, number: u64, len: u64);
}

/// Larder's.
struct Ours {
    store: Arc<Store>,
    budget: Arc<Budget>,
    clock: Clock,
    log: Arc<Log>,
}

impl Ours {
    fn of(room: u64) -> Self {
        // What may be stored is 85 percent of the limit.
        let memory = room / 85 * 100;
        let text =
            format!("[cache]\nmemory = \"{memory}B\"\n[[upstream]]\nservers = [\"http://localhost\"]\n");
        let config = Config::from_str("eviction", &text).ok().unwrap().cache;
        let (budget, clock) = (Budget::new(memory), Clock::system());
        Self { store: Store::new(&config, budget.clone(), clock.clone()), budget, clock, log: Log::new() }
    }
}

impl Cache for Ours {
    fn finds(&mut self, number: u64) -> bool {
        let found = self.store.get(&key(number));
        found.iter().flat_map(Resource::variants).for_each(|entry| entry.count_hit());
        found.is_some()
    }

    fn store(&mut self, number: u64, len: u64) {
        let sent = self.log.published();
        let content = vec![7; usize::try_from(len).unwrap()];
        let entry = Entry::new(NewEntry {
            key: key(number),
            head: Head::pack(StatusCode::OK, &HeaderMap::new(), &self.budget).unwrap(),
            body: Sealed::concat(vec![self.budget.bytes(&content).unwrap()], &self.budget),
            extent: Extent::Whole,
            terms: Terms::fresh_for(Duration::from_secs(3600)),
            validators: Validators::default(),
            variant: Variant::default(),
            received: self.clock.moment(),
            received_wall: self.clock.wall(),
            marks: self.log.intern(&Subjects::address("h", &format!("h/{number}")), sent).unwrap(),
            stamp: Stamp::new(sent),
        });
        self.store.commit(entry.unwrap());
        self.store.tick();
        if number.is_multiple_of(1000) {
            self.log.sweep();
        }
    }
}

fn key(number: u64) -> CacheKey {
    CacheKey::of("http", "h", &format!("/{number}"))
}

/// What was asked for last stays.
#[derive(Default)]
struct ByLastUse {
    room: u64,
    used: u64,
    turn: u64,
    /// Turn and size by number.
    stored: HashMap<u64, (u64, u64)>,
    numbers: BTreeMap<u64, u64>,
}

impl Cache for ByLastUse {
    fn finds(&mut self, number: u64) -> bool {
        let Some((turn, _)) = self.stored.get_mut(&number) else { return false };
        self.turn += 1;
        self.numbers.remove(turn);
        self.numbers.insert(self.turn, number);
        *turn = self.turn;
        true
    }

    fn store(&mut self, number: u64, len: u64) {
        self.turn += 1;
        self.stored.insert(number, (self.turn, len + BESIDE));
        self.numbers.insert(self.turn, number);
        self.used += len + BESIDE;
        while self.used > self.room {
            let (_, oldest) = self.numbers.pop_first().expect("what takes room is listed");
            let (_, size) = self.stored.remove(&oldest).expect("what is listed is stored");
            self.used -= size;
        }
    }
}

struct Moka(moka::sync::Cache<u64, u64>);

impl Moka {
    fn of(room: u64) -> Self {
        let weigh = |_: &u64, len: &u64| u32::try_from(len + BESIDE).unwrap_or(u32::MAX);
        Self(moka::sync::Cache::builder().max_capacity(room).weigher(weigh).build())
    }
}

impl Cache for Moka {
    fn finds(&mut self, number: u64) -> bool {
        self.0.get(&number).is_some()
    }

    fn store(&mut self, number: u64, len: u64) {
        self.0.insert(number, len);
    }
}

/// Numbers at random, always the same ones.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// The same things all the time.
    Steady,
    /// What is popular is replaced four times.
    Moving,
    /// Three of ten are asked for once and never again.
    OneTimers,
    /// Now and then a crawler asks for everything once.
    Crawled,
}

/// Which numbers are asked for: ranks by Zipf's law, of what `kind` says.
fn trace(kind: Kind, exponent: f64) -> Vec<u64> {
    let mut random = Random(88_172_645_463_325_252);
    let weights = (1..=RESOURCES).scan(0.0, |sum, rank| {
        *sum += (rank as f64).powf(-exponent);
        Some(*sum)
    });
    let sums: Vec<f64> = weights.collect();
    let all = sums.last().copied().unwrap();
    let mut fresh = 1 << 40;
    let mut once = || {
        fresh += 1;
        fresh
    };
    let mut ask = |at: usize| {
        let share = random.share() * all;
        let rank = sums.partition_point(|sum| *sum < share) as u64;
        match kind {
            Kind::Steady => rank,
            Kind::Moving => rank + (at * 4 / REQUESTS) as u64 * RESOURCES,
            Kind::OneTimers if random.share() < 0.3 => once(),
            Kind::Crawled if at % (REQUESTS / 4) > REQUESTS / 4 / 10 * 9 => once(),
            Kind::OneTimers | Kind::Crawled => rank,
        }
    };
    (0..REQUESTS).map(&mut ask).collect()
}

/// Of 1,000 bytes, or of 500 to 50,000 with many small ones.
fn len(number: u64, mixed: bool) -> u64 {
    let share = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).share();
    if mixed { (500.0 * 100_f64.powf(share)) as u64 } else { 1000 }
}

/// Shares of requests and of bytes that were found, in percent.
fn run(cache: &mut dyn Cache, trace: &[u64], mixed: bool) -> (f64, f64) {
    let (mut hits, mut bytes, mut all_bytes) = (0, 0, 0);
    for (at, number) in trace.iter().enumerate() {
        let (found, len) = (cache.finds(*number), len(*number, mixed));
        if !found {
            cache.store(*number, len);
        }
        if at >= WARM_UP {
            all_bytes += len;
            (hits, bytes) = if found { (hits + 1, bytes + len) } else { (hits, bytes) };
        }
    }
    let percent = |part: u64, all: u64| part as f64 / all as f64 * 100.0;
    (percent(hits, (REQUESTS - WARM_UP) as u64), percent(bytes, all_bytes))
}

fn main() {
    println!("hits in percent of requests / of bytes; room for so much of {RESOURCES} resources\n");
    println!("| traffic, exponent | sizes | room | Larder | by last use | moka |");
    println!("|---|---|---:|---:|---:|---:|");
    for (name, kind, exponent) in [
        ("steady, 0.7", Kind::Steady, 0.7),
        ("steady, 1.0", Kind::Steady, 1.0),
        ("moving, 0.9", Kind::Moving, 0.9),
        ("one-timers, 0.9", Kind::OneTimers, 0.9),
        ("crawled, 0.9", Kind::Crawled, 0.9),
    ] {
        let trace = trace(kind, exponent);
        for mixed in [false, true] {
            let all: u64 = (0..RESOURCES).map(|number| len(number, mixed) + BESIDE).sum();
            for percent in [3, 15] {
                let room = all * percent / 100;
                let ours = run(&mut Ours::of(room), &trace, mixed);
                let list = run(&mut ByLastUse { room, ..ByLastUse::default() }, &trace, mixed);
                let moka = run(&mut Moka::of(room), &trace, mixed);
                let cell = |(requests, bytes): (f64, f64)| format!("{requests:.1} / {bytes:.1}");
                let sizes = if mixed { "0.5 to 50 kB" } else { "1 kB" };
                println!(
                    "| {name} | {sizes} | {percent} % | {} | {} | {} |",
                    cell(ours),
                    cell(list),
                    cell(moka)
                );
            }
        }
    }
}
