//! How a request was answered, in the words of RFC 9211.
//!
//! Request handling fills in a [`Decision`]; the `Cache-Status` member, the outcome in log and metrics and the
//! named reason are all read from it.

use http::StatusCode;

/// What this cache did with a request (RFC 9211 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Answered from the store without going forward (§2.1). Excludes `forward`.
    pub hit: bool,
    /// Why the request went forward (§2.2). Neither a hit nor forwarded: Larder answered by itself.
    pub forward: Option<Forward>,
    /// What the origin answered (§2.3); `None` beside `forward` means that no answer came.
    pub forward_status: Option<StatusCode>,
    /// Remaining freshness of the answer in whole seconds, rounded down, so that anything stale is negative (§2.4).
    pub ttl: Option<i64>,
    /// The answer that came from the origin was stored (§2.5).
    pub stored: bool,
    /// The answer was fetched for another request as well (§2.6).
    pub collapsed: bool,
    /// Our named reason (§2.8).
    pub detail: Option<&'static str>,
}

impl Decision {
    /// Answered from the store; `ttl` in seconds, negative when stale.
    pub fn hit(ttl: i64) -> Self {
        Self { hit: true, ttl: Some(ttl), ..Self::default() }
    }

    /// Sent to the origin.
    pub fn forwarded(why: Forward) -> Self {
        Self { forward: Some(why), ..Self::default() }
    }

    /// Answered by Larder itself, neither from the store nor by the origin.
    pub fn local(reason: &'static str) -> Self {
        Self { detail: Some(reason), ..Self::default() }
    }

    /// The decision in one word, for log and metrics.
    pub fn outcome(&self) -> Outcome {
        let stale = self.ttl.is_some_and(|ttl| ttl < 0);
        let Some(forward) = self.forward else {
            return match (self.hit, stale) {
                (true, false) => Outcome::Hit,
                (true, true) => Outcome::Stale,
                (false, _) => Outcome::Local,
            };
        };
        if forward.had_stored_response() {
            match self.forward_status {
                Some(StatusCode::NOT_MODIFIED) => return Outcome::Revalidated,
                // A negative ttl beside a failed fetch: the stored response was served under stale-if-error.
                Some(status) if status.is_server_error() && stale => return Outcome::Stale,
                None if stale => return Outcome::Stale,
                _ => {}
            }
        }
        match forward {
            _ if self.collapsed => Outcome::Collapsed,
            _ if self.forward_status.is_none() => Outcome::Error,
            Forward::Bypass | Forward::Method => Outcome::Pass,
            _ => Outcome::Miss,
        }
    }

    /// Appends this cache's member of the `Cache-Status` list: `larder; fwd=uri-miss; fwd-status=200; stored`.
    ///
    /// What earlier caches wrote, and the comma after it, is the caller's. Only visible ASCII is written.
    pub fn write(&self, name: &CacheName, out: &mut Vec<u8>) {
        out.extend_from_slice(&name.0);
        if self.hit {
            out.extend_from_slice(b"; hit");
        }
        if let Some(forward) = self.forward {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(forward.as_str().as_bytes());
        }
        if let Some(status) = self.forward_status {
            out.extend_from_slice(b"; fwd-status=");
            out.extend_from_slice(status.as_str().as_bytes());
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            let ttl = ttl.clamp(-MAX_INTEGER, MAX_INTEGER);
            out.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            write_token_or_string(detail, out);
        }
    }
}

/// A cache's name as it stands in `Cache-Status` (RFC 9211 §2): a token if it can be one, else a string.
#[derive(Clone, Debug)]
pub struct CacheName(Box<[u8]>);

impl CacheName {
    /// Renders `name`; what neither form can hold becomes `?`.
    pub fn new(name: &str) -> Self {
        let mut rendered = Vec::new();
        write_token_or_string(name, &mut rendered);
        Self(rendered.into())
    }
}

/// The largest integer of structured fields (RFC 9651 §3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// RFC 9651 §3.3.4 if the text allows it, else §3.3.3; what a string cannot hold becomes `?`.
fn write_token_or_string(text: &str, out: &mut Vec<u8>) {
    if is_token(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend_from_slice(&[b'\\', char as u8]),
            ' '..='~' => out.push(char as u8),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

fn is_token(text: &[u8]) -> bool {
    let starts = text.first().is_some_and(|&first| first.is_ascii_alphabetic() || first == b'*');
    starts && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte))
}

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Configured to pass, or known not to be cacheable.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for these selecting header fields.
    VaryMiss,
    /// Nothing usable is stored, and no more can be said.
    Miss,
    /// Something fresh is stored, but the request's own directives refuse it.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored lacks the range that was asked for.
    Partial,
}

impl Forward {
    /// The token in `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }

    fn had_stored_response(self) -> bool {
        matches!(self, Forward::Request | Forward::Stale)
    }
}

/// A [`Decision`] in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Fresh, from the store.
    Hit,
    /// From the store although stale: while revalidating, on error, or as the client allowed.
    Stale,
    /// The origin confirmed what is stored with a 304.
    Revalidated,
    /// Fetched from the origin.
    Miss,
    /// Fetched from the origin by a request that others shared.
    Collapsed,
    /// Handed through to the origin, past the store.
    Pass,
    /// Sent forward, but no answer came.
    Error,
    /// Answered by Larder itself: refused, or not possible without going forward.
    Local,
}

impl Outcome {
    /// All, in the order of their discriminants.
    pub const ALL: [Outcome; 8] = [
        Outcome::Hit,
        Outcome::Stale,
        Outcome::Revalidated,
        Outcome::Miss,
        Outcome::Collapsed,
        Outcome::Pass,
        Outcome::Error,
        Outcome::Local,
    ];

    /// The value of the label `outcome` and of the log's key of that name.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Stale => "stale",
            Outcome::Revalidated => "revalidated",
            Outcome::Miss => "miss",
            Outcome::Collapsed => "collapsed",
            Outcome::Pass => "pass",
            Outcome::Error => "error",
            Outcome::Local => "local",
        }
    }
}

/// The first digit of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 100 to 199.
    Informational,
    /// 200 to 299.
    Successful,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 to 599.
    ServerError,
    /// 600 to 999, which `http` lets through.
    Other,
}

impl StatusClass {
    /// All, in the order of their discriminants.
    pub const ALL: [StatusClass; 6] = [
        StatusClass::Informational,
        StatusClass::Successful,
        StatusClass::Redirection,
        StatusClass::ClientError,
        StatusClass::ServerError,
        StatusClass::Other,
    ];

    /// The class of a status code.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() / 100 {
            1 => StatusClass::Informational,
            2 => StatusClass::Successful,
            3 => StatusClass::Redirection,
            4 => StatusClass::ClientError,
            5 => StatusClass::ServerError,
            _ => StatusClass::Other,
        }
    }

    /// The value of the label `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            StatusClass::Informational => "1xx",
            StatusClass::Successful => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
            StatusClass::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(decision: Decision, name: &str) -> String {
        let mut out = Vec::new();
        decision.write(&CacheName::new(name), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn fetched(forward: Forward, status: u16) -> Decision {
        let status = StatusCode::from_u16(status).unwrap();
        Decision { forward_status: Some(status), ..Decision::forwarded(forward) }
    }

    #[test]
    fn cache_status_and_outcome() {
        let miss = fetched(Forward::UriMiss, 200);
        let table = [
            (Decision::hit(30), "larder; hit; ttl=30", Outcome::Hit),
            (Decision::hit(0), "larder; hit; ttl=0", Outcome::Hit),
            (Decision::hit(-4), "larder; hit; ttl=-4", Outcome::Stale),
            (
                Decision { stored: true, ttl: Some(60), ..miss },
                "larder; fwd=uri-miss; fwd-status=200; ttl=60; stored",
                Outcome::Miss,
            ),
            (
                Decision { collapsed: true, stored: true, ..miss },
                "larder; fwd=uri-miss; fwd-status=200; stored; collapsed",
                Outcome::Collapsed,
            ),
            (
                Decision { detail: Some("no-store"), ..fetched(Forward::VaryMiss, 200) },
                "larder; fwd=vary-miss; fwd-status=200; detail=no-store",
                Outcome::Miss,
            ),
            (
                Decision { ttl: Some(60), ..fetched(Forward::Stale, 304) },
                "larder; fwd=stale; fwd-status=304; ttl=60",
                Outcome::Revalidated,
            ),
            (fetched(Forward::Request, 304), "larder; fwd=request; fwd-status=304", Outcome::Revalidated),
            (fetched(Forward::Stale, 200), "larder; fwd=stale; fwd-status=200", Outcome::Miss),
            (
                Decision { ttl: Some(-9), detail: Some("stale-if-error"), ..fetched(Forward::Stale, 503) },
                "larder; fwd=stale; fwd-status=503; ttl=-9; detail=stale-if-error",
                Outcome::Stale,
            ),
            (
                Decision { ttl: Some(-9), detail: Some("connect"), ..Decision::forwarded(Forward::Stale) },
                "larder; fwd=stale; ttl=-9; detail=connect",
                Outcome::Stale,
            ),
            // Not revalidation: the client's own condition, answered by the origin.
            (fetched(Forward::Bypass, 304), "larder; fwd=bypass; fwd-status=304", Outcome::Pass),
            (fetched(Forward::Method, 201), "larder; fwd=method; fwd-status=201", Outcome::Pass),
            (fetched(Forward::Partial, 206), "larder; fwd=partial; fwd-status=206", Outcome::Miss),
            (Decision::forwarded(Forward::Miss), "larder; fwd=miss", Outcome::Error),
            (Decision::local("loop"), "larder; detail=loop", Outcome::Local),
        ];
        for (decision, expected, outcome) in table {
            assert_eq!(written(decision, "larder"), expected);
            assert_eq!(decision.outcome(), outcome, "{expected}");
        }
    }

    #[test]
    fn names_and_details_are_tokens_if_possible_else_strings() {
        let table = [
            ("larder", "larder"),
            ("edge-1.example.com:8080/a", "edge-1.example.com:8080/a"),
            ("*x", "*x"),
            ("1st", "\"1st\""),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("a;b,c", "\"a;b,c\""),
            ("sp\u{e4}t\r\nX: 1", "\"sp?t??X: 1\""),
        ];
        for (text, expected) in table {
            assert_eq!(written(Decision::default(), text), expected);
        }
    }

    #[test]
    fn what_is_written_is_a_structured_field() {
        use sfv::{ListEntry, Parser};

        for name in ["larder", "my larder \"2\"", "9"] {
            let decision = Decision {
                ttl: Some(i64::MIN),
                stored: true,
                collapsed: true,
                detail: Some("not a token"),
                ..fetched(Forward::Stale, 200)
            };
            let list = Parser::new(&written(decision, name)).parse::<sfv::List>().unwrap();
            let [ListEntry::Item(item)] = &list[..] else { panic!("{list:?}") };
            let keys: Vec<&str> = item.params.keys().map(|key| key.as_str()).collect();
            assert_eq!(keys, ["fwd", "fwd-status", "ttl", "stored", "collapsed", "detail"]);
            assert_eq!(item.params["ttl"].as_integer().map(i64::from), Some(-MAX_INTEGER));
        }
    }

    #[test]
    fn lists_of_all_follow_the_discriminants() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
        for (index, class) in StatusClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
