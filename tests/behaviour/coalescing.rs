//! One fetch, everyone streams: requests for the same thing at the same time (DESIGN §3).
//!
//! Waiters are requests that were sent on connections the proxy had accepted before; after [`Proxy::settle`] each has
//! been read, so it waits, or has gone to the origin.

mod asking;
mod failing;
mod outdated;
mod revalidating;
mod streaming;
mod unshareable;
mod variants;

use crate::proxy::Proxy;
use crate::support::*;

/// Sends the same request `count` times at once, and returns when the proxy has read them all.
fn begin(proxy: &Proxy, count: usize, ask: &Ask) -> Vec<Exchange> {
    let connections: Vec<Connection> = (0..count).map(|_| proxy.connect()).collect();
    let exchanges = connections.into_iter().map(|connection| ask.begin_on(connection)).collect();
    proxy.settle();
    exchanges
}

fn finish(exchanges: Vec<Exchange>) -> Vec<Answered> {
    exchanges.into_iter().map(Exchange::finish).collect()
}

fn texts(answers: &[Answered]) -> Vec<String> {
    answers.iter().map(Answered::text).collect()
}
