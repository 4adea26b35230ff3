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
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<request::Body>> + Send + use<> {
        // The server has seen to it that the target is in origin form.
        let slash = || PathAndQuery::from_static("/");
        let head = Head {
            authority,
            target: parts.uri.path_and_query().cloned().unwrap_or_else(slash),
            method: parts.method,
            version: parts.version,
            fields: parts.headers,
        };
        let addr = peer.addr;
        let hinted = (head.version == Version::HTTP_11).then_some(peer as Arc<dyn Hinted>);
        let client = Client { addr, scheme: "http", hinted };
        self.worker.handle(head, content, client)
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
