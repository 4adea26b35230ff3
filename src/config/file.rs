//! What a file says: one function per table, one line per key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderName;
use toml::de::DeValue;

use super::fault::Place;
use super::read::{At, Document, Notes, Section};
use super::reference::{ADMIN, CACHE, HEURISTIC, LOG, PURGE, ROUTE, SERVER, UPSTREAM};
use super::{
    Admin, Cache, Config, Log, LogFormat, Overrides, Purge, Route, Runtime, Server, TagField, TagSeparator,
    Upstream, machine, suggest,
};
use crate::policy::{ClientCacheControl, Heuristic, Rules};

/// Builds the configuration, with what the command line puts in place of the file's values. Faults go into the
/// notes; what is built is to be used only if there are none.
///
/// `directory` is where relative paths start.
pub(super) fn read(
    document: &Document<'_, '_>,
    notes: &Notes,
    overrides: &Overrides,
    directory: &Path,
) -> Config {
    let sections = document.repeated(&UPSTREAM);
    let alone = sections.len() == 1;
    let upstreams = sections.iter().map(|section| upstream(section, alone, directory)).collect();
    let upstreams = with_origins(upstreams, notes, overrides);
    let routes = document.repeated(&ROUTE);
    let routes = routes.iter().enumerate().map(|(at, section)| route(section, at, &upstreams)).collect();
    Config {
        server: server(&document.single(&SERVER), overrides),
        admin: admin(&document.single(&ADMIN), overrides),
        purge: purge(&document.single(&PURGE), overrides, directory),
        cache: cache(&document.single(&CACHE), overrides),
        log: log(&document.single(&LOG), directory),
        upstreams,
        routes,
    }
}

fn server(section: &Section<'_, '_>, overrides: &Overrides) -> Server {
    let mut server = Server {
        listen: section.list("listen"),
        threads: section.get_or("threads", machine::cores),
        runtime: runtime(&section.need::<String>("runtime")),
        name: section.need("name"),
        instance: section.get_or("instance", machine::random_instance),
        trusted_proxies: section.list("trusted_proxies"),
        header_timeout: section.need("header_timeout"),
        stall_timeout: section.need("stall_timeout"),
        max_head: section.need("max_head"),
        max_fields: section.need("max_fields"),
        max_target: section.need("max_target"),
        max_connections: section.need("max_connections"),
        drain_timeout: section.need("drain_timeout"),
    };
    if !overrides.listen.is_empty() {
        server.listen.clone_from(&overrides.listen);
        overridden(section, "server", "listen", "--listen");
    }
    if let Some(threads) = overrides.threads {
        server.threads = threads;
        overridden(section, "server", "threads", "--threads");
    }
    server
}

fn admin(section: &Section<'_, '_>, overrides: &Overrides) -> Admin {
    let mut admin = Admin {
        listen: section.need("listen"),
        hosts: section.list("hosts"),
        probe_listen: section.need("probe_listen"),
    };
    if let Some(listen) = overrides.admin {
        admin.listen = Some(listen);
        overridden(section, "admin", "listen", "--admin");
    }
    admin
}

fn purge(section: &Section<'_, '_>, overrides: &Overrides, directory: &Path) -> Purge {
    Purge {
        token_file: section.get::<PathBuf>("token_file").map(|path| directory.join(path)),
        token: overrides.token.clone(),
        allow: section.list("allow"),
        max_targets: section.need("max_targets"),
        max_body: section.need("max_body"),
        refresh_entries: section.need("refresh_entries"),
        refresh_concurrency: section.need("refresh_concurrency"),
    }
}

fn cache(section: &Section<'_, '_>, overrides: &Overrides) -> Cache {
    let mut memory = section.get_or("memory", machine::default_memory);
    if let Some(bytes) = overrides.memory {
        memory = bytes;
        overridden(section, "cache", "memory", "--memory");
    }
    Cache {
        memory,
        max_object: section.get_or("max_object", || (16 << 20).min(memory / 4)),
        max_variants: section.need("max_variants"),
        keep: section.need("keep"),
        retry_after_error: section.need("retry_after_error"),
        max_ranges: section.need("max_ranges"),
        stream_window: section.need("stream_window"),
        hit_for_miss: section.need("hit_for_miss"),
        tag_fields: tag_fields(section),
        max_tags: section.need("max_tags"),
        max_tag_length: section.need("max_tag_length"),
    }
}

fn tag_fields(section: &Section<'_, '_>) -> Vec<TagField> {
    let named = |key, separator| {
        section.list(key).into_iter().map(move |name: HeaderName| TagField { name, separator })
    };
    named("comma_tags", TagSeparator::Comma).chain(named("space_tags", TagSeparator::Space)).collect()
}

fn runtime(word: &str) -> Runtime {
    match word {
        "shared" => Runtime::Shared,
        _ => Runtime::PerThread,
    }
}

fn log(section: &Section<'_, '_>, directory: &Path) -> Log {
    Log {
        filter: section.need("filter"),
        format: log_format(&section.need::<String>("format")).unwrap_or(LogFormat::Text),
        access: log_format(&section.need::<String>("access")),
        access_file: section.get::<PathBuf>("access_file").map(|path| directory.join(path)),
    }
}

fn log_format(word: &str) -> Option<LogFormat> {
    match word {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

fn upstream(section: &Section<'_, '_>, alone: bool, directory: &Path) -> Upstream {
    Upstream {
        name: section.get_or("name", || if alone { "origin".to_owned() } else { String::new() }),
        servers: section.list("servers"),
        connect_timeout: section.need("connect_timeout"),
        first_byte_timeout: section.need("first_byte_timeout"),
        between_bytes_timeout: section.need("between_bytes_timeout"),
        idle_timeout: section.need("idle_timeout"),
        max_connections: section.need("max_connections"),
        host: section.get("host"),
        ca_file: section.get::<PathBuf>("ca_file").map(|path| directory.join(path)),
    }
}

/// `--origin` stands for the servers of the only upstream, or makes one.
fn with_origins(mut upstreams: Vec<Upstream>, notes: &Notes, overrides: &Overrides) -> Vec<Upstream> {
    if overrides.origins.is_empty() {
        return upstreams;
    }
    if upstreams.is_empty() {
        upstreams.push(upstream(&Section::absent(&UPSTREAM, notes), true, Path::new("")));
    }
    match upstreams.as_mut_slice() {
        [only] => {
            only.servers.clone_from(&overrides.origins);
            notes.set_place(At { table: UPSTREAM.name, index: 0, key: "servers" }, Place::Option("--origin"));
        }
        several => {
            let what =
                format!("the file has {} upstreams, and it is not clear which this replaces", several.len());
            notes.fault(Place::Option("--origin"), what, Some("change `servers` in the file".to_owned()));
        }
    }
    upstreams
}

fn route(section: &Section<'_, '_>, at: usize, upstreams: &[Upstream]) -> Route {
    Route {
        name: section.get_or("name", || format!("route-{}", at + 1)),
        hosts: section.list("host"),
        path: section.get("path"),
        methods: section.list("methods"),
        upstream: upstream_of(section, upstreams),
        rules: Arc::new(rules(section)),
    }
}

/// The index of the upstream that a route names; the only one if it names none.
fn upstream_of(section: &Section<'_, '_>, upstreams: &[Upstream]) -> usize {
    let names = || upstreams.iter().map(|upstream| upstream.name.as_str());
    let Some(named) = section.get::<String>("upstream") else {
        if upstreams.len() > 1 && section.raw("upstream").is_none() {
            let right = format!("add `upstream`, one of {}", quoted(names()));
            section.notes().fault(
                section.header(),
                "it is not clear which upstream this route uses",
                Some(right),
            );
        }
        return 0;
    };
    if let Some(index) = names().position(|name| name == named) {
        return index;
    }
    let right = match suggest::nearest(&named, names()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if upstreams.is_empty() => format!("add an [[upstream]] with name = \"{named}\""),
        None => format!("the upstreams are {}", quoted(names())),
    };
    let place = section.raw("upstream").map_or(section.header(), |value| Place::Text(value.span()));
    section.notes().fault(place, format!("there is no upstream `{named}`"), Some(right));
    0
}

fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.filter(|name| !name.is_empty()).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn rules(section: &Section<'_, '_>) -> Rules {
    Rules {
        cache: section.need("cache"),
        ttl: section.get("ttl"),
        min_ttl: section.get("min_ttl"),
        max_ttl: section.get("max_ttl"),
        stale_while_revalidate: section.get("stale_while_revalidate"),
        stale_if_error: section.get("stale_if_error"),
        heuristic: heuristic(section),
        client_cache_control: match section.need::<String>("client_cache_control").as_str() {
            "honor" => ClientCacheControl::Honor,
            _ => ClientCacheControl::Ignore,
        },
        allow_set_cookie: section.need("allow_set_cookie"),
    }
}

/// `true`, `false` or a table of its own.
fn heuristic(section: &Section<'_, '_>) -> Option<Heuristic> {
    let with =
        |table: Section<'_, '_>| Heuristic { fraction: table.need("fraction"), max: table.need("max") };
    let value = section.raw("heuristic")?;
    match value.get_ref() {
        DeValue::Boolean(on) => on.then(|| with(Section::absent(&HEURISTIC, section.notes()))),
        DeValue::Table(entries) => {
            Some(with(Section::open(&HEURISTIC, 0, entries, value.span(), section.notes())))
        }
        _ => {
            section.mistyped("heuristic", value);
            None
        }
    }
}

fn overridden(section: &Section<'_, '_>, table: &'static str, key: &'static str, option: &'static str) {
    section.notes().set_place(At { table, index: 0, key }, Place::Option(option));
}
