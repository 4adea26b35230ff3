//! What is asked for: the table of workloads.

use crate::requests::Pick;

/// A workload: who asks for what, in which house.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The origin's path, with `#` for a number; `/KIND/SIZE/...`.
    pub(crate) path: &'static str,
    /// Of the resource, in bytes.
    pub(crate) size: usize,
    pub(crate) ask: Ask,
    pub(crate) pick: Pick,
    /// What is asked for before the first round: everything that is asked for again, and fresh ones to fill the store.
    pub(crate) fill: Fill,
    pub(crate) connections: usize,
    /// At `--rate` instead of as fast as it goes.
    pub(crate) paced: bool,
    pub(crate) house: House,
    /// The share of requests that should reach the origin.
    pub(crate) to_origin: f64,
    pub(crate) floor: Floor,
    /// The workload that Larder's figure is held against. Larder has that, too, in each round of this one, since seconds later
    /// the machine may be another.
    pub(crate) beside: Option<&'static str>,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    Plain,
    /// With the validator: answered 304.
    IfNoneMatch,
    /// The 512 bytes from byte 256: answered 206.
    Range,
    /// The number goes into the field that the resource varies on.
    Variant,
}

/// What is stored beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    /// Asked for in turn, once.
    pub(crate) known: u64,
    /// Never asked for again: they make the store full.
    pub(crate) fresh: u64,
}

/// The servers that workloads share: those in one house meet the same servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct House {
    pub(crate) name: &'static str,
    pub(crate) memory_mib: u64,
    pub(crate) log: bool,
}

/// What it can be compared with at the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Servers that answer every request with the same bytes as Larder.
    Answer,
    /// A bare hyper proxy.
    Proxy,
    /// Nothing simpler does the same.
    None,
}

const PLAIN: Option<&str> = Some("hit-1k");
const HITS: House = House { name: "hits", memory_mib: 256, log: false };
const LOGGED: House = House { name: "logged", memory_mib: 256, log: true };
const MISSES: House = House { name: "misses", memory_mib: 512, log: false };
const EVICTING: House = House { name: "evicting", memory_mib: 64, log: false };

const fn hit(
    name: &'static str,
    about: &'static str,
    path: &'static str,
    size: usize,
    objects: u64,
) -> Workload {
    Workload {
        name,
        about,
        path,
        size,
        ask: Ask::Plain,
        pick: Pick::Cycle(objects),
        fill: Fill { known: objects, fresh: 0 },
        connections: 64,
        paced: false,
        house: HITS,
        to_origin: 0.0,
        floor: Floor::Answer,
        beside: None,
    }
}

/// The workload of this name.
pub(crate) fn named(name: &str) -> Option<Workload> {
    all().into_iter().chain(growth()).find(|workload| workload.name == name)
}

/// What `scripts/bench` runs.
pub(crate) fn all() -> Vec<Workload> {
    vec![
        hit("hit-256", "hits of 256 B", "/plain/256/#", 256, 100),
        hit("hit-1k", "hits of 1 KiB", "/plain/1024/#", 1024, 100),
        hit("hit-64k", "hits of 64 KiB", "/plain/65536/#", 65536, 20),
        hit("hit-1m", "hits of 1 MiB", "/plain/1048576/#", 1 << 20, 4),
        Workload {
            ask: Ask::IfNoneMatch,
            beside: PLAIN,
            ..hit("304", "304 for a hit of 1 KiB", "/plain/1024/#", 1024, 100)
        },
        Workload {
            ask: Ask::Range,
            beside: PLAIN,
            ..hit("range", "512 B of a hit of 1 KiB", "/plain/1024/#", 1024, 100)
        },
        Workload { beside: PLAIN, ..hit("tags", "hits of 1 KiB with 8 tags", "/tagged/1024/#", 1024, 100) },
        Workload {
            house: LOGGED,
            beside: PLAIN,
            ..hit("log", "hits of 1 KiB, access log on", "/plain/1024/#", 1024, 100)
        },
        Workload {
            connections: 1000,
            ..hit("1000", "hits of 1 KiB, 1,000 connections", "/plain/1024/#", 1024, 100)
        },
        Workload { paced: true, ..hit("rate", "hits of 1 KiB at a fixed rate", "/plain/1024/#", 1024, 100) },
        miss("miss", "new URLs, 1 KiB, through to the origin", 64),
        Workload {
            pick: Pick::Mixed(10_000),
            fill: Fill { known: 10_000, fresh: 20_000 },
            house: EVICTING,
            to_origin: 0.1,
            floor: Floor::None,
            ..hit("mixed", "4 KiB, Zipf over 10,000, 10% new, 64 MiB: evicting", "/plain/4096/#", 4096, 0)
        },
    ]
}

/// What `scripts/bench --growth` runs: what should cost the same however many there are.
pub(crate) fn growth() -> Vec<Workload> {
    vec![
        grown("grow-1k", "hits among 1,000 objects of 256 B", 1_000),
        grown("grow-100k", "hits among 100,000 objects of 256 B", 100_000),
        Workload {
            beside: Some("grow-1k"),
            ..grown("grow-1m", "hits among 1,000,000 objects of 256 B", 1_000_000)
        },
        crowd("waiters-1", "new URLs, each asked for once, 64 connections", 1),
        crowd("waiters-64", "new URLs, each asked for by 64 at once", 64),
        variants("variants-1", "one resource with 1 variant", 1),
        variants("variants-64", "one resource with 64 variants", 64),
    ]
}

const fn miss(name: &'static str, about: &'static str, connections: usize) -> Workload {
    Workload {
        pick: Pick::Fresh,
        house: MISSES,
        connections,
        to_origin: 1.0,
        floor: Floor::Proxy,
        ..hit(name, about, "/plain/1024/#", 1024, 0)
    }
}

const fn grown(name: &'static str, about: &'static str, objects: u64) -> Workload {
    Workload {
        pick: Pick::Uniform(objects),
        house: House { name, memory_mib: 4000, log: false },
        ..hit(name, about, "/plain/256/#", 256, objects)
    }
}

const fn crowd(name: &'static str, about: &'static str, size: u64) -> Workload {
    Workload {
        pick: Pick::Crowd(size),
        to_origin: 1.0 / size as f64,
        floor: Floor::None,
        ..miss(name, about, 64)
    }
}

const fn variants(name: &'static str, about: &'static str, count: u64) -> Workload {
    Workload { ask: Ask::Variant, ..hit(name, about, "/varied/1024/x", 1024, count) }
}

impl Workload {
    /// The request's own fields and the path, with `#` for the number.
    pub(crate) fn request(&self, etag: &str) -> (String, String) {
        let fields = match self.ask {
            Ask::Plain => String::new(),
            Ask::IfNoneMatch => format!("If-None-Match: {etag}\r\n"),
            Ask::Range => "Range: bytes=256-767\r\n".to_owned(),
            Ask::Variant => "X-Variant: #\r\n".to_owned(),
        };
        (self.path.to_owned(), fields)
    }

    /// Status of the answers and which part of the resource they carry.
    pub(crate) fn answer(&self) -> (u16, std::ops::Range<usize>) {
        match self.ask {
            Ask::Plain | Ask::Variant => (200, 0..self.size),
            Ask::IfNoneMatch => (304, 0..0),
            Ask::Range => (206, 256..768),
        }
    }
}
