//! A line in the combined log format, and after it what a cache has to tell as `key=value`.

use super::escape;
use super::line::{Asked, Shown};
use super::pieces::{MAX_FIELD, MAX_HOST, MAX_TARGET, address, bounded, micros, number, version};
use crate::telemetry::record::Record;
use crate::telemetry::timestamp;

/// What comes before the status, whose place is returned, and what follows the size.
pub(super) fn request(asked: &Asked<'_>, out: &mut Vec<u8>) -> usize {
    address(asked.client.ip(), out);
    out.extend_from_slice(b" - - [");
    timestamp::write_common(asked.time, out);
    out.extend_from_slice(b"] \"");
    out.extend_from_slice(asked.method.as_str().as_bytes());
    out.push(b' ');
    bounded(asked.target, MAX_TARGET, escape::text, out);
    out.push(b' ');
    out.extend_from_slice(version(asked.version));
    out.extend_from_slice(b"\" ");
    let gap = out.len();
    let Shown { referer, user_agent } = Shown::of(asked.fields);
    out.extend_from_slice(b" \"");
    field(referer, out);
    out.extend_from_slice(b"\" \"");
    field(user_agent, out);
    out.extend_from_slice(b"\" host=\"");
    bounded(asked.host, MAX_HOST, escape::text, out);
    out.push(b'"');
    gap
}

const NONE: &[u8] = b"-";

fn field(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => bounded(value, MAX_FIELD, escape::text, out),
        None => out.extend_from_slice(NONE),
    }
}

/// What belongs between the two parts of the request.
pub(super) fn size(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(record.status.as_str().as_bytes());
    out.push(b' ');
    number(record.bytes, out);
}

/// ` key="name"`, for a route or an upstream.
pub(super) fn name(key: &str, name: Option<&str>) -> Vec<u8> {
    let mut out = vec![b' '];
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"=\"");
    escape::text(name.map_or(NONE, str::as_bytes), &mut out);
    out.push(b'"');
    out
}

/// What comes after those.
pub(super) fn answer(record: &Record, out: &mut Vec<u8>) {
    let decision = &record.decision;
    out.extend_from_slice(b" outcome=");
    out.extend_from_slice(decision.outcome().as_str().as_bytes());
    if let Some(forward) = decision.forward {
        out.extend_from_slice(b" fwd=");
        out.extend_from_slice(forward.as_str().as_bytes());
    }
    if let Some(status) = decision.forward_status {
        out.extend_from_slice(b" fwd_status=");
        out.extend_from_slice(status.as_str().as_bytes());
    }
    if let Some(ttl) = decision.ttl {
        out.extend_from_slice(b" ttl=");
        number(ttl, out);
    }
    for (flag, name) in
        [(decision.stored, " stored"), (decision.collapsed, " collapsed"), (record.aborted, " aborted")]
    {
        if flag {
            out.extend_from_slice(name.as_bytes());
        }
    }
    if let Some(detail) = decision.detail {
        out.extend_from_slice(b" detail=\"");
        escape::text(detail.as_bytes(), out);
        out.push(b'"');
    }
    if let Some(duration) = record.time_to_first_byte() {
        out.extend_from_slice(b" first_byte_us=");
        micros(duration, out);
    }
    out.extend_from_slice(b" duration_us=");
    micros(record.duration(), out);
    out.push(b'\n');
}
