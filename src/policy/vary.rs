//! Which requests a stored response answers (RFC 9111 §4.1).

use std::borrow::Cow;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::accept;
use super::syntax::{self, Backslash, Quotes};

/// What `Vary` says (RFC 9110 §12.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: the response does not depend on the request's fields.
    Absent,
    /// `*`: it depends on something that no field tells.
    Star,
    /// It depends on these, sorted, each once.
    Fields(Box<[HeaderName]>),
}

impl Vary {
    /// Reads all lines. A `*` among other members makes it `*`; so does a name that is none.
    pub fn parse(response: &HeaderMap) -> Self {
        if !response.contains_key(header::VARY) {
            return Self::Absent;
        }
        let mut names = Vec::new();
        for member in syntax::lines(response, header::VARY).flat_map(syntax::plain_members) {
            // `*` is a token, hence would pass as a field name.
            match HeaderName::from_bytes(member) {
                Ok(name) if member != b"*" => names.push(name),
                _ => return Self::Star,
            }
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        if names.is_empty() { Self::Absent } else { Self::Fields(names.into()) }
    }

    /// The names of fields; none for `Absent` and `Star`.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Star => &[],
        }
    }
}

/// The selecting fields of the request that a response answered, with their values in normal form.
///
/// In a place of its own, if there are any: most responses do not vary, and each that is stored has one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Variant(Option<Box<Selected>>);

/// INVARIANT: `key` has for each of `fields`, in their order: the length of the name and the name; the length of the
/// value and the value, or [`ABSENT`] as the length. So two variants are equal exactly if their keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Selected {
    fields: Box<[HeaderName]>,
    key: Box<[u8]>,
}

/// Stands for the length of the value of a field that is not there, which is not the same as an empty one.
const ABSENT: u32 = u32::MAX;

impl Variant {
    /// That of a response that does not vary.
    pub const OF_ALL: Self = Self(None);

    /// Takes the values of `fields` (those of [`Vary::fields`]) from a request.
    pub fn of(fields: &[HeaderName], request: &HeaderMap) -> Self {
        if fields.is_empty() {
            return Self::default();
        }
        let mut key = Vec::new();
        for name in fields {
            push(&mut key, Some(name.as_str().as_bytes()));
            push(&mut key, normal_value(name, request).as_deref());
        }
        Self(Some(Box::new(Selected { fields: fields.into(), key: key.into() })))
    }

    /// The names of the selecting fields.
    pub fn fields(&self) -> &[HeaderName] {
        self.0.as_ref().map_or(&[], |selected| &selected.fields)
    }

    /// Bytes that are equal for equal variants only.
    pub fn key(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |selected| &selected.key)
    }

    /// Whether it is that of a response that does not vary.
    pub fn is_of_all(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that it takes beside this handle, nearly.
    pub fn size(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |selected| size_of::<Selected>() + size_of_val(&*selected.fields) + selected.key.len())
    }

    /// Puts the selecting fields into a request in the form in which they are compared, in place of what it has of them.
    /// So an origin that is asked on behalf of all whose fields are equal in that form chooses by nothing else.
    pub fn write_to(&self, request: &mut HeaderMap) {
        let mut key = self.key();
        for name in self.fields() {
            let _ = pop(&mut key);
            // What came as a value, and has lost nothing but bytes since, is one.
            match pop(&mut key).map(HeaderValue::from_bytes) {
                Some(Ok(value)) => drop(request.insert(name, value)),
                Some(Err(_)) | None => drop(request.remove(name)),
            }
        }
    }

    /// Whether a stored response with this variant may answer the request (§4.1). `content_language` tells the stored
    /// response's: it also answers a request whose one most preferred language it is.
    pub fn matches(&self, request: &HeaderMap, content_language: impl Fn() -> Option<HeaderValue>) -> bool {
        let mut key = self.key();
        self.fields().iter().all(|name| {
            let _ = pop(&mut key);
            let stored = pop(&mut key);
            stored == normal_value(name, request).as_deref()
                || (*name == header::ACCEPT_LANGUAGE && prefers(request, content_language().as_ref()))
        })
    }
}

fn push(key: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(ABSENT, |value| u32::try_from(value.len()).unwrap_or(ABSENT - 1));
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(value.unwrap_or_default());
}

fn pop<'a>(key: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length == ABSENT {
        *key = rest;
        return None;
    }
    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *key = rest;
    Some(value)
}

fn prefers(request: &HeaderMap, content_language: Option<&HeaderValue>) -> bool {
    let asked = combined(&header::ACCEPT_LANGUAGE, request);
    match (content_language, asked) {
        (Some(stored), Some(asked)) => {
            accept::favourite(&asked).is_some_and(|tag| stored.as_bytes().eq_ignore_ascii_case(&tag))
        }
        _ => false,
    }
}

/// The value in normal form: what remains different is different to the origin too (§4.1, the list of
/// normalisations). `None`: the field is not there.
fn normal_value<'a>(name: &HeaderName, request: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
    let value = combined(name, request)?;
    let normal = match *name {
        header::ACCEPT_LANGUAGE => accept::normal_languages(&value),
        header::ACCEPT_ENCODING => accept::normal_encodings(&value),
        // No lists: a comma is part of the value.
        header::AUTHORIZATION
        | header::COOKIE
        | header::DATE
        | header::FROM
        | header::HOST
        | header::IF_MODIFIED_SINCE
        | header::IF_UNMODIFIED_SINCE
        | header::ORIGIN
        | header::REFERER
        | header::USER_AGENT => None,
        _ => without_list_spaces(&value),
    };
    Some(normal.map_or(value, Cow::Owned))
}

/// All lines as one (RFC 9110 §5.3; for cookies RFC 9113 §8.2.3). Empty ones add nothing.
fn combined<'a>(name: &HeaderName, request: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
    let mut lines = syntax::lines(request, name).map(syntax::trim);
    let first = lines.next()?;
    let mut all = Cow::Borrowed(first);
    let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b"," };
    for line in lines.filter(|line| !line.is_empty()) {
        let all = all.to_mut();
        if !all.is_empty() {
            all.extend_from_slice(separator);
        }
        all.extend_from_slice(line);
    }
    Some(all)
}

/// Removes the whitespace around commas outside quoted strings. `None`: there is none.
fn without_list_spaces(value: &[u8]) -> Option<Vec<u8>> {
    if !value.contains(&b',') || !value.iter().any(|byte| b" \t".contains(byte)) {
        return None;
    }
    let mut quotes = Quotes::new(Backslash::Escapes);
    let mut normal = Vec::with_capacity(value.len());
    let mut after_comma = false;
    // Where the last byte that is not removable space ends.
    let mut solid = 0;
    for &byte in value {
        let outside = quotes.outside(byte);
        let is_space = outside && matches!(byte, b' ' | b'\t');
        if is_space && after_comma {
            continue;
        }
        after_comma = outside && byte == b',';
        if after_comma {
            normal.truncate(solid);
        }
        normal.push(byte);
        if !is_space {
            solid = normal.len();
        }
    }
    Some(normal)
}
