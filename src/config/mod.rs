//! The typed configuration: what the rest of the program sees, and how it is come by.
//!
//! ```text
//! text --read, value--> file (typed values, defaults, options) --validate--> Config
//!            \________________ faults ________________/
//! ```
//!
//! [`mod@reference`] lists every key. Reading does not stop at a fault: [`Faults`] holds all of them, each with its place,
//! what is wrong and what would be right.

mod address;
mod fault;
mod file;
mod load;
mod machine;
mod pattern;
mod read;
pub mod reference;
mod suggest;
mod token;
pub mod units;
mod validate;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;

use crate::policy::Rules;

pub use address::{listen as parse_listen, origin as parse_origin};
pub use fault::{Fault, Faults, Place};
pub use load::Overrides;
pub use suggest::nearest;
pub use token::{Secret, Token, need_token_file, read_token_file, read_tokens};

/// Everything that can be configured, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listener that clients talk to.
    pub server: Server,
    /// The second listener.
    pub admin: Admin,
    /// Who may purge, and how much at once.
    pub purge: Purge,
    /// The store and its limits.
    pub cache: Cache,
    /// Process log and access log.
    pub log: Log,
    /// At least one; routes refer to them by index.
    pub upstreams: Vec<Upstream>,
    /// In order; the first that matches a request counts. With a single upstream the last one matches everything: it is
    /// added if the file has no such. With several, a request that none takes is to be refused.
    pub routes: Vec<Route>,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where to accept clients.
    pub listen: Vec<SocketAddr>,
    /// Serving threads.
    pub threads: usize,
    /// How connections come to threads.
    pub runtime: Runtime,
    /// The name in `Cache-Status` and the pseudonym in `Via`.
    pub name: String,
    /// The instance id that `CDN-Loop` carries; random per process unless configured.
    pub instance: String,
    /// Peers whose `Forwarded`, `X-Forwarded-*` and rewriting fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client may take to send a request head; also bounds idle keep-alive.
    pub header_timeout: Duration,
    /// How long a client may go without taking a byte of a response that is waiting for it.
    pub stall_timeout: Duration,
    /// Largest request head in bytes.
    pub max_head: usize,
    /// Most fields in a request head.
    pub max_fields: usize,
    /// Longest request target in bytes.
    pub max_target: usize,
    /// Most open client connections, over all threads.
    pub max_connections: usize,
    /// How long a graceful end waits for open requests.
    pub drain_timeout: Duration,
}

/// How connections come to serving threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The kernel deals them out: each thread accepts its own and keeps them, and has connections of its own to origins.
    PerThread,
    /// All threads take from one pool of tasks: a connection is served by whoever is free, and all connections to origins
    /// are for everybody.
    Shared,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `None`: no admin listener.
    pub listen: Option<SocketAddr>,
    /// Accepted in `Host`, beside loopback literals and `localhost`.
    pub hosts: Vec<String>,
    /// Offers `/healthz`, `/readyz` and `/metrics`, nothing else.
    pub probe_listen: Option<SocketAddr>,
}

/// `[purge]`
#[derive(Clone, Debug)]
pub struct Purge {
    /// Bearer tokens, read again when they change; see [`read_tokens`].
    pub token_file: Option<PathBuf>,
    /// One more token, from the environment.
    pub token: Option<Token>,
    /// Peers that may use the method `PURGE` without a token.
    pub allow: Vec<IpNet>,
    /// Most targets of one purge.
    pub max_targets: usize,
    /// Longest content of a purge request, in bytes.
    pub max_body: usize,
    /// Most entries that are refreshed after a soft purge that asks for it.
    pub refresh_entries: usize,
    /// Most of them at once.
    pub refresh_concurrency: usize,
}

impl Purge {
    /// Whether there is a token, so that whoever has none can be told from whoever has.
    pub fn has_token(&self) -> bool {
        self.token.is_some() || self.token_file.is_some()
    }
}

/// `[cache]`
#[derive(Clone, Debug)]
pub struct Cache {
    /// The ceiling for everything that the cache holds, in bytes.
    pub memory: u64,
    /// The longest content that is stored, in bytes.
    pub max_object: u64,
    /// The most variants of one resource; the oldest goes.
    pub max_variants: usize,
    /// How long a stale response is kept beyond its stale grants, for the sake of its validator.
    pub keep: Duration,
    /// How long a failed revalidation holds off the next one.
    pub retry_after_error: Duration,
    /// The most ranges answered in one response; more are answered with the whole.
    pub max_ranges: usize,
    /// How far the fastest reader of a response that is not being stored may run ahead of the slowest, in bytes.
    pub stream_window: usize,
    /// How long an answer that could not be shared keeps later requests for the same from waiting for each other.
    pub hit_for_miss: Duration,
    /// Response fields that carry tags, each named once.
    pub tag_fields: Vec<TagField>,
    /// The most tags, and the most groups, of a response that is stored.
    pub max_tags: usize,
    /// The longest tag or group of a response that is stored, in bytes.
    pub max_tag_length: usize,
}

/// A field that carries tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagField {
    /// Which.
    pub name: HeaderName,
    /// What stands between two tags.
    pub separator: TagSeparator,
}

/// What stands between two tags. No tag of the field holds it: nothing is unquoted or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSeparator {
    /// A comma, with or without white space around it.
    Comma,
    /// White space.
    Space,
}

impl TagSeparator {
    /// Whether two tags meet at this byte.
    pub fn is(self, byte: u8) -> bool {
        match self {
            Self::Comma => byte == b',',
            Self::Space => byte == b' ' || byte == b'\t',
        }
    }
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// A `tracing` filter, such as `info` or `larder=debug`.
    pub filter: String,
    /// Of the process log, on standard error.
    pub format: LogFormat,
    /// The access log; `None` is off.
    pub access: Option<LogFormat>,
    /// Where the access log goes; `None` is standard output.
    pub access_file: Option<PathBuf>,
}

/// One line per event, for people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[[upstream]]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Unique.
    pub name: String,
    /// Taken in turn. At least one.
    pub servers: Vec<Origin>,
    /// TCP and TLS handshakes together.
    pub connect_timeout: Duration,
    /// From the request being sent to the final response head.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a response body.
    pub between_bytes_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Most connections to one server, over all threads; requests beyond it wait for a free one within `connect_timeout`.
    pub max_connections: usize,
    /// Sent as `Host`; `None` passes on the client's.
    pub host: Option<String>,
    /// Certificates to trust instead of the system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// A server: `http://127.0.0.1:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// `[[route]]`
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique; in logs and metrics.
    pub name: String,
    /// Lower case, without port; `*.example.com` matches any label sequence in front. Empty matches all.
    pub hosts: Vec<String>,
    /// `None` matches all. Matched against the path as sent, without the query.
    pub path: Option<globset::GlobMatcher>,
    /// Empty matches all; where GET is named, HEAD matches too, since both are answered from the same entry.
    pub methods: Vec<http::Method>,
    /// Index into [`Config::upstreams`].
    pub upstream: usize,
    /// What the route lays down about caching.
    pub rules: Arc<Rules>,
}
