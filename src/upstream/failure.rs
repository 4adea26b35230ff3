//! Why no response came from an origin.

/// Why a request got no response from its upstream. Nothing internal is in it: the reason is all a client learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// None within `connect_timeout`.
    ConnectTimeout,
    /// All permitted connections stayed busy for `connect_timeout`.
    Busy,
    /// The connection ended before a response head was complete.
    Reset,
    /// No response head within `first_byte_timeout`.
    FirstByteTimeout,
    /// What came is not an HTTP response that can be passed on.
    BadResponse,
    /// The client's content broke off while it was being passed on.
    RequestBody,
}

impl Failure {
    /// Every reason, for metrics and for the test that names are unique.
    pub const REASONS: &'static [&'static str] = &[
        "connect-failed",
        "connect-timeout",
        "upstream-busy",
        "connection-reset",
        "first-byte-timeout",
        "bad-response",
        "request-body-failed",
    ];

    /// The reason's name in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Connect => "connect-failed",
            Failure::ConnectTimeout => "connect-timeout",
            Failure::Busy => "upstream-busy",
            Failure::Reset => "connection-reset",
            Failure::FirstByteTimeout => "first-byte-timeout",
            Failure::BadResponse => "bad-response",
            Failure::RequestBody => "request-body-failed",
        }
    }

    /// Time ran out: a 504 rather than a 502.
    pub fn is_timeout(self) -> bool {
        matches!(self, Failure::ConnectTimeout | Failure::FirstByteTimeout)
    }
}
