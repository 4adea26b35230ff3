//! A directive: its name and its argument.

use std::borrow::Cow;
use std::time::Duration;

use http::header::HeaderName;

use crate::policy::syntax::{self, Backslash, MAX_DELTA};

/// What follows the name of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    /// Nothing.
    None,
    /// A token or a quoted string, without its quotes: both forms mean the same (RFC 9111 §5.2).
    Given(Cow<'a, [u8]>),
    /// Something that the grammar does not know, such as spaces around `=`.
    Malformed,
}

impl Argument<'_> {
    /// The argument as a number of seconds.
    pub(crate) fn seconds(&self) -> Seconds {
        match self {
            Self::Given(text) => syntax::number(text).map_or(Seconds::Malformed, Seconds::of),
            Self::None | Self::Malformed => Seconds::Malformed,
        }
    }
}

/// An argument that is a number of seconds (`delta-seconds`, RFC 9111 §1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seconds {
    /// The directive is not there.
    #[default]
    Absent,
    /// The directive is there, its argument is not a number.
    Malformed,
    /// At most 2^31.
    Given(u32),
}

impl Seconds {
    /// Values past 2^31 are taken as 2^31.
    pub(crate) fn of(value: u64) -> Self {
        Self::Given(u32::try_from(value.min(MAX_DELTA)).unwrap_or(u32::MAX))
    }

    /// Given twice, the more restrictive counts (RFC 9111 §4.2.1): the smaller, or a malformed one.
    pub(crate) fn restrict(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Absent, other) => other,
            (Self::Given(a), Self::Given(b)) => Self::Given(a.min(b)),
            _ => Self::Malformed,
        };
    }

    /// `None`: the directive is not there. A malformed one is zero.
    pub(crate) fn restrictive(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Malformed => Some(Duration::ZERO),
            Self::Given(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        }
    }

    /// Whether the directive is there, readable or not.
    pub(crate) fn is_present(self) -> bool {
        self != Self::Absent
    }

    /// Whether the directive is there and can be read.
    pub(crate) fn is_valid(self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// `max-age=60`, for explanations. `None`: the directive is not there.
    pub(crate) fn describe(self, name: &str) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Malformed => Some(format!("{name}=malformed")),
            Self::Given(seconds) => Some(format!("{name}={seconds}")),
        }
    }
}

/// What `no-cache` and `private` apply to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The directive is not there.
    #[default]
    Nothing,
    /// These fields only: `no-cache="set-cookie"`.
    Fields(Vec<HeaderName>),
    /// The whole response.
    Everything,
}

impl Reach {
    pub(crate) fn extend(&mut self, argument: &Argument<'_>) {
        let more = match argument {
            Argument::Given(list) => field_names(list),
            Argument::None | Argument::Malformed => None,
        };
        match (&mut *self, more) {
            (Self::Everything, _) => {}
            (Self::Fields(names), Some(more)) => names.extend(more),
            (Self::Nothing, Some(names)) => *self = Self::Fields(names),
            (_, None) => *self = Self::Everything,
        }
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    pub(crate) fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Nothing | Self::Everything => &[],
        }
    }

    /// `no-cache="a, b"`, for explanations. `None`: the directive is not there.
    pub(crate) fn describe(&self, name: &str) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Everything => Some(name.to_owned()),
            Self::Fields(fields) => {
                let fields: Vec<&str> = fields.iter().map(HeaderName::as_str).collect();
                Some(format!("{name}=\"{}\"", fields.join(", ")))
            }
        }
    }
}

/// `None` if there is no name or one is invalid: the directive then counts as if without argument.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names =
        syntax::plain_members(list).map(HeaderName::from_bytes).collect::<Result<Vec<_>, _>>().ok()?;
    (!names.is_empty()).then_some(names)
}

/// Calls `take` with the name, in lower case, and the argument of each directive of a line.
pub(crate) fn each_directive<'a>(line: &'a [u8], mut take: impl FnMut(&[u8], Argument<'a>)) {
    for member in syntax::members(line, Backslash::Escapes) {
        let (name, rest) = split_name(member);
        take(&name, argument(rest));
    }
}

/// The leading token, in lower case, and what follows it. So `private; max-age=60` is `private` with a malformed
/// argument rather than an unknown directive.
pub(crate) fn split_name(member: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let end = member.iter().position(|&byte| !syntax::is_token_byte(byte)).unwrap_or(member.len());
    let (name, rest) = member.split_at(end);
    if name.iter().any(u8::is_ascii_uppercase) {
        (Cow::Owned(name.to_ascii_lowercase()), rest)
    } else {
        (Cow::Borrowed(name), rest)
    }
}

fn argument(rest: &[u8]) -> Argument<'_> {
    match rest {
        [] => Argument::None,
        [b'=', b'"', ..] => syntax::unquote(&rest[1..]).map_or(Argument::Malformed, Argument::Given),
        [b'=', token @ ..] if !token.is_empty() && token.iter().all(|&byte| syntax::is_token_byte(byte)) => {
            Argument::Given(Cow::Borrowed(token))
        }
        _ => Argument::Malformed,
    }
}
