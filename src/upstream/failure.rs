//! Why there is no response, or not all of it.

use std::error::Error as StdError;
use std::io;

use thiserror::Error;

/// Why an upstream gave no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.as_str())]
pub enum Failure {
    /// No connection to the server: refused, unreachable, or its name does not resolve.
    Connect,
    /// TCP and TLS took longer than `connect_timeout`.
    ConnectTimeout,
    /// The TLS handshake failed, or the certificate is not to be trusted.
    Tls,
    /// All connections that the server is allowed stayed taken for `connect_timeout`.
    Busy,
    /// The connection ended before the response head.
    Reset,
    /// No response head within `first_byte_timeout`.
    FirstByteTimeout,
    /// What came is not a response that can be relied on: malformed, too large a head, contradictory framing, or a
    /// protocol switch nobody asked for.
    BadResponse,
    /// The request's own body failed: the client broke off, or its framing did.
    RequestBody,
    /// The request's own body made no progress for `between_bytes_timeout`.
    RequestStalled,
}

impl Failure {
    /// The reason by which log, metric and header call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect-failed",
            Self::ConnectTimeout => "connect-timeout",
            Self::Tls => "tls-failed",
            Self::Busy => "upstream-busy",
            Self::Reset => "connection-reset",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::BadResponse => "bad-response",
            Self::RequestBody => "request-body-failed",
            Self::RequestStalled => "request-body-stalled",
        }
    }

    /// Whether the origin took too long (504 rather than 502).
    pub fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::FirstByteTimeout)
    }

    /// Whether the client is to blame and the origin is not (4xx rather than 5xx).
    pub fn is_clients(self) -> bool {
        matches!(self, Self::RequestBody | Self::RequestStalled)
    }

    /// All of them, for tests of uniqueness.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Busy,
        Self::Reset,
        Self::FirstByteTimeout,
        Self::BadResponse,
        Self::RequestBody,
        Self::RequestStalled,
    ];

    /// Sorts what hyper reports. Everything that is neither the client's fault nor unparsable is a lost connection.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_user() {
            Self::RequestBody
        } else if error.is_parse() {
            Self::BadResponse
        } else {
            Self::Reset
        }
    }
}

/// Why a response body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.as_str())]
pub enum BodyFailure {
    /// The origin sent nothing for `between_bytes_timeout`.
    BetweenBytesTimeout,
    /// The connection ended too early, in order: fewer bytes than announced, or TLS without close_notify.
    Truncated,
    /// The connection was reset.
    Reset,
    /// The chunks are malformed.
    BadFraming,
}

impl BodyFailure {
    /// The reason by which log and metric call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BetweenBytesTimeout => "between-bytes-timeout",
            Self::Truncated => "body-truncated",
            Self::Reset => "body-reset",
            Self::BadFraming => "bad-framing",
        }
    }

    /// All of them, for tests of uniqueness.
    pub const ALL: [Self; 4] = [Self::BetweenBytesTimeout, Self::Truncated, Self::Reset, Self::BadFraming];

    /// Sorts what hyper reports: its decoder uses these kinds of `io::Error`, and so does rustls for a connection that
    /// ends without close_notify.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() {
            return Self::Truncated;
        }
        match source_of::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::UnexpectedEof) => Self::Truncated,
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Self::BadFraming,
            _ => Self::Reset,
        }
    }
}

/// The first error of type `E` among the causes of `error`.
fn source_of<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
