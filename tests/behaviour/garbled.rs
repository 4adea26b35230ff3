//! Requests and responses with a few bytes changed: whatever comes of it, it is well-formed, and nothing breaks.
//!
//! The origin complains of anything that is not HTTP/1.1, and so does the client; a panic fails the test.

use crate::proxy::Proxy;
use crate::support::*;

/// Bytes that mean something somewhere.
const TELLING: &[u8] = b"\r\n \t:;,=/\0\"%*-0159aZ\x7f\xff";

/// A small generator of numbers that are random enough (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// One to three changes.
    fn garble(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut garbled = bytes.to_vec();
        for _ in 0..=self.below(2) {
            let at = self.below(garbled.len());
            let byte = TELLING[self.below(TELLING.len())];
            match self.below(5) {
                0 => garbled[at] = byte,
                1 => garbled.insert(at, byte),
                2 => drop(garbled.remove(at)),
                3 => garbled.truncate(at.max(1)),
                _ => {
                    let end = (at + 1 + self.below(20)).min(garbled.len());
                    let piece = garbled[at..end].to_vec();
                    garbled.splice(at..at, piece);
                }
            }
        }
        garbled
    }
}

#[test]
fn garbled_requests_break_nothing() {
    let origin = Origin::start();
    origin.otherwise(ok("fine").cache("max-age=60").field("ETag", "\"1\"").field("Vary", "Accept-Encoding"));
    let proxy = Proxy::with(&origin).server("max_head = \"8KiB\"\nmax_target = \"1KiB\"").start();
    let requests: [&[u8]; 3] = [
        b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip, br;q=0.5\r\nRange: bytes=0-1,2-3\r\n\
          If-None-Match: \"1\", W/\"2\"\r\nCache-Control: max-age=0\r\nConnection: keep-alive, X-A\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n\
          4;x=y\r\nbody\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        b"PUT http://example.com/a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\
          Forwarded: for=1.2.3.4\r\nMax-Forwards: 3\r\nVia: 1.1 x\r\nCDN-Loop: y; z=1\r\n\r\nbody",
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..400 {
        let request = dice.garble(requests[round % 3]);
        let mut connection = proxy.client().connect();
        connection.say(&request);
        connection.half_close();
        let answered = connection.expect("GET").try_finish();
        if let Err(cut @ (Cut::Malformed(_) | Cut::Silence)) = answered {
            panic!("{cut:?} in answer to {}", request.escape_ascii());
        }
    }
    assert_eq!(proxy.asks("/still-there").send().text(), "fine");
}

#[test]
fn garbled_responses_break_nothing() {
    let responses: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60, s-maxage=\"5\"\r\nVary: Accept, X-A\r\nETag: \"1\"\r\n\
          Age: 5\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 10\r\n\r\n0123456789",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nCDN-Cache-Control: max-age=60;x\r\n\
          Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\n01234\r\n5\r\n56789\r\n0\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/10\r\nExpires: Thu, 01 Jan 2026 01:00:00 GMT\r\n\
          Connection: X-A\r\nX-A: 1\r\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\nContent-Length: 5\r\n\r\n01234",
    ];
    let origin = Origin::start();
    let upstream = "first_byte_timeout = \"2s\"\nbetween_bytes_timeout = \"2s\"";
    let proxy = Proxy::with(&origin).upstream(upstream).start();
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    for round in 0..300 {
        let response = dice.garble(responses[round % 3]);
        let target = format!("/{round}");
        origin.on(&target).respond(raw(&response).then_closes());
        for ask in [proxy.asks(&target), proxy.asks(&target).field("Range", "bytes=0-4")] {
            let answered = ask.begin().try_finish();
            let end = answered.and_then(|answered| answered.end);
            if let Err(cut @ (Cut::Malformed(_) | Cut::Silence)) = end {
                panic!("{cut:?} came of {}", response.escape_ascii());
            }
        }
    }
    let asked = origin.requests().len();
    assert!(asked < 300 * 2 * 3, "the origin was asked {asked} times");
    origin.on("/still-there").respond(ok("fine"));
    assert_eq!(proxy.asks("/still-there").send().text(), "fine");
}
