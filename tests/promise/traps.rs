//! Traps that other caches fell into.

mod conditional;
mod doors;
mod flights;
mod racing;
mod reach;

use crate::proxy::Proxy;
use crate::purging::Target;
use crate::support::*;

const TAG: Target<'static> = ("tags", "t");
const URL: Target<'static> = ("urls", "http://example.com/a");

/// 200 with this content, fresh for a minute, with a validator of its own, and the tag [`TAG`].
fn tagged(content: &str) -> Answer {
    let etag = format!("\"{content}\"");
    ok(content).cache("max-age=60").field("ETag", etag).field("Cache-Tag", "t")
}

/// Sends the same request `count` times, and returns when the proxy has read them all.
fn begin(proxy: &Proxy, count: usize, ask: &Ask) -> Vec<Exchange> {
    let connections: Vec<Connection> = (0..count).map(|_| proxy.connect()).collect();
    let exchanges = connections.into_iter().map(|connection| ask.begin_on(connection)).collect();
    proxy.settle();
    exchanges
}

fn texts(exchanges: Vec<Exchange>) -> Vec<String> {
    exchanges.into_iter().map(|exchange| exchange.finish().text()).collect()
}
