//! Between the server, which knows nothing of caching, and the request pipeline, which knows nothing of sockets.

use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, Version};
use hyper::body::Incoming;

use crate::request::{self, Client, Head, Hinted, Refusal, Worker};
use crate::server::{Handler, Peer, Rejection};
use crate::upstream::OnHints;

/// The proxy as the server calls it.
#[derive(Clone)]
pub(super) struct Proxy {
    worker: Worker,
}

impl Proxy {
    pub(super) fn new(worker: Worker) -> Self {
        Self { worker }
    }
}

impl Handler for Proxy {
    type Body = request::Body;

    fn handle(
        &self,
        parts: Parts,
        authority: Arc<str>,
        content: Incoming,
        peer: &Arc<Peer>,
    ) -> impl Future<Output = Response<request::Body>> + Send + use<> {
        // The server has seen to it that the target is in origin form.
        let target = parts.uri.into_parts().path_and_query;
        let head = Head {
            authority,
            target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            method: parts.method,
            version: parts.version,
            fields: parts.headers,
        };
        let understands_hints = head.version == Version::HTTP_11;
        let hinted = || understands_hints.then(|| Arc::clone(peer) as Arc<dyn Hinted>);
        self.worker.handle(head, content, Client::new(peer.addr, "http"), hinted)
    }

    fn refuse(&self, head: &Parts, rejection: &Rejection, peer: &Peer) -> Response<request::Body> {
        self.worker.refuse(head, refusal(rejection), peer.addr)
    }

    fn unread(&self, rejection: &Rejection, peer: &Peer) {
        self.worker.unread(&refusal(rejection), peer.addr);
    }
}

fn refusal(rejection: &Rejection) -> Refusal {
    Refusal::new(rejection.status, rejection.reason).explained(rejection.detail)
}

impl Hinted for Peer {
    fn on_hints(&self) -> OnHints {
        let hints = self.hints();
        Arc::new(move |status, fields| hints.send(status, fields))
    }
}
