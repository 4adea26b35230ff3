//! One request, from its arrival to the last byte of its answer.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};

use super::decision::Decision;
use crate::clock::Moment;

/// What is known about a request when its body has ended, or was cut.
#[derive(Debug)]
pub struct Record {
    /// How it was answered.
    pub decision: Decision,
    /// What the client was told.
    pub status: StatusCode,
    /// The method asked for.
    pub method: Method,
    /// When the request's head had been read.
    pub received: Moment,
    /// When the answer's head was handed to the connection; `None` if it never was.
    pub first_byte: Option<Moment>,
    /// When the answer's body ended or was cut; only with a `line` is it more than when that began.
    pub ended: Moment,
    /// Content handed to the connection, in bytes, without framing.
    pub bytes: u64,
    /// The answer was not completed: the client went away, or the origin's answer broke off.
    pub aborted: bool,
    /// The route that matched, as an index into `Config::routes`; `None` if the request came to none.
    pub route: Option<usize>,
    /// The upstream that was asked, as an index into `Config::upstreams`; `None` if none was.
    pub upstream: Option<usize>,
    /// What only the access log wants; `None` unless [`Telemetry::wants_access_log`](super::Telemetry).
    pub line: Option<Box<Line>>,
}

impl Record {
    /// From the request's arrival to the answer's head.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        self.first_byte.map(|at| at.since(self.received))
    }

    /// From the request's arrival to the end of the answer.
    pub fn duration(&self) -> Duration {
        self.ended.since(self.received)
    }
}

/// What the access log shows beside the [`Record`]: copies of what the client sent, as bytes and of bounded length, so
/// that a full queue of lines stays small. What was too long ends in `...`.
#[derive(Debug)]
pub struct Line {
    /// The peer of the connection.
    pub client: SocketAddr,
    /// When the request came.
    pub time: SystemTime,
    /// `Host` or the authority of the request target.
    pub host: Box<[u8]>,
    /// Path and query as sent.
    pub target: Box<[u8]>,
    /// Of the request.
    pub version: Version,
    /// The first `Referer`.
    pub referer: Option<Box<[u8]>>,
    /// The first `User-Agent`.
    pub user_agent: Option<Box<[u8]>>,
}

impl Line {
    /// Copies what the log needs from a request as the client sent it.
    pub fn new(
        client: SocketAddr,
        time: SystemTime,
        host: &[u8],
        target: &[u8],
        version: Version,
        fields: &HeaderMap,
    ) -> Box<Self> {
        let field = |name: HeaderName| fields.get(name).map(|value| bounded(value.as_bytes(), MAX_FIELD));
        Box::new(Self {
            client,
            time,
            host: bounded(host, MAX_HOST),
            target: bounded(target, MAX_TARGET),
            version,
            referer: field(REFERER),
            user_agent: field(USER_AGENT),
        })
    }
}

const MAX_HOST: usize = 256;
const MAX_TARGET: usize = 2048;
const MAX_FIELD: usize = 512;

fn bounded(bytes: &[u8], max: usize) -> Box<[u8]> {
    match bytes.get(..max) {
        Some(kept) if bytes.len() > max => [kept, b"..."].concat().into(),
        _ => bytes.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::HeaderValue;
    use http::header::USER_AGENT;

    use super::*;
    use crate::clock::Manual;

    /// A hit of 1024 bytes that took 150 us.
    pub(crate) fn record() -> Record {
        let received = Moment::from_nanos(1_000_000_000);
        Record {
            decision: Decision::hit(30),
            status: StatusCode::OK,
            method: Method::GET,
            received,
            first_byte: Some(received + Duration::from_micros(100)),
            ended: received + Duration::from_micros(150),
            bytes: 1024,
            aborted: false,
            route: Some(0),
            upstream: None,
            line: None,
        }
    }

    pub(crate) fn line() -> Box<Line> {
        let mut fields = HeaderMap::new();
        fields.insert(USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
        let client = SocketAddr::from(([127, 0, 0, 1], 50_123));
        Line::new(
            client,
            Manual::new().wall(),
            b"api.example.com",
            b"/products/42?a=b",
            Version::HTTP_11,
            &fields,
        )
    }

    #[test]
    fn what_a_client_sends_is_kept_up_to_a_bound() {
        let client = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut fields = HeaderMap::new();
        fields.insert(REFERER, HeaderValue::from_bytes(&[b'r'; MAX_FIELD]).unwrap());
        fields.insert(USER_AGENT, HeaderValue::from_bytes(&[b'u'; 60_000]).unwrap());
        let line =
            Line::new(client, SystemTime::UNIX_EPOCH, b"h", &[b't'; 60_000], Version::HTTP_11, &fields);
        assert_eq!(line.referer.as_deref(), Some(&[b'r'; MAX_FIELD][..]), "just short enough");
        assert_eq!(line.user_agent.as_ref().unwrap().len(), MAX_FIELD + 3);
        assert_eq!(line.target.len(), MAX_TARGET + 3);
        assert!(line.target.ends_with(b"t..."));
    }
}
