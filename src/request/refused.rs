//! Requests that end before they are received: the server found a fault in the head, or could not read it. They are
//! answered, counted and logged as all others are.

use std::net::SocketAddr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Response, Version};

use crate::request::body::Body;
use crate::request::error::Refusal;
use crate::request::receive::Refused;
use crate::request::respond;
use crate::request::worker::Worker;
use crate::telemetry::{Asked, Decision, Record};

/// Stands in the access log for what is not known.
const UNKNOWN: &[u8] = b"-";

impl Worker {
    /// Answers a request that the server refuses; `head` is as the client sent it.
    pub fn refuse(&self, head: &Parts, refusal: Refusal, client: SocketAddr) -> Response<Body> {
        let engine = self.shared_engine();
        let line = engine.telemetry.access_log().map(|log| {
            let named = head.headers.get(HOST).map(|host| host.as_bytes());
            log.line(&Asked {
                client,
                time: engine.clock.wall(),
                method: &head.method,
                host: named.or_else(|| Some(head.uri.authority()?.as_str().as_bytes())).unwrap_or_default(),
                target: head.uri.to_string().as_bytes(),
                version: head.version,
                fields: &head.headers,
            })
        });
        let refused = Refused { method: head.method.clone(), at: engine.clock.moment(), refusal, line };
        respond::refuse(engine, refused)
    }

    /// Records a request whose head could not be read and which has been answered accordingly, without content.
    pub fn unread(&self, refusal: &Refusal, client: SocketAddr) {
        let engine = self.engine();
        let now = engine.clock.moment();
        let method = unknown_method();
        let line = engine.telemetry.access_log().map(|log| {
            log.line(&Asked {
                client,
                time: engine.clock.wall(),
                method: &method,
                host: UNKNOWN,
                target: UNKNOWN,
                version: Version::HTTP_11,
                fields: &HeaderMap::new(),
            })
        });
        engine.telemetry.finish(&mut Record {
            decision: Decision::local(refusal.reason),
            status: refusal.status,
            method,
            received: now,
            first_byte: Some(now),
            ended: now,
            bytes: 0,
            aborted: false,
            route: None,
            upstream: None,
            line,
        });
    }
}

/// A hyphen is a valid method name that nobody uses.
fn unknown_method() -> Method {
    Method::from_bytes(UNKNOWN).unwrap_or_default()
}
