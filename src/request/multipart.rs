//! `multipart/byteranges` (RFC 9110 §14.6).

use bytes::Bytes;
use http::HeaderValue;

use crate::policy::range::{ByteRange, ContentRange};
use crate::store::{Piece, Sealed};

/// Several ranges of one representation, each with a head of its own, between boundaries.
pub(crate) struct Parts {
    boundary: String,
    pieces: Vec<Piece>,
}

impl Parts {
    pub(crate) fn new(kind: Option<&HeaderValue>, sealed: &Sealed, ranges: &[ByteRange]) -> Self {
        let boundary = boundary(sealed, ranges);
        let mut pieces = Vec::with_capacity(ranges.len() * 2 + 1);
        for range in ranges {
            let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
            if let Some(kind) = kind {
                head.extend_from_slice(b"Content-Type: ");
                head.extend_from_slice(kind.as_bytes());
                head.extend_from_slice(b"\r\n");
            }
            let range_field = ContentRange { range: *range, complete: Some(sealed.len()) }.render();
            head.extend_from_slice(b"Content-Range: ");
            head.extend_from_slice(range_field.as_bytes());
            head.extend_from_slice(b"\r\n\r\n");
            pieces.push(Bytes::from(head).into());
            pieces.extend(sealed.slice(range.first, range.last));
        }
        pieces.push(Bytes::from(format!("\r\n--{boundary}--\r\n")).into());
        Self { boundary, pieces }
    }

    pub(crate) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("multipart/byteranges; boundary={}", self.boundary))
            .unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    pub(crate) fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    pub(crate) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}

/// A delimiter that stands nowhere in the ranges. The first candidate practically always does; the search is
/// there because content can be chosen to contain it.
fn boundary(sealed: &Sealed, ranges: &[ByteRange]) -> String {
    let content: Vec<Piece> = ranges.iter().flat_map(|range| sealed.slice(range.first, range.last)).collect();
    let mut salt: u64 = sealed.len();
    loop {
        let candidate = format!("larder-{salt:016x}");
        let finder = memchr::memmem::Finder::new(candidate.as_bytes());
        if content.iter().all(|piece| finder.find(piece).is_none()) {
            return candidate;
        }
        salt = salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
}
