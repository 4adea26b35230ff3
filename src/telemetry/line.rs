//! An access-log line, as text or as JSON.
//!
//! Both are one line of printable ASCII, whatever a client sent: nobody can end a line early, forge a second one or
//! send control sequences to the terminal of whoever reads the log.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use http::Version;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::labels::Labels;
use super::record::{Line, Record};
use super::timestamp;
use crate::config::LogFormat;

/// How lines are written, with the names that records refer to by index.
pub(super) struct Format {
    format: LogFormat,
    names: Names,
}

/// Of routes and upstreams.
pub(super) struct Names {
    routes: Vec<Box<str>>,
    upstreams: Vec<Box<str>>,
}

impl Names {
    pub(super) fn of(labels: &Labels<'_>) -> Self {
        let boxed = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        Self { routes: boxed(&labels.routes), upstreams: boxed(&labels.upstreams) }
    }

    fn route(&self, record: &Record) -> Option<&str> {
        Some(self.routes.get(record.route?)?)
    }

    fn upstream(&self, record: &Record) -> Option<&str> {
        Some(self.upstreams.get(record.upstream?)?)
    }
}

impl Format {
    pub(super) fn new(format: LogFormat, names: Names) -> Self {
        Self { format, names }
    }

    /// Appends one line, with its end.
    pub(super) fn write(&self, record: &Record, line: &Line, out: &mut Vec<u8>) {
        let start = out.len();
        let written = match self.format {
            LogFormat::Text => self.text(record, line, out),
            LogFormat::Json => self.json(record, line, out),
        };
        debug_assert!(written.is_ok(), "writing to a Vec does not fail");
        if written.is_err() {
            out.truncate(start);
        }
    }

    /// The combined log format, and after it what a cache has to tell as `key=value`.
    fn text(&self, record: &Record, line: &Line, out: &mut Vec<u8>) -> io::Result<()> {
        write!(out, "{} - - [", line.client.ip())?;
        timestamp::write_common(line.time, out);
        out.extend_from_slice(b"] \"");
        escape(record.method.as_str().as_bytes(), out);
        out.push(b' ');
        escape(&line.target, out);
        write!(out, " {}\" {} {} ", version(line.version), record.status.as_u16(), record.bytes)?;
        quoted(line.referer.as_deref(), out);
        out.push(b' ');
        quoted(line.user_agent.as_deref(), out);
        out.extend_from_slice(b" host=");
        quoted(Some(&line.host), out);
        out.extend_from_slice(b" route=");
        quoted(self.names.route(record).map(str::as_bytes), out);
        out.extend_from_slice(b" upstream=");
        quoted(self.names.upstream(record).map(str::as_bytes), out);

        let decision = &record.decision;
        write!(out, " outcome={}", decision.outcome().as_str())?;
        if let Some(forward) = decision.forward {
            write!(out, " fwd={}", forward.as_str())?;
        }
        if let Some(status) = decision.forward_status {
            write!(out, " fwd_status={}", status.as_u16())?;
        }
        if let Some(ttl) = decision.ttl {
            write!(out, " ttl={ttl}")?;
        }
        for (flag, name) in
            [(decision.stored, " stored"), (decision.collapsed, " collapsed"), (record.aborted, " aborted")]
        {
            if flag {
                out.extend_from_slice(name.as_bytes());
            }
        }
        if let Some(detail) = decision.detail {
            out.extend_from_slice(b" detail=");
            quoted(Some(detail.as_bytes()), out);
        }
        if let Some(duration) = record.time_to_first_byte() {
            write!(out, " first_byte_us={}", duration.as_micros())?;
        }
        writeln!(out, " duration_us={}", record.duration().as_micros())
    }

    fn json(&self, record: &Record, line: &Line, out: &mut Vec<u8>) -> io::Result<()> {
        let decision = &record.decision;
        let object = Object {
            time: timestamp::rfc3339(line.time),
            client: line.client.ip().to_string(),
            client_port: line.client.port(),
            method: record.method.as_str(),
            host: String::from_utf8_lossy(&line.host),
            target: String::from_utf8_lossy(&line.target),
            version: version(line.version),
            status: record.status.as_u16(),
            bytes: record.bytes,
            referer: line.referer.as_deref().map(String::from_utf8_lossy),
            user_agent: line.user_agent.as_deref().map(String::from_utf8_lossy),
            route: self.names.route(record),
            upstream: self.names.upstream(record),
            outcome: decision.outcome().as_str(),
            fwd: decision.forward.map(|forward| forward.as_str()),
            fwd_status: decision.forward_status.map(|status| status.as_u16()),
            ttl: decision.ttl,
            stored: decision.stored,
            collapsed: decision.collapsed,
            detail: decision.detail,
            first_byte_us: record.time_to_first_byte().map(micros),
            duration_us: micros(record.duration()),
            aborted: record.aborted,
        };
        object.serialize(&mut Serializer::with_formatter(&mut *out, Ascii))?;
        out.push(b'\n');
        Ok(())
    }
}

/// The keys of a JSON line, in their order. What is not known is left out.
#[derive(Serialize)]
struct Object<'a> {
    time: String,
    client: String,
    client_port: u16,
    method: &'a str,
    host: Cow<'a, str>,
    target: Cow<'a, str>,
    version: &'static str,
    status: u16,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwd: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwd_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    stored: bool,
    collapsed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_us: Option<u64>,
    duration_us: u64,
    aborted: bool,
}

/// Compact JSON that writes everything but printable ASCII as `\uXXXX`.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        for part in fragment.split_inclusive(|char| !matches!(char, ' '..='~')) {
            let plain = part.trim_end_matches(|char| !matches!(char, ' '..='~'));
            writer.write_all(plain.as_bytes())?;
            for unit in part[plain.len()..].encode_utf16() {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/?",
    }
}

/// In double quotes and escaped; `"-"` if there is nothing.
fn quoted(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(bytes.unwrap_or(b"-"), out);
    out.push(b'"');
}

/// Printable ASCII stays; `"` and `\` get a backslash; every other byte becomes `\xHH`. Unambiguous, so the bytes
/// can be recovered.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(byte)) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                let digit = |nibble: u8| HEX[usize::from(nibble & 0xf)];
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{REFERER, USER_AGENT};
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::super::decision::{Decision, Forward};
    use super::super::record::tests::{line, record};
    use super::*;

    fn written(format: LogFormat, record: &Record, line: &Line) -> String {
        let labels = Labels { routes: vec!["api \"v1\""], upstreams: vec!["origin"], ..Labels::default() };
        let mut out = Vec::new();
        Format::new(format, Names::of(&labels)).write(record, line, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn miss() -> Record {
        let decision = Decision {
            forward_status: Some(StatusCode::OK),
            ttl: Some(-1),
            stored: true,
            collapsed: true,
            detail: Some("set-cookie"),
            ..Decision::forwarded(Forward::UriMiss)
        };
        Record { decision, upstream: Some(0), route: None, first_byte: None, aborted: true, ..record() }
    }

    #[test]
    fn text_begins_as_the_combined_log_format_does() {
        assert_eq!(
            written(LogFormat::Text, &record(), &line()),
            "127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /products/42?a=b HTTP/1.1\" 200 1024 \"-\" \
             \"curl/8.5.0\" host=\"api.example.com\" route=\"api \\\"v1\\\"\" upstream=\"-\" outcome=hit ttl=30 \
             first_byte_us=100 duration_us=150\n"
        );
        assert!(written(LogFormat::Text, &miss(), &line()).ends_with(
            "route=\"-\" upstream=\"origin\" outcome=collapsed fwd=uri-miss fwd_status=200 ttl=-1 stored collapsed \
             aborted detail=\"set-cookie\" duration_us=150\n"
        ));
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        assert_eq!(
            written(LogFormat::Json, &record(), &line()),
            "{\"time\":\"2026-01-01T00:00:00.000Z\",\"client\":\"127.0.0.1\",\"client_port\":50123,\
             \"method\":\"GET\",\"host\":\"api.example.com\",\"target\":\"/products/42?a=b\",\
             \"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":1024,\"user_agent\":\"curl/8.5.0\",\
             \"route\":\"api \\\"v1\\\"\",\"outcome\":\"hit\",\"ttl\":30,\"stored\":false,\"collapsed\":false,\
             \"first_byte_us\":100,\"duration_us\":150,\"aborted\":false}\n"
        );
        let miss = written(LogFormat::Json, &miss(), &line());
        let miss: serde_json::Value = serde_json::from_str(&miss).unwrap();
        assert_eq!(miss["fwd"], "uri-miss");
        assert_eq!(miss["fwd_status"], 200);
        assert_eq!(miss["detail"], "set-cookie");
        assert_eq!(miss["upstream"], "origin");
        assert!(miss.get("route").is_none() && miss.get("first_byte_us").is_none());
    }

    /// A line in which every field that a client chooses holds `bytes`.
    fn chosen_by_client(bytes: &[u8]) -> Line {
        Line {
            host: bytes.into(),
            target: bytes.into(),
            referer: Some(bytes.into()),
            user_agent: Some(bytes.into()),
            ..*line()
        }
    }

    #[test]
    fn no_byte_breaks_or_forges_a_line() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let forgery = b"\" 200 1 \"-\"\n127.0.0.1 - - [x] \"GET /forged HTTP/1.1\" 200 1".as_slice();
        let json_forgery = b"\"}\n{\"status\":500,\"x\":\"".as_slice();
        for bytes in [&every_byte, forgery, json_forgery, "\u{2028}\u{85}\u{9b}31m\u{202e}".as_bytes()] {
            let line = chosen_by_client(bytes);
            for format in [LogFormat::Text, LogFormat::Json] {
                let written = written(format, &record(), &line);
                let content = written.strip_suffix('\n').unwrap();
                assert!(content.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{content}");
            }
        }
    }

    #[test]
    fn text_can_be_read_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let written = written(LogFormat::Text, &record(), &chosen_by_client(&every_byte));
        let start = written.find("host=\"").unwrap() + 6;
        let mut read = Vec::new();
        let mut bytes = written.as_bytes()[start..].iter().copied();
        loop {
            match bytes.next().unwrap() {
                b'"' => break,
                b'\\' => match bytes.next().unwrap() {
                    b'x' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        read.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    }
                    escaped => read.push(escaped),
                },
                plain => read.push(plain),
            }
        }
        assert_eq!(read, every_byte);
    }

    #[test]
    fn json_can_be_read_back_as_far_as_it_is_unicode() {
        let text = "caf\u{e9} \u{1f9c0}\u{7f}\u{0}\"\\/\n";
        let object = written(LogFormat::Json, &record(), &chosen_by_client(text.as_bytes()));
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        for key in ["host", "target", "referer", "user_agent"] {
            assert_eq!(object[key], text, "{key}");
        }
        let object = written(LogFormat::Json, &record(), &chosen_by_client(b"caf\xe9"));
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        assert_eq!(object["host"], "caf\u{fffd}");
    }

    #[test]
    fn fields_come_from_the_request() {
        let mut fields = HeaderMap::new();
        fields.append(REFERER, HeaderValue::from_static("https://example.com/"));
        fields.append(USER_AGENT, HeaderValue::from_static("first"));
        fields.append(USER_AGENT, HeaderValue::from_static("second"));
        let line = line();
        let line = Line::new(line.client, line.time, b"h", b"/", Version::HTTP_2, &fields);
        let written = written(LogFormat::Text, &record(), &line);
        assert!(
            written.contains("\"GET / HTTP/2.0\" 200 1024 \"https://example.com/\" \"first\" "),
            "{written}"
        );
    }
}
