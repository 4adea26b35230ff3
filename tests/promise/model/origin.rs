//! What the origin of the scripts says. Every byte of content is the number of the request that it answers, and so are
//! `v` in `Cache-Control`, which every answer and every 304 renews, and `Content-Type`, which only content brings.

use super::reference::{FetchId, Labels, Terms};
use super::world::Received;
use crate::random::Random;

/// Bytes of every representation.
pub(crate) const LENGTH: usize = 12;

/// The byte that stands for a fetch.
const FIRST: u8 = 0x20;

/// The one group (RFC 9875) that there is, within each authority.
pub(crate) const GROUP: &str = "group";

/// More than these cannot be told apart.
pub(crate) const MOST_FETCHES: usize = (u8::MAX - FIRST) as usize;

pub(crate) fn fetch_of(byte: u8) -> FetchId {
    usize::from(byte - FIRST)
}

/// What is at a place, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) authority: String,
    pub(crate) path: &'static str,
    pub(crate) tags: Vec<String>,
    pub(crate) varies: bool,
    pub(crate) style: Style,
    /// Its entity tag changes with it, and it changes less often than it is fetched. Zero: it has none.
    pub(crate) edition: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Long,
    Zero,
    Grants,
    ErrorGrant,
    Strict,
    Private,
}

impl Style {
    pub(crate) const ALL: [Self; 9] = [
        Self::Long,
        Self::Long,
        Self::Zero,
        Self::Grants,
        Self::Grants,
        Self::Grants,
        Self::ErrorGrant,
        Self::Strict,
        Self::Private,
    ];

    pub(crate) fn terms(self) -> Terms {
        let (max_age, while_revalidate, if_error) = match self {
            Self::Long => (1000, 0, 0),
            Self::Zero => (0, 0, 0),
            Self::Grants => (5, 30, 60),
            Self::ErrorGrant => (5, 0, 60),
            Self::Strict => (5, 0, 0),
            Self::Private => (0, 0, 0),
        };
        Terms { max_age, while_revalidate, if_error }
    }

    fn directives(self) -> &'static str {
        match self {
            Self::Long => "max-age=1000",
            Self::Zero => "max-age=0",
            Self::Grants => "max-age=5, stale-while-revalidate=30, stale-if-error=60",
            Self::ErrorGrant => "max-age=5, stale-if-error=60",
            // The grants are void.
            Self::Strict => "max-age=5, must-revalidate, stale-while-revalidate=30, stale-if-error=60",
            Self::Private => "private, max-age=60",
        }
    }
}

impl Resource {
    /// The strong validator of what a client of this `kind` gets.
    pub(crate) fn etag(&self, kind: &str) -> Option<String> {
        let kind = if self.varies { kind } else { "" };
        (self.edition > 0).then(|| format!("\"{}{kind}\"", self.edition))
    }
}

/// What an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Whole,
    Part(usize, usize),
    Unchanged,
    Error,
    /// To an unsafe request; a target that it says was changed too.
    Written {
        location: Option<&'static str>,
        /// It says that the members of [`GROUP`] were changed, too.
        groups: bool,
    },
    /// To an unsafe request: what the target is now, to be stored.
    WrittenAndShown,
    Nothing,
}

impl Reply {
    pub(crate) fn choose(
        random: &mut Random,
        request: &Received,
        resource: &Resource,
        paths: &[&'static str],
    ) -> Self {
        let etag = resource.etag(&kind_of(request));
        let names = |field: &str| {
            let listed = request.fields.list(field);
            etag.as_ref().is_some_and(|etag| listed.contains(etag))
        };
        let unsafe_method = request.method == "POST";
        match random.below(100) {
            0..4 => Self::Nothing,
            4..18 => Self::Error,
            18..30 if unsafe_method => Self::WrittenAndShown,
            18..50 if unsafe_method => {
                Self::Written { location: Some(paths[random.below(paths.len())]), groups: false }
            }
            50..65 if unsafe_method => Self::Written { location: None, groups: true },
            _ if unsafe_method => Self::Written { location: None, groups: false },
            18..80 if names("If-None-Match") => Self::Unchanged,
            18..85 if !request.fields.has("If-Range") || names("If-Range") => {
                asked_range(request).map_or(Self::Whole, |(first, last)| Self::Part(first, last))
            }
            _ => Self::Whole,
        }
    }

    fn content(&self, id: FetchId, method: &str) -> Vec<u8> {
        let length = match self {
            Self::Unchanged | Self::Nothing | Self::Written { .. } => 0,
            _ if method == "HEAD" => 0,
            Self::Part(first, last) => last - first + 1,
            Self::Whole | Self::Error | Self::WrittenAndShown => LENGTH,
        };
        vec![FIRST + u8::try_from(id).unwrap(); length]
    }
}

/// The variant that a request selects.
pub(crate) fn kind_of(request: &Received) -> String {
    request.fields.one("X-Kind").unwrap_or_default()
}

fn asked_range(request: &Received) -> Option<(usize, usize)> {
    let range = request.fields.one("Range")?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some((LENGTH - last.parse::<usize>().ok()?, LENGTH - 1));
    }
    let last = if last.is_empty() { LENGTH - 1 } else { last.parse().ok()? };
    Some((first.parse().ok()?, last.min(LENGTH - 1)))
}

/// The head of an answer, and its content as it goes over the wire, in two pieces.
pub(crate) struct Message {
    pub(crate) head: Vec<u8>,
    pub(crate) pieces: [Vec<u8>; 2],
}

pub(crate) fn message(
    reply: &Reply,
    id: FetchId,
    request: &Received,
    resource: &Resource,
    labels: &Labels,
    chunked: bool,
) -> Message {
    let content = reply.content(id, &request.method);
    let chunked = chunked && !content.is_empty();
    let mut head = match reply {
        Reply::Error => "HTTP/1.1 503 Later\r\n",
        Reply::Unchanged => "HTTP/1.1 304 Same\r\n",
        Reply::Part(..) => "HTTP/1.1 206 Part\r\n",
        Reply::Written { .. } => "HTTP/1.1 204 Done\r\n",
        Reply::Whole | Reply::WrittenAndShown | Reply::Nothing => "HTTP/1.1 200 Fine\r\n",
    }
    .to_owned();
    let mut line = |name: &str, value: &str| head += &format!("{name}: {value}\r\n");
    match reply {
        Reply::Error => line("Cache-Control", &format!("v={id}")),
        Reply::WrittenAndShown => line("Cache-Control", &format!("max-age=1000, v={id}")),
        _ => line("Cache-Control", &format!("{}, v={id}", resource.style.directives())),
    }
    if *reply != Reply::Unchanged {
        line("Content-Type", &format!("x/{id}"));
    }
    match reply {
        Reply::Written { location: Some(location), .. } => line("Location", location),
        Reply::Written { groups: true, .. } => line("Cache-Group-Invalidation", &format!("\"{GROUP}\"")),
        Reply::WrittenAndShown => line("Content-Location", resource.path),
        Reply::Part(first, last) => line("Content-Range", &format!("bytes {first}-{last}/{LENGTH}")),
        _ => {}
    }
    let describes = !matches!(reply, Reply::Error | Reply::Written { .. });
    if let Some(etag) = resource.etag(&kind_of(request)).filter(|_| describes) {
        line("ETag", &etag);
    }
    if resource.varies && describes {
        line("Vary", "X-Kind");
    }
    if !labels.tags.is_empty() {
        line("Cache-Tag", &labels.tags.join(", "));
    }
    for group in &labels.groups {
        line("Cache-Groups", &format!("\"{group}\""));
    }
    if chunked {
        line("Transfer-Encoding", "chunked");
    } else if request.method == "HEAD" {
        line("Content-Length", &LENGTH.to_string());
    } else if !matches!(reply, Reply::Unchanged | Reply::Written { .. }) {
        line("Content-Length", &content.len().to_string());
    }
    head += "\r\n";
    let (first, second) = content.split_at(content.len() / 2);
    let pieces = match chunked {
        false => [first.to_vec(), second.to_vec()],
        true => [chunk(first), [chunk(second), b"0\r\n\r\n".to_vec()].concat()],
    };
    Message { head: head.into_bytes(), pieces }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
