//! Between the server, which knows nothing of caching, and the request pipeline, which knows nothing of sockets.

use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Incoming;

use crate::request::{self, Client, Head, Worker};
use crate::server::{Handler, Peer, guard};
use crate::upstream::OnHints;

/// The proxy as the server calls it.
#[derive(Clone)]
pub(super) struct Proxy {
    worker: Worker,
    limits: guard::Limits,
}

impl Proxy {
    pub(super) fn new(worker: Worker, limits: guard::Limits) -> Self {
        Self { worker, limits }
    }
}

impl Handler for Proxy {
    type Body = request::Body;

    async fn handle(&self, request: Request<Incoming>, peer: Arc<Peer>) -> Response<request::Body> {
        let (parts, content) = request.into_parts();
        let accepted = match guard::check(&parts, &self.limits) {
            Ok(accepted) => accepted,
            Err(rejected) => return self.worker.reject(parts.method, rejected.status, rejected.reason),
        };
        let head = Head {
            authority: accepted.authority,
            target: accepted.target,
            method: parts.method,
            version: parts.version,
            fields: parts.headers,
        };
        let on_hints = (head.version >= Version::HTTP_11).then(|| early_hints(&peer));
        let client = Client { addr: peer.addr, scheme: "http", on_hints };
        let answer = self.worker.handle(head, content, client);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                response = &mut answer => return response,
                // Being polled is enough: the connection flushes what was queued.
                () = peer.hints.wait() => {}
            }
        }
    }
}

fn early_hints(peer: &Arc<Peer>) -> OnHints {
    let peer = peer.clone();
    Arc::new(move |status, fields| peer.hints.send(status, fields))
}
