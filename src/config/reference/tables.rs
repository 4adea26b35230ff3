//! The tables themselves.

use super::Default::{Computed, Is, Required, Unset};
use super::{Default, Key, Kind, Table};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// For durations that cannot be nothing: from a millisecond to a day.
const A_WHILE: (u64, u64) = (1, 86_400_000);

/// Every table of the file, in the order of the reference.
pub(in crate::config) static TABLES: &[&Table] = &[&SERVER, &ADMIN, &PURGE, &CACHE, &LOG, &UPSTREAM, &ROUTE];

pub(in crate::config) static SERVER: Table =
    Table { name: "server", repeated: false, doc: "The listener that clients talk to.", keys: SERVER_KEYS };
pub(in crate::config) static ADMIN: Table = Table {
    name: "admin",
    repeated: false,
    doc: "The second listener, for people and machines that look after this one.",
    keys: ADMIN_KEYS,
};
pub(in crate::config) static PURGE: Table = Table {
    name: "purge",
    repeated: false,
    doc: "Who may purge, and how much at once. See docs/purging.md.",
    keys: PURGE_KEYS,
};
pub(in crate::config) static CACHE: Table =
    Table { name: "cache", repeated: false, doc: "The store and its limits.", keys: CACHE_KEYS };
pub(in crate::config) static LOG: Table = Table {
    name: "log",
    repeated: false,
    doc: "The process log, on standard error, and the access log.",
    keys: LOG_KEYS,
};
pub(in crate::config) static UPSTREAM: Table = Table {
    name: "upstream",
    repeated: true,
    doc: "Where requests go that are not answered from the store; at least one.",
    keys: UPSTREAM_KEYS,
};
pub(in crate::config) static ROUTE: Table = Table {
    name: "route",
    repeated: true,
    doc: "Which requests go where, and how they are cached; the first that matches counts. With a single upstream, \
          what no route takes goes there under these defaults; with several, it is refused.",
    keys: ROUTE_KEYS,
};

/// Within a route: `heuristic = { .. }`.
pub(in crate::config) static HEURISTIC: Table = Table {
    name: "route.heuristic",
    repeated: false,
    doc: "A share of the time since Last-Modified, with a cap.",
    keys: &[
        key("fraction", Kind::Fraction, Is("0.1"), "The share."),
        key("max", Kind::Duration, Is("\"1d\""), "The longest heuristic lifetime."),
    ],
};

const SERVER_KEYS: &[Key] = &[
    key(
        "listen",
        Kind::Address,
        Is("\"127.0.0.1:8080\""),
        "Where to accept clients: an address or a list of them.",
    )
    .also(&["address", "addr", "bind", "port"]),
    key(
        "threads",
        Kind::Count,
        Computed { meaning: "the cores available", example: "4" },
        "Serving threads.",
    )
    .between(1, 1024)
    .also(&["workers", "worker_threads"]),
    key(
        "runtime",
        Kind::Choice(&["per-thread", "shared"]),
        Is("\"per-thread\""),
        "How connections come to threads. \"per-thread\": the kernel deals them out, and each stays with its thread; the \
         least work per request. \"shared\": whoever is free serves whichever has a request, which suits a few \
         connections that are unequally busy.",
    )
    .also(&["scheduler"]),
    key("name", Kind::Token, Is("\"larder\""), "What this cache is called in Cache-Status and Via."),
    key(
        "instance",
        Kind::Token,
        Computed { meaning: "random, anew at each start", example: "\"larder-1\"" },
        "What this process is called in CDN-Loop, by which it knows requests that it has sent itself.",
    ),
    key(
        "trusted_proxies",
        Kind::Network,
        Is("[]"),
        "Peers whose Forwarded, X-Forwarded-* and rewriting fields are believed: networks or addresses.",
    ),
    key(
        "header_timeout",
        Kind::Duration,
        Is("\"30s\""),
        "How long a client may take to send a request head, and how long its idle connection is kept.",
    )
    .within(A_WHILE)
    .also(&["read_timeout", "keepalive_timeout"]),
    key(
        "stall_timeout",
        Kind::Duration,
        Is("\"60s\""),
        "How long a client may go without taking a byte of an answer that is waiting for it.",
    )
    .within(A_WHILE)
    .also(&["write_timeout", "send_timeout"]),
    key("max_head", Kind::Size, Is("\"64KiB\""), "The largest request head; what is larger is answered 431.")
        .between(8 * KIB, MIB),
    key("max_fields", Kind::Count, Is("100"), "The most fields in a request head; more are answered 431.")
        .between(8, 4096),
    key(
        "max_target",
        Kind::Size,
        Is("\"8KiB\""),
        "The longest request target; what is longer is answered 414.",
    )
    .between(64, 65_534),
    key("max_connections", Kind::Count, Is("16384"), "The most open client connections, over all threads.")
        .between(1, 10_000_000),
    key("drain_timeout", Kind::Duration, Is("\"30s\""), "How long a graceful end waits for open requests.")
        .within((0, A_WHILE.1)),
];

const ADMIN_KEYS: &[Key] = &[
    key(
        "listen",
        Kind::AddressOrOff,
        Is("\"127.0.0.1:8081\""),
        "Where to listen, or \"off\". Any but a loopback address needs a token; see [purge].",
    )
    .also(&["address", "addr", "bind", "port"]),
    key("hosts", Kind::Host, Is("[]"), "Accepted in Host beside loopback addresses and localhost."),
    key(
        "probe_listen",
        Kind::AddressOrOff,
        Is("\"off\""),
        "Offers /healthz, /readyz and /metrics, and nothing else, where an orchestrator can reach it; any address.",
    ),
];

const PURGE_KEYS: &[Key] = &[
    key(
        "token_file",
        Kind::File,
        Unset { meaning: "no token but the one in the environment variable LARDER_TOKEN, if it is set", example: "\"tokens\"" },
        "Bearer tokens: one a line, with a name before it if you like, which then stands in the audit log. Read again \
         when it changes; a relative path starts from this file's directory.",
    )
    .also(&["token", "tokens", "secret", "key"]),
    key(
        "allow",
        Kind::Network,
        Is("[]"),
        "Peers whose PURGE requests are taken without a token: networks or addresses. Void for requests that have \
         passed a proxy, as Forwarded, X-Forwarded-For or Via tell.",
    )
    .also(&["acl", "allowed", "trusted"]),
    key("max_targets", Kind::Count, Is("1000"), "The most targets of one purge.").between(1, 100_000),
    key("max_body", Kind::Size, Is("\"256KiB\""), "The longest content of a purge request.").between(KIB, 64 * MIB),
    key(
        "refresh_entries",
        Kind::Count,
        Is("100"),
        "The most entries that are fetched anew after a soft purge with `refresh`; those asked for most come first.",
    )
    .between(1, 1_000_000),
    key("refresh_concurrency", Kind::Count, Is("4"), "The most of these fetches at once.").between(1, 1024),
];

const CACHE_KEYS: &[Key] = &[
    key(
        "memory",
        Kind::Size,
        Computed {
            meaning: "a quarter of what the process may use, at least 64MiB, at most 1GiB",
            example: "\"256MiB\"",
        },
        "The ceiling for everything that the cache holds.",
    )
    .between(MIB, 1024 * GIB)
    .also(&["size", "max_memory", "max_size", "capacity"]),
    key(
        "max_object",
        Kind::Size,
        Computed { meaning: "16MiB, or a quarter of `memory` if that is less", example: "\"16MiB\"" },
        "The longest content that is stored; at most half of `memory`.",
    )
    .between(1, 512 * GIB)
    .also(&["max_object_size", "max_size"]),
    key(
        "max_variants",
        Kind::Count,
        Is("64"),
        "The most variants of one resource (by Vary); the oldest goes.",
    )
    .between(1, 65_536),
    key(
        "keep",
        Kind::Duration,
        Is("\"10m\""),
        "How long a stale response is kept beyond its stale grants, because its validator can still save a transfer.",
    ),
    key(
        "retry_after_error",
        Kind::Duration,
        Is("\"1s\""),
        "How long a failed revalidation holds off the next one.",
    )
    .within((0, A_WHILE.1)),
    key(
        "max_ranges",
        Kind::Count,
        Is("16"),
        "The most ranges answered in one response; for more, the whole is sent.",
    )
    .between(1, 1024),
    key(
        "stream_window",
        Kind::Size,
        Is("\"256KiB\""),
        "How far the fastest reader of a response that is not being stored may run ahead of the slowest.",
    )
    .between(16 * KIB, GIB),
    key(
        "hit_for_miss",
        Kind::Duration,
        Is("\"2m\""),
        "How long after an answer that could not be shared, requests for the same do not wait for each other.",
    ),
    key(
        "comma_tags",
        Kind::FieldName,
        Is("[\"Cache-Tag\"]"),
        "Response fields that hold tags, to be purged by, separated by commas; clients do not get them.",
    )
    .also(&["tag_fields", "tag_field", "tags", "cache_tag"]),
    key("space_tags", Kind::FieldName, Is("[\"Surrogate-Key\", \"xkey\"]"), "The same, separated by spaces.")
        .also(&["surrogate_key", "xkey"]),
    key(
        "max_tags",
        Kind::Count,
        Is("256"),
        "The most tags, and the most Cache-Groups, of a response; one with more is delivered but not stored.",
    )
    .between(32, 65_536),
    key(
        "max_tag_length",
        Kind::Size,
        Is("\"1KiB\""),
        "The longest tag or group; a response with a longer one is delivered but not stored.",
    )
    .between(32, 64 * KIB),
];

const LOG_KEYS: &[Key] = &[
    key(
        "filter",
        Kind::Filter,
        Is("\"info\""),
        "What the process log holds: error, warn, info, debug or trace, or a filter such as \"info,larder::upstream=debug\".",
    )
    .also(&["level"]),
    key("format", Kind::Choice(&["text", "json"]), Is("\"text\""), "Of the process log: for people or for programs."),
    key("access", Kind::Choice(&["off", "text", "json"]), Is("\"off\""), "The access log: one line per request, or off.")
        .also(&["access_log"]),
    key(
        "access_file",
        Kind::File,
        Unset { meaning: "standard output", example: "\"access.log\"" },
        "Where the access log goes; a relative path starts from this file's directory.",
    ),
];

const UPSTREAM_KEYS: &[Key] = &[
    key(
        "name",
        Kind::Token,
        Computed { meaning: "\"origin\", if it is the only one", example: "\"origin\"" },
        "What routes, logs and metrics call it; unique.",
    ),
    key(
        "servers",
        Kind::Origin,
        Required { example: "[\"http://127.0.0.1:3000\"]" },
        "One or several servers that offer the same; they are taken in turn.",
    )
    .also(&["server", "url", "urls", "origin", "origins", "address", "addresses", "targets"]),
    key(
        "host",
        Kind::Authority,
        Unset { meaning: "what the client sent", example: "\"api.internal\"" },
        "Sent to the servers as Host.",
    ),
    key("connect_timeout", Kind::Duration, Is("\"3s\""), "For TCP and TLS together.").within(A_WHILE),
    key("first_byte_timeout", Kind::Duration, Is("\"30s\""), "From the request to the head of the answer.")
        .within(A_WHILE)
        .also(&["timeout", "read_timeout"]),
    key(
        "between_bytes_timeout",
        Kind::Duration,
        Is("\"30s\""),
        "Between two pieces of the content of an answer.",
    )
    .within(A_WHILE),
    key("idle_timeout", Kind::Duration, Is("\"60s\""), "How long an idle connection is kept.")
        .within(A_WHILE)
        .also(&["keepalive_timeout"]),
    key(
        "max_connections",
        Kind::Count,
        Is("1024"),
        "The most connections to each server; further requests wait for one as long as `connect_timeout`.",
    )
    .between(1, 1_000_000),
    key(
        "ca_file",
        Kind::File,
        Unset { meaning: "the system's", example: "\"ca.pem\"" },
        "Certificates (PEM) to trust for https servers; a relative path starts from this file's directory.",
    ),
];

const ROUTE_KEYS: &[Key] = &[
    key("name", Kind::Token, Computed { meaning: "\"route-1\", \"route-2\" and so on", example: "\"api\"" }, "What logs and metrics call it; unique."),
    key(
        "host",
        Kind::HostPattern,
        Unset { meaning: "any", example: "[\"api.example.com\", \"*.example.com\"]" },
        "A host or a list of them, without port; `*.` stands for one label or more.",
    )
    .also(&["hosts", "domain", "server_name"]),
    key(
        "path",
        Kind::PathGlob,
        Unset { meaning: "any", example: "\"/api/**\"" },
        "Compared with the path as it was sent, without the query and with nothing decoded; `*` stays within a segment, \
         `**` goes across.",
    )
    .also(&["paths", "prefix", "location"]),
    key("methods", Kind::Method, Unset { meaning: "any", example: "[\"GET\"]" }, "Where GET is named, HEAD is included.")
        .also(&["method"]),
    key(
        "upstream",
        Kind::Text,
        Computed { meaning: "the only one; with several it must be named", example: "\"origin\"" },
        "The name of the upstream.",
    )
    .also(&["backend", "proxy_pass", "origin"]),
    key("cache", Kind::Flag, Is("true"), "With false, nothing is stored and nothing is answered from the store.")
        .also(&["enabled"]),
    key(
        "ttl",
        Kind::Duration,
        Unset { meaning: "what the origin says", example: "\"5m\"" },
        "Replaces the freshness lifetime that the origin gives, or fails to give; never its no-store, no-cache or private.",
    )
    .also(&["max_age"]),
    key("min_ttl", Kind::Duration, Unset { meaning: "none", example: "\"1s\"" }, "The freshness lifetime is at least this, where the origin gives any."),
    key("max_ttl", Kind::Duration, Unset { meaning: "none", example: "\"1d\"" }, "The freshness lifetime is at most this."),
    key(
        "stale_while_revalidate",
        Kind::Duration,
        Unset { meaning: "what the origin says", example: "\"30s\"" },
        "How long a stale response is served while it is refreshed, where the origin does not say (RFC 5861).",
    )
    .also(&["grace", "swr"]),
    key(
        "stale_if_error",
        Kind::Duration,
        Unset { meaning: "what the origin says", example: "\"1h\"" },
        "How long a stale response is served when the origin fails, where the origin does not say (RFC 5861).",
    )
    .also(&["sie"]),
    key(
        "heuristic",
        Kind::Heuristic,
        Is("false"),
        "Guess a lifetime from Last-Modified where the origin gives none; true is { fraction = 0.1, max = \"1d\" }.",
    ),
    key(
        "client_cache_control",
        Kind::Choice(&["ignore", "honor"]),
        Is("\"ignore\""),
        "Whether a client's Cache-Control can bypass the store; only-if-cached always counts.",
    ),
    key(
        "allow_set_cookie",
        Kind::Flag,
        Is("false"),
        "Store answers with Set-Cookie, though the origin says neither public nor s-maxage: everybody gets the same cookie.",
    ),
];

const fn key(name: &'static str, kind: Kind, default: Default, doc: &'static str) -> Key {
    Key { name, kind, default, doc, limits: (0, u64::MAX), aliases: &[] }
}

impl Key {
    const fn between(self, least: u64, most: u64) -> Self {
        self.within((least, most))
    }

    const fn within(self, limits: (u64, u64)) -> Self {
        Key { limits, ..self }
    }

    const fn also(self, aliases: &'static [&'static str]) -> Self {
        Key { aliases, ..self }
    }
}
