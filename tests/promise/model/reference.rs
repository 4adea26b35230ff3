//! The reference model: promise 1 as a program that is short enough to be checked by eye.
//!
//! Everything happens in numbered steps, so "before" and "after" are comparisons of numbers:
//!
//! - The origin marks all that it sends with the number of the request that it answers. An answer thus shows by whose
//!   fetch each of its bytes came, and by whose its head.
//! - **Hard**: if a purge speaks of an answer, and had returned before the answer's request was sent, none of those
//!   fetches may be from before the purge began.
//! - **Soft**: under the same conditions, the answer must have been fetched or validated since, or be served under a
//!   stale grant that the origin gave and that has not run out.
//!
//! It knows nothing of how a cache works: no store, no flights, no log.

/// When something happened.
pub(crate) type Step = usize;

/// A point on the manual clock, in seconds.
pub(crate) type Seconds = u64;

/// The number of a request that the origin received.
pub(crate) type FetchId = usize;

/// What a purge speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Everything,
    /// With a port: that only. Without: whatever the port.
    Host(String),
    /// Authority and path; the port as above.
    Url(String),
    /// What the authority and path begin with; the port as above.
    Prefix(String),
    Tag(String),
    Group {
        origin: String,
        name: String,
    },
}

/// A request that the origin received, and what the answer said about itself.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) received: Step,
    /// The selecting field of the request.
    pub(crate) kind: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) labels: Labels,
    /// When its answer began.
    pub(crate) answered_at: Step,
    pub(crate) answered: Seconds,
    pub(crate) terms: Terms,
}

/// What an answer can be purged by, beside its URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) tags: Vec<String>,
    pub(crate) groups: Vec<String>,
}

/// How long an answer is fresh and may be served stale.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) max_age: Seconds,
    pub(crate) while_revalidate: Seconds,
    pub(crate) if_error: Seconds,
}

/// A purge that has returned.
#[derive(Clone, Debug)]
pub(crate) struct Purge {
    pub(crate) began: Step,
    pub(crate) returned: Step,
    pub(crate) time: Seconds,
    pub(crate) targets: Vec<Target>,
    pub(crate) soft: bool,
    /// The unsafe request whose answer caused it. That answer shows the state after the purge.
    pub(crate) cause: Option<FetchId>,
}

/// What a client got.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// When its request was sent.
    pub(crate) asked: Step,
    pub(crate) time: Seconds,
    /// By whose fetches its bytes came.
    pub(crate) content: Vec<FetchId>,
    /// By whose fetch its head came: the last that showed it to be current, be it by a 304, or by another part of what
    /// has the same strong validator.
    pub(crate) head: FetchId,
    /// The grant under which it says that it is served.
    pub(crate) grant: Option<Grant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    WhileRevalidate,
    IfError,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) purges: Vec<Purge>,
}

impl Model {
    /// The purge because of which an answer must not have been given.
    pub(crate) fn fault(&self, answer: &Answer) -> Option<&Purge> {
        let earlier = self.purges.iter().filter(|purge| purge.returned < answer.asked);
        let mut speaking = earlier.filter(|purge| self.speaks_of(purge, answer));
        // Of several soft purges the youngest counts: when the others were need not be remembered.
        let soft = speaking.clone().rfind(|purge| purge.soft);
        let stale = soft.filter(|purge| !self.is_validated(answer, purge) && !self.is_granted(answer, purge));
        speaking.find(|purge| !purge.soft && !self.is_fetched(answer, purge)).or(stale)
    }

    /// Whether all of it was asked for after the purge.
    fn is_fetched(&self, answer: &Answer, purge: &Purge) -> bool {
        let after = |id: FetchId| self.fetches[id].received >= purge.began || purge.cause == Some(id);
        all_of(answer).all(after)
    }

    /// Whether it was asked after the purge if it is still current.
    fn is_validated(&self, answer: &Answer, purge: &Purge) -> bool {
        self.fetches[answer.head].received >= purge.began
    }

    fn is_granted(&self, answer: &Answer, purge: &Purge) -> bool {
        let Fetch { answered, terms, .. } = &self.fetches[answer.head];
        let window = match answer.grant {
            None => return false,
            Some(Grant::WhileRevalidate) => terms.while_revalidate,
            Some(Grant::IfError) => terms.if_error,
        };
        let stale_since = purge.time.min(answered + terms.max_age);
        answer.time <= stale_since + window
    }

    /// If a 304 changed the tags, those before and those after it count.
    fn speaks_of(&self, purge: &Purge, answer: &Answer) -> bool {
        all_of(answer).any(|fetch| purge.targets.iter().any(|target| target.names(&self.fetches[fetch])))
    }
}

/// All fetches that an answer shows.
fn all_of(answer: &Answer) -> impl Iterator<Item = FetchId> + Clone {
    answer.content.iter().copied().chain([answer.head])
}

impl Target {
    pub(crate) fn names(&self, fetch: &Fetch) -> bool {
        let Fetch { authority, path, labels: Labels { tags, groups }, .. } = fetch;
        let host = authority.split(':').next().unwrap_or_default();
        let urls = [authority, host].map(|name| format!("{name}{path}"));
        match self {
            Self::Everything => true,
            Self::Host(name) => name == authority || name == host,
            Self::Url(url) => urls.contains(url),
            Self::Prefix(prefix) => urls.iter().any(|url| url.starts_with(prefix)),
            Self::Tag(tag) => tags.contains(tag),
            Self::Group { origin, name } => *origin == format!("http://{authority}") && groups.contains(name),
        }
    }
}
