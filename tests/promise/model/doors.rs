//! The doors by which the purges of the scripts come in: the log itself, `POST /purge`, and `PURGE`.

use larder::validity::{Fact, Group, Kind, Subject};
use serde_json::{Value, json};

use super::reference::Target;
use super::world::World;
use crate::support::{Fields, Framing, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// As unsafe methods do it.
    Log,
    /// `POST /purge` on the admin listener, in JSON.
    Post {
        /// Have what a soft purge hits revalidated in the background.
        refresh: bool,
    },
    /// `PURGE` of one URL, or of tags.
    Method,
}

impl Door {
    /// This door, or another one if what is purged does not pass through it.
    pub(crate) fn for_targets(self, targets: &[Target]) -> Self {
        let is_tag = |target: &Target| matches!(target, Target::Tag(_));
        let passes = matches!(targets, [Target::Url(_)]) || targets.iter().all(is_tag);
        if self == Self::Method && !passes { Self::Post { refresh: false } } else { self }
    }
}

/// Purges; when this returns, the purge has returned.
pub(crate) fn purge(world: &mut World, door: Door, targets: &[Target], soft: bool) {
    match door {
        Door::Log => {
            let kind = if soft { Kind::Soft } else { Kind::Hard };
            let facts: Vec<Fact<'_>> =
                targets.iter().map(|target| Fact { subject: subject(target), kind }).collect();
            world.log().publish(&facts, world.moment());
        }
        Door::Post { refresh } => {
            let content = document(targets, soft, refresh && soft).to_string();
            let length = content.len();
            let head = format!(
                "POST /purge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            ask(&mut world.admin(), &(head + &content));
        }
        Door::Method => ask(world.direct(), &method(targets, soft)),
    }
}

fn ask(wire: &mut Wire, request: &str) {
    wire.send(request.as_bytes()).unwrap();
    let head = wire.head().unwrap();
    let mut framing = Framing::declared(&head.fields).unwrap().unwrap();
    let mut content = Vec::new();
    while let Some(bytes) = wire.piece(&mut framing, &mut Fields::default()).unwrap() {
        content.extend(bytes);
    }
    let answer = String::from_utf8_lossy(&content).into_owned();
    assert!(head.start.starts_with("HTTP/1.1 200 "), "{request}: {} {answer}", head.start);
    let document: Value = serde_json::from_str(&answer).unwrap();
    assert!(document["sequence"].as_u64().is_some_and(|sequence| sequence > 0), "{answer}");
}

fn document(targets: &[Target], soft: bool, refresh: bool) -> Value {
    let (mut urls, mut tags, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    let (mut prefixes, mut hosts, mut everything) = (Vec::new(), Vec::new(), false);
    for target in targets {
        match target {
            Target::Everything => everything = true,
            Target::Host(host) => hosts.push(host.clone()),
            // What is stored has come by http.
            Target::Url(url) => urls.push(format!("https://{url}")),
            Target::Prefix(prefix) => prefixes.push(prefix.clone()),
            Target::Tag(tag) => tags.push(tag.clone()),
            Target::Group { origin, name } => groups.push(format!("{origin}#{name}")),
        }
    }
    json!({
        "urls": urls, "tags": tags, "groups": groups, "prefixes": prefixes, "hosts": hosts,
        "everything": everything, "soft": soft, "refresh": refresh,
    })
}

fn method(targets: &[Target], soft: bool) -> String {
    let soft = if soft { "Soft-Purge: 1\r\n" } else { "" };
    if let [Target::Url(url)] = targets {
        let (authority, path) = url.split_at(url.find('/').unwrap());
        return format!("PURGE {path} HTTP/1.1\r\nHost: {authority}\r\n{soft}\r\n");
    }
    let tags = targets.iter().map(|target| match target {
        Target::Tag(tag) => tag.as_str(),
        other => panic!("{other:?} has no field"),
    });
    let tags: Vec<&str> = tags.collect();
    format!("PURGE / HTTP/1.1\r\nHost: any.test\r\nCache-Tag: {}\r\n{soft}\r\n", tags.join(", "))
}

fn subject(target: &Target) -> Subject<'_> {
    match target {
        Target::Everything => Subject::Everything,
        Target::Host(host) => Subject::Host(host),
        Target::Url(url) => Subject::Url(url),
        Target::Prefix(prefix) => Subject::Prefix(prefix),
        Target::Tag(tag) => Subject::Tag(tag),
        Target::Group { origin, name } => Subject::Group(Group { origin, name }),
    }
}
