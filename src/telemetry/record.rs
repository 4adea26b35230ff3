//! One request, from its arrival to the last byte of its answer.

use std::time::Duration;

use http::{Method, StatusCode};

use super::access::Line;
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
    /// The request's part of its line, by [`AccessLog::line`](super::AccessLog::line); `None` without an access log.
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

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
}
