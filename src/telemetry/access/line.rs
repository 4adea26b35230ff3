//! A line: the request's part of it, rendered when the request comes, and the answer's, added when that has ended.

use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method, Version};

use super::{json, text};
use crate::config::LogFormat;
use crate::telemetry::labels::Labels;
use crate::telemetry::record::Record;

/// What a line shows of a request, as the client sent it.
pub struct Asked<'a> {
    /// The peer of the connection.
    pub client: SocketAddr,
    /// When the request came.
    pub time: SystemTime,
    /// The method asked for. It is a token (RFC 9110 §9.1), and needs no escape.
    pub method: &'a Method,
    /// `Host` or the authority of the request target.
    pub host: &'a [u8],
    /// Path and query as sent.
    pub target: &'a [u8],
    /// Of the request.
    pub version: Version,
    /// The first `Referer` and the first `User-Agent` of these are shown.
    pub fields: &'a HeaderMap,
}

/// What a line shows of a request's fields: each the first of its name.
#[derive(Default)]
pub(super) struct Shown<'a> {
    pub(super) referer: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
}

impl<'a> Shown<'a> {
    /// In one pass: requests have few fields, and to look one up by its name takes as long.
    pub(super) fn of(fields: &'a HeaderMap) -> Self {
        let mut shown = Self::default();
        for (name, value) in fields {
            match *name {
                REFERER => _ = shown.referer.get_or_insert(value.as_bytes()),
                USER_AGENT => _ = shown.user_agent.get_or_insert(value.as_bytes()),
                _ => {}
            }
        }
        shown
    }
}

/// The request's part of a line, until there is an answer. It holds a bounded part of what the client sent.
pub struct Line {
    text: Vec<u8>,
    /// Where in it the answer's status and size belong.
    gap: usize,
}

thread_local! {
    /// The line that has ended last, for the next request: most are answered before the next comes.
    static SPARE: Cell<Option<Box<Line>>> = const { Cell::new(None) };
}

impl Line {
    /// Most are shorter; those that are not do not become spare.
    const USUAL: usize = 512;

    fn take() -> Box<Self> {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        spare.unwrap_or_else(|| Box::new(Self { text: Vec::with_capacity(Self::USUAL), gap: 0 }))
    }

    /// Lets the next request of this thread have the space.
    pub(super) fn recycle(mut self: Box<Self>) {
        if self.text.capacity() == Self::USUAL {
            self.text.clear();
            // A thread that ends needs no spare line.
            let _ = SPARE.try_with(|spare| spare.set(Some(self)));
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.text.escape_ascii().to_string()).finish()
    }
}

/// How lines are written, with the names that records refer to by index.
pub(super) struct Format {
    format: LogFormat,
    routes: Names,
    upstreams: Names,
}

impl Format {
    pub(super) fn new(format: LogFormat, labels: &Labels<'_>) -> Self {
        let render = match format {
            LogFormat::Text => text::name,
            LogFormat::Json => json::name,
        };
        let routes = Names::new(&labels.routes, |name| render("route", name));
        let upstreams = Names::new(&labels.upstreams, |name| render("upstream", name));
        Self { format, routes, upstreams }
    }

    /// The request's part.
    pub(super) fn begin(&self, asked: &Asked<'_>) -> Box<Line> {
        let mut line = Line::take();
        line.gap = match self.format {
            LogFormat::Text => text::request(asked, &mut line.text),
            LogFormat::Json => json::request(asked, &mut line.text),
        };
        line
    }

    /// Appends the whole line, with its end.
    pub(super) fn end(&self, line: &Line, record: &Record, out: &mut Vec<u8>) {
        let Some((before, after)) = line.text.split_at_checked(line.gap) else { return };
        out.extend_from_slice(before);
        match self.format {
            LogFormat::Text => text::size(record, out),
            LogFormat::Json => json::size(record, out),
        }
        out.extend_from_slice(after);
        out.extend_from_slice(self.routes.get(record.route));
        out.extend_from_slice(self.upstreams.get(record.upstream));
        match self.format {
            LogFormat::Text => text::answer(record, out),
            LogFormat::Json => json::answer(record, out),
        }
    }
}

/// What a line says about a route or an upstream, rendered when the log is opened.
struct Names {
    each: Vec<Vec<u8>>,
    none: Vec<u8>,
}

impl Names {
    fn new(names: &[&str], render: impl Fn(Option<&str>) -> Vec<u8>) -> Self {
        Self { each: names.iter().map(|&name| render(Some(name))).collect(), none: render(None) }
    }

    fn get(&self, index: Option<usize>) -> &[u8] {
        index.and_then(|index| self.each.get(index)).unwrap_or(&self.none)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;
    use std::time::Duration;

    use http::{HeaderValue, StatusCode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::pieces::{MAX_FIELD, MAX_HOST, MAX_TARGET};
    use super::*;
    use crate::clock::Manual;
    use crate::telemetry::decision::{Decision, Forward};
    use crate::telemetry::record::tests::record;

    /// A request by curl.
    pub(crate) fn asked() -> Asked<'static> {
        static FIELDS: LazyLock<HeaderMap> =
            LazyLock::new(|| HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("curl/8.5.0"))]));
        Asked {
            client: SocketAddr::from(([127, 0, 0, 1], 50_123)),
            time: Manual::new().wall(),
            method: &Method::GET,
            host: b"api.example.com",
            target: b"/products/42?a=b",
            version: Version::HTTP_11,
            fields: &FIELDS,
        }
    }

    const ROUTE: &str = "api \"v1\"";

    fn written(format: LogFormat, record: &Record, asked: &Asked<'_>) -> String {
        let labels = Labels { routes: vec![ROUTE], upstreams: vec!["origin"], ..Labels::default() };
        let format = Format::new(format, &labels);
        let mut out = Vec::new();
        format.end(&format.begin(asked), record, &mut out);
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
            written(LogFormat::Text, &record(), &asked()),
            "127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /products/42?a=b HTTP/1.1\" 200 1024 \"-\" \
             \"curl/8.5.0\" host=\"api.example.com\" route=\"api \\\"v1\\\"\" upstream=\"-\" outcome=hit ttl=30 \
             first_byte_us=100 duration_us=150\n"
        );
        assert!(written(LogFormat::Text, &miss(), &asked()).ends_with(
            "route=\"-\" upstream=\"origin\" outcome=collapsed fwd=uri-miss fwd_status=200 ttl=-1 stored collapsed \
             aborted detail=\"set-cookie\" duration_us=150\n"
        ));
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        assert_eq!(
            written(LogFormat::Json, &record(), &asked()),
            "{\"time\":\"2026-01-01T00:00:00.000Z\",\"client\":\"127.0.0.1\",\"client_port\":50123,\
             \"method\":\"GET\",\"host\":\"api.example.com\",\"target\":\"/products/42?a=b\",\
             \"version\":\"HTTP/1.1\",\"status\":200,\"bytes\":1024,\"user_agent\":\"curl/8.5.0\",\
             \"route\":\"api \\\"v1\\\"\",\"outcome\":\"hit\",\"ttl\":30,\"stored\":false,\"collapsed\":false,\
             \"first_byte_us\":100,\"duration_us\":150,\"aborted\":false}\n"
        );
        let miss = written(LogFormat::Json, &miss(), &asked());
        let miss: Value = serde_json::from_str(&miss).unwrap();
        assert_eq!(miss["fwd"], "uri-miss");
        assert_eq!(miss["fwd_status"], 200);
        assert_eq!(miss["detail"], "set-cookie");
        assert_eq!(miss["upstream"], "origin");
        assert!(miss.get("route").is_none() && miss.get("first_byte_us").is_none());
    }

    #[test]
    fn no_byte_breaks_or_forges_a_line() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let forgery = b"\" 200 1 \"-\"\n127.0.0.1 - - [x] \"GET /forged HTTP/1.1\" 200 1".as_slice();
        let json_forgery = b"\"}\n{\"status\":500,\"x\":\"".as_slice();
        for bytes in [&every_byte, forgery, json_forgery, "\u{2028}\u{85}\u{9b}31m\u{202e}".as_bytes()] {
            let asked = Asked { host: bytes, target: bytes, ..asked() };
            for format in [LogFormat::Text, LogFormat::Json] {
                let written = written(format, &record(), &asked);
                let content = written.strip_suffix('\n').unwrap();
                assert!(content.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{content}");
            }
        }
    }

    #[test]
    fn no_method_needs_an_escape() {
        for byte in 0..=255 {
            let Ok(method) = Method::from_bytes(&[b'A', byte]) else { continue };
            for escape in [super::super::escape::json, super::super::escape::text] {
                let mut escaped = Vec::new();
                escape(method.as_str().as_bytes(), &mut escaped);
                assert_eq!(escaped, method.as_str().as_bytes());
            }
        }
    }

    #[test]
    fn fields_are_the_first_of_their_name() {
        let mut fields = HeaderMap::new();
        fields.append(REFERER, HeaderValue::from_static("https://example.com/"));
        fields.append(USER_AGENT, HeaderValue::from_static("first"));
        fields.append(USER_AGENT, HeaderValue::from_static("second"));
        let asked = Asked { fields: &fields, version: Version::HTTP_2, target: b"/", ..asked() };
        let written = written(LogFormat::Text, &record(), &asked);
        assert!(
            written.contains("\"GET / HTTP/2.0\" 200 1024 \"https://example.com/\" \"first\" "),
            "{written}"
        );
    }

    #[test]
    fn what_a_client_sends_is_shown_up_to_a_bound() {
        let mut fields = HeaderMap::new();
        fields.insert(REFERER, HeaderValue::from_bytes(&[b'r'; MAX_FIELD]).unwrap());
        fields.insert(USER_AGENT, HeaderValue::from_bytes(&[b'u'; 60_000]).unwrap());
        let (host, target) = ([b'h'; MAX_HOST + 1], [b't'; 60_000]);
        let asked = Asked { fields: &fields, host: &host, target: &target, ..asked() };
        let line: Value = serde_json::from_str(&written(LogFormat::Json, &record(), &asked)).unwrap();
        let expected = |char: &str, max| format!("{}...", char.repeat(max));
        assert_eq!(line["referer"], "r".repeat(MAX_FIELD), "just short enough");
        assert_eq!(line["user_agent"], expected("u", MAX_FIELD));
        assert_eq!(line["host"], expected("h", MAX_HOST));
        assert_eq!(line["target"], expected("t", MAX_TARGET));
    }

    /// What one request leaves behind must not show in the line of the next.
    #[test]
    fn a_spare_line_is_empty() {
        let long = Asked { target: b"/a-longer-target-than-that-of-the-next", ..asked() };
        let expected = written(LogFormat::Json, &record(), &asked());
        let format = Format::new(LogFormat::Json, &Labels { routes: vec![ROUTE], ..Labels::default() });
        format.begin(&long).recycle();
        let mut out = Vec::new();
        format.end(&format.begin(&asked()), &record(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    prop_compose! {
        fn any_field()(bytes in proptest::option::of("[ -~\u{a0}-\u{ff}\u{1f9c0}]{0,40}")) -> Option<HeaderValue> {
            HeaderValue::from_bytes(bytes?.as_bytes()).ok()
        }
    }

    prop_compose! {
        fn any_record()(
            status in 100_u16..1000,
            bytes: u64,
            ttl: Option<i64>,
            [hit, stored, collapsed, aborted]: [bool; 4],
            forward in proptest::option::of(prop_oneof![Just(Forward::Stale), Just(Forward::Bypass)]),
            forward_status in proptest::option::of(100_u16..1000),
            detail in proptest::option::of(prop_oneof![Just("no-store"), Just("a \"reason\"\n")]),
            [route, upstream] in [proptest::option::of(0_usize..3), proptest::option::of(0_usize..3)],
            [first_byte, took]: [Option<u32>; 2],
        ) -> Record {
            let of = |status| StatusCode::from_u16(status).unwrap();
            let forward_status = forward_status.map(of);
            let decision = Decision { hit, forward, forward_status, ttl, stored, collapsed, detail };
            let after = |micros: u32| record().received + Duration::from_micros(micros.into());
            Record {
                decision,
                status: of(status),
                first_byte: first_byte.map(after),
                ended: after(took.unwrap_or(0)),
                bytes,
                aborted,
                route,
                upstream,
                ..record()
            }
        }
    }

    proptest! {
        /// What a parser reads is what went in, whatever it was.
        #[test]
        fn a_json_line_says_it_all(
            record in any_record(),
            [host, target]: [Vec<u8>; 2],
            [referer, agent] in [any_field(), any_field()],
        ) {
            let named = [(REFERER, referer.clone()), (USER_AGENT, agent.clone())];
            let fields = HeaderMap::from_iter(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let asked = Asked { host: &host, target: &target, fields: &fields, ..asked() };
            let read: Value = serde_json::from_str(&written(LogFormat::Json, &record, &asked)).unwrap();

            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let decision = &record.decision;
            let mut expected = json!({
                "time": "2026-01-01T00:00:00.000Z",
                "client": "127.0.0.1",
                "client_port": 50_123,
                "method": "GET",
                "host": lossy(&host),
                "target": lossy(&target),
                "version": "HTTP/1.1",
                "status": record.status.as_u16(),
                "bytes": record.bytes,
                "referer": referer.map(|value| lossy(value.as_bytes())),
                "user_agent": agent.map(|value| lossy(value.as_bytes())),
                "route": record.route.and_then(|index| [ROUTE].get(index).copied()),
                "upstream": record.upstream.and_then(|index| ["origin"].get(index).copied()),
                "outcome": decision.outcome().as_str(),
                "fwd": decision.forward.map(|forward| forward.as_str()),
                "fwd_status": decision.forward_status.map(|status| status.as_u16()),
                "ttl": decision.ttl,
                "stored": decision.stored,
                "collapsed": decision.collapsed,
                "detail": decision.detail,
                "first_byte_us": record.time_to_first_byte().map(|time| time.as_micros() as u64),
                "duration_us": record.duration().as_micros() as u64,
                "aborted": record.aborted,
            });
            expected.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            prop_assert_eq!(read, expected);
        }
    }
}
