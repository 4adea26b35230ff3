//! A line as a JSON object. What is not known is left out.

use super::escape;
use super::line::{Asked, Shown};
use super::pieces::{MAX_FIELD, MAX_HOST, MAX_TARGET, address, bounded, micros, number, version};
use crate::telemetry::record::Record;
use crate::telemetry::timestamp;

/// The members up to the status, whose place is returned, and those that follow the size.
pub(super) fn request(asked: &Asked<'_>, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(b"{\"time\":\"");
    timestamp::write_rfc3339(asked.time, out);
    out.extend_from_slice(b"\",\"client\":\"");
    address(asked.client.ip(), out);
    out.extend_from_slice(b"\",\"client_port\":");
    number(asked.client.port(), out);
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(asked.method.as_str().as_bytes());
    out.extend_from_slice(b"\",\"host\":\"");
    bounded(asked.host, MAX_HOST, escape::json, out);
    out.extend_from_slice(b"\",\"target\":\"");
    bounded(asked.target, MAX_TARGET, escape::json, out);
    out.extend_from_slice(b"\",\"version\":\"");
    out.extend_from_slice(version(asked.version));
    out.extend_from_slice(b"\",\"status\":");
    let gap = out.len();
    let Shown { referer, user_agent } = Shown::of(asked.fields);
    if let Some(referer) = referer {
        out.extend_from_slice(b",\"referer\":\"");
        bounded(referer, MAX_FIELD, escape::json, out);
        out.push(b'"');
    }
    if let Some(agent) = user_agent {
        out.extend_from_slice(b",\"user_agent\":\"");
        bounded(agent, MAX_FIELD, escape::json, out);
        out.push(b'"');
    }
    gap
}

/// What belongs between the two parts of the request.
pub(super) fn size(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(record.status.as_str().as_bytes());
    out.extend_from_slice(b",\"bytes\":");
    number(record.bytes, out);
}

/// The member `key` with the name of a route or an upstream.
pub(super) fn name(key: &str, name: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(name) = name {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape::json(name.as_bytes(), &mut out);
        out.push(b'"');
    }
    out
}

/// The members after those.
pub(super) fn answer(record: &Record, out: &mut Vec<u8>) {
    let decision = &record.decision;
    out.extend_from_slice(b",\"outcome\":\"");
    out.extend_from_slice(decision.outcome().as_str().as_bytes());
    out.push(b'"');
    if let Some(forward) = decision.forward {
        out.extend_from_slice(b",\"fwd\":\"");
        out.extend_from_slice(forward.as_str().as_bytes());
        out.push(b'"');
    }
    if let Some(status) = decision.forward_status {
        out.extend_from_slice(b",\"fwd_status\":");
        out.extend_from_slice(status.as_str().as_bytes());
    }
    if let Some(ttl) = decision.ttl {
        out.extend_from_slice(b",\"ttl\":");
        number(ttl, out);
    }
    out.extend_from_slice(match (decision.stored, decision.collapsed) {
        (false, false) => b",\"stored\":false,\"collapsed\":false".as_slice(),
        (false, true) => b",\"stored\":false,\"collapsed\":true",
        (true, false) => b",\"stored\":true,\"collapsed\":false",
        (true, true) => b",\"stored\":true,\"collapsed\":true",
    });
    if let Some(detail) = decision.detail {
        out.extend_from_slice(b",\"detail\":\"");
        escape::json(detail.as_bytes(), out);
        out.push(b'"');
    }
    if let Some(duration) = record.time_to_first_byte() {
        out.extend_from_slice(b",\"first_byte_us\":");
        micros(duration, out);
    }
    out.extend_from_slice(b",\"duration_us\":");
    micros(record.duration(), out);
    out.extend_from_slice(if record.aborted {
        b",\"aborted\":true}\n".as_slice()
    } else {
        b",\"aborted\":false}\n"
    });
}
