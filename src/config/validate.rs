//! What must hold between the values of a configuration. Each alone was checked when it was read.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::fault::Place;
use super::read::{At, Notes};
use super::units::{show_duration, show_size};
use super::{Config, Route, TagSeparator};

/// The name of the route that is added where the file leaves requests over.
pub(super) const ADDED_ROUTE: &str = "default";

/// Notes every contradiction.
pub(super) fn check(config: &Config, notes: &Notes) {
    listeners(config, notes);
    limits(config, notes);
    upstreams(config, notes);
    routes(config, notes);
}

/// Adds a last route for what the others leave over. With several upstreams nobody can say where that should go.
pub(super) fn complete(config: &mut Config) {
    let covered = config.routes.last().is_some_and(takes_everything);
    if !covered && config.upstreams.len() == 1 {
        config.routes.push(Route {
            name: ADDED_ROUTE.to_owned(),
            hosts: Vec::new(),
            path: None,
            methods: Vec::new(),
            upstream: 0,
            rules: Arc::default(),
        });
    }
}

/// Notes the files that are named but cannot be read, or do not hold what they should.
pub(super) fn check_files(config: &Config, notes: &Notes) {
    if let Some(path) = &config.purge.token_file
        && let Err(wrong) = super::token::need_token_file(path)
    {
        let what = format!("`token_file`: {}", wrong.what);
        note(notes, At { table: "purge", index: 0, key: "token_file" }, what, Some(&wrong.right));
    }
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let Some(path) = &upstream.ca_file else { continue };
        if let Err(error) = std::fs::File::open(path) {
            let what = format!("`ca_file`: {} cannot be read: {error}", path.display());
            note(notes, At { table: "upstream", index, key: "ca_file" }, what, None);
        }
    }
}

fn listeners(config: &Config, notes: &Notes) {
    const LISTEN: At = At { table: "server", index: 0, key: "listen" };
    const ADMIN: At = At { table: "admin", index: 0, key: "listen" };
    const PROBE: At = At { table: "admin", index: 0, key: "probe_listen" };

    if config.server.listen.is_empty() && notes.is_sound(LISTEN) {
        note(notes, LISTEN, "`listen`: there is no address", Some("name at least one"));
    }
    let in_the_open = |address: &SocketAddr| !is_loopback(*address) && !config.purge.has_token();
    if let Some(address) = config.admin.listen.filter(in_the_open) {
        let right = format!(
            "name a file of tokens by `token_file` in [purge], or set LARDER_TOKEN, or listen on a loopback address \
             such as \"127.0.0.1:{}\"; `probe_listen` may offer health and metrics to others",
            address.port()
        );
        note(
            notes,
            ADMIN,
            format!("{address} can be reached from outside, and nothing protects the admin listener"),
            Some(&right),
        );
    }
    let all = config.server.listen.iter().map(|address| (LISTEN, *address));
    let all = all.chain(config.admin.listen.map(|address| (ADMIN, address)));
    let mut taken = HashSet::new();
    for (at, address) in all.chain(config.admin.probe_listen.map(|address| (PROBE, address))) {
        if address.port() != 0 && !taken.insert(address) {
            note(
                notes,
                at,
                format!("{address} is used twice"),
                Some("give each listener an address of its own"),
            );
        }
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn limits(config: &Config, notes: &Notes) {
    let cache = |key| At { table: "cache", index: 0, key };
    let (memory, max_object) = (config.cache.memory, config.cache.max_object);
    if max_object > memory / 2 && notes.is_sound(cache("memory")) && notes.is_sound(cache("max_object")) {
        let what = format!("`max_object`: {} is more than half of `memory`", show_size(max_object));
        let right = format!("`memory` is {}: write at most \"{}\"", show_size(memory), show_size(memory / 2));
        note(notes, cache("max_object"), what, Some(&right));
    }
    tag_fields(config, notes);
    let server = |key| At { table: "server", index: 0, key };
    if config.server.max_target >= config.server.max_head
        && notes.is_sound(server("max_target"))
        && notes.is_sound(server("max_head"))
    {
        let right = "make `max_head` the larger one: the target is a part of the head";
        let at = if notes.place(server("max_target")).is_some() { "max_target" } else { "max_head" };
        note(notes, server(at), "`max_target` is not less than `max_head`", Some(right));
    }
}

fn tag_fields(config: &Config, notes: &Notes) {
    let mut named = HashSet::new();
    for field in &config.cache.tag_fields {
        let key = match field.separator {
            TagSeparator::Comma => "comma_tags",
            TagSeparator::Space => "space_tags",
        };
        if !named.insert(&field.name) {
            let what = format!("`{key}`: `{}` is named twice", field.name);
            note(
                notes,
                At { table: "cache", index: 0, key },
                what,
                Some("a field's tags are separated in one way"),
            );
        }
    }
}

fn upstreams(config: &Config, notes: &Notes) {
    if config.upstreams.is_empty() {
        let right = "add an [[upstream]] with servers = [\"http://127.0.0.1:3000\"], or give --origin";
        notes.fault(Place::Whole, "there is no upstream", Some(right.to_owned()));
    }
    let mut names = HashSet::new();
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let at = |key| At { table: "upstream", index, key };
        if upstream.servers.is_empty() && notes.is_sound(at("servers")) {
            let right = "add servers = [\"http://127.0.0.1:3000\"]";
            note(notes, at("servers"), "this upstream has no servers", Some(right));
        }
        if upstream.name.is_empty() && notes.is_sound(at("name")) {
            note(
                notes,
                at("name"),
                "this upstream has no name",
                Some("with several upstreams, each needs a `name`"),
            );
        } else if !upstream.name.is_empty() && !names.insert(&upstream.name) {
            let what = format!("there is another upstream `{}`", upstream.name);
            note(notes, at("name"), what, Some("names are unique"));
        }
    }
}

fn routes(config: &Config, notes: &Notes) {
    let mut names = HashSet::new();
    let mut everything: Option<&Route> = None;
    for (index, route) in config.routes.iter().enumerate() {
        let at = |key| At { table: "route", index, key };
        if !names.insert(&route.name) {
            note(
                notes,
                at("name"),
                format!("there is another route `{}`", route.name),
                Some("names are unique"),
            );
        }
        if route.name == ADDED_ROUTE && !takes_everything(route) {
            let what = format!("`{ADDED_ROUTE}` is what the route is called that takes the rest");
            note(notes, at("name"), what, Some("choose another name"));
        }
        if let Some(earlier) = everything {
            let what = format!("no request reaches this route: `{}` takes them all", earlier.name);
            note(notes, at(""), what, Some("move it up, or give the other a `host` or a `path`"));
        } else if takes_everything(route) && matchers_are_sound(notes, index) {
            everything = Some(route);
        }
        if let (Some(least), Some(most)) = (route.rules.min_ttl, route.rules.max_ttl)
            && least > most
        {
            let what = format!("`min_ttl`: {} is more than `max_ttl`", show_duration(least));
            let right = format!("`max_ttl` is {}: write at most that", show_duration(most));
            note(notes, at("min_ttl"), what, Some(&right));
        }
    }
}

fn matchers_are_sound(notes: &Notes, index: usize) -> bool {
    ["host", "path", "methods"].into_iter().all(|key| notes.is_sound(At { table: "route", index, key }))
}

fn takes_everything(route: &Route) -> bool {
    let any_path = match &route.path {
        None => true,
        Some(glob) => glob.glob().glob() == "/**",
    };
    route.hosts.is_empty() && any_path && route.methods.is_empty()
}

/// At the value, at the head of its table, or at the file.
fn note(notes: &Notes, at: At, what: impl Into<String>, right: Option<&str>) {
    let place = notes.place(at).or_else(|| notes.place(At { key: "", ..at })).unwrap_or(Place::Whole);
    notes.fault(place, what, right.map(str::to_owned));
}
