//! Who may purge.
//!
//! By token on either listener. Without one, by address on the main listener, and by being able to reach it at all on
//! an admin listener that no token has been configured for.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::{AUTHORIZATION, FORWARDED, HeaderName, VIA};
use ipnet::IpNet;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::{Clock, Moment};
use crate::config::units::Wrong;
use crate::config::{self, Token};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// So many wrong tokens are answered and logged at once, and then one in each interval.
const BURST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

/// Tokens and addresses. Shared by all threads.
pub struct Rights {
    file: Option<PathBuf>,
    from_file: ArcSwap<Vec<Known>>,
    from_environment: Option<Known>,
    allow: Vec<IpNet>,
    failures: Failures,
    clock: Clock,
}

/// A token without its text: what is compared has a fixed length, and the secret does not stay in memory.
struct Known {
    name: Arc<str>,
    digest: [u8; 32],
}

/// Who was let in, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The socket's peer.
    pub peer: IpAddr,
    /// The name of the token; `None` where none was needed.
    pub token: Option<Arc<str>>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(name) => write!(f, "{name} at {}", self.peer),
            None => write!(f, "{}", self.peer),
        }
    }
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A token is needed, and none was sent.
    TokenMissing,
    /// None of the tokens is this one.
    TokenWrong,
    /// No token was sent, and the address is not allowed without.
    NotAllowed,
    /// As [`TokenWrong`](Self::TokenWrong), once too often of late.
    TooManyFailures,
}

impl Denied {
    /// How headers, logs and documents call it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TokenMissing => "token-missing",
            Self::TokenWrong => "token-wrong",
            Self::NotAllowed => "purge-not-allowed",
            Self::TooManyFailures => "token-failures",
        }
    }

    /// What would be right, for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TokenMissing => "Send a token, as Authorization: Bearer TOKEN; see `[purge] token_file`.",
            Self::TokenWrong => "This is not one of the tokens in `[purge] token_file` or LARDER_TOKEN.",
            Self::NotAllowed => {
                "PURGE is enabled by a token, sent as Authorization: Bearer TOKEN (`[purge] token_file` or LARDER_TOKEN), \
                 or for addresses in `[purge] allow` that come directly: without Forwarded, X-Forwarded-For or Via."
            }
            Self::TooManyFailures => {
                "Too many wrong tokens have been sent of late. A right one is still taken."
            }
        }
    }
}

impl Rights {
    /// What the configuration lays down, with the tokens as they are in their file now.
    ///
    /// # Errors
    ///
    /// The file of tokens cannot be used.
    pub fn new(config: &config::Purge, clock: Clock) -> Result<Self, Wrong> {
        let from_file = match &config.token_file {
            Some(path) => known(config::need_token_file(path)?),
            None => Vec::new(),
        };
        Ok(Self {
            file: config.token_file.clone(),
            from_file: ArcSwap::from_pointee(from_file),
            from_environment: config.token.clone().map(Known::from),
            allow: config.allow.clone(),
            failures: Failures::default(),
            clock,
        })
    }

    /// Takes the tokens from their file anew, if it has changed. To be called now and then, by a thread that may wait
    /// for a disk. A file that cannot be read or understood changes nothing; an empty one takes all rights away.
    pub fn reload(&self) {
        let Some(path) = &self.file else { return };
        match config::read_token_file(path) {
            Ok(tokens) => {
                let tokens = known(tokens);
                if !is_same(&tokens, &self.from_file.load()) {
                    tracing::info!(target: "larder::purge", tokens = tokens.len(), "tokens were read anew");
                    self.from_file.store(Arc::new(tokens));
                    self.failures.forgive();
                }
            }
            Err(wrong) => {
                if self.failures.may_complain(self.clock.moment()) {
                    tracing::warn!(target: "larder::purge", "tokens stay as they were: {wrong}");
                }
            }
        }
    }

    /// For the admin listener: a token, once any is configured.
    ///
    /// # Errors
    ///
    /// A token is configured and this is none.
    pub fn admin(&self, fields: &HeaderMap, peer: IpAddr) -> Result<Who, Denied> {
        if self.file.is_none() && self.from_environment.is_none() {
            return Ok(Who { peer, token: None });
        }
        self.by_token(fields, peer)
    }

    /// For the method `PURGE` on the main listener: an allowed address, or a token.
    ///
    /// # Errors
    ///
    /// It is neither. Where a proxy has passed the request on, the address is the proxy's, and says nothing.
    pub fn listener(&self, fields: &HeaderMap, peer: IpAddr) -> Result<Who, Denied> {
        let direct = ![FORWARDED, X_FORWARDED_FOR, VIA].iter().any(|name| fields.contains_key(name));
        let address = peer.to_canonical();
        if direct && self.allow.iter().any(|net| net.contains(&address)) {
            return Ok(Who { peer, token: None });
        }
        self.by_token(fields, peer).map_err(|denied| match denied {
            Denied::TokenMissing => Denied::NotAllowed,
            denied => denied,
        })
    }

    fn by_token(&self, fields: &HeaderMap, peer: IpAddr) -> Result<Who, Denied> {
        let sent = bearer(fields).ok_or(Denied::TokenMissing)?;
        if let Some(name) = self.owner(sent) {
            return Ok(Who { peer, token: Some(name) });
        }
        // Right tokens pass whatever others try: who could lock everybody out by guessing would keep purges from being
        // made. Tokens are too long to be guessed, at any rate.
        if !self.failures.note(self.clock.moment()) {
            return Err(Denied::TooManyFailures);
        }
        tracing::warn!(target: "larder::purge", %peer, "a wrong token was sent");
        Err(Denied::TokenWrong)
    }

    /// Every token is compared, each in constant time, so that the time taken tells nothing about any of them.
    fn owner(&self, sent: &[u8]) -> Option<Arc<str>> {
        let digest = digest(sent);
        let tokens = self.from_file.load();
        let mut owner = None;
        for known in tokens.iter().chain(&self.from_environment) {
            if bool::from(known.digest.ct_eq(&digest)) {
                owner = Some(known.name.clone());
            }
        }
        owner
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rights").field("file", &self.file).field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl From<Token> for Known {
    fn from(token: Token) -> Self {
        Self { name: token.name.into(), digest: digest(token.secret.expose().as_bytes()) }
    }
}

fn known(tokens: Vec<Token>) -> Vec<Known> {
    tokens.into_iter().map(Known::from).collect()
}

fn is_same(one: &[Known], other: &[Known]) -> bool {
    one.iter()
        .map(|known| (&known.name, known.digest))
        .eq(other.iter().map(|known| (&known.name, known.digest)))
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The one token of a request (RFC 6750 §2.1).
fn bearer(fields: &HeaderMap) -> Option<&[u8]> {
    let mut values = fields.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Lets a burst of failures be told, and then one in each interval.
#[derive(Default)]
struct Failures {
    /// When all failures told so far will have been paid for, one interval each; in nanoseconds of the boot clock.
    paid: Mutex<Option<Moment>>,
    complained: Mutex<Option<Moment>>,
}

impl Failures {
    /// Counts one; `false`: there are too many.
    fn note(&self, now: Moment) -> bool {
        let mut paid = self.paid.lock();
        let from = paid.map_or(now, |paid| paid.max(now));
        if from.since(now) + INTERVAL > INTERVAL * BURST {
            return false;
        }
        *paid = Some(from + INTERVAL);
        true
    }

    fn forgive(&self) {
        *self.paid.lock() = None;
    }

    /// Whether it is time to say again that the file is of no use: once a minute will do.
    fn may_complain(&self, now: Moment) -> bool {
        let mut last = self.complained.lock();
        let may = last.is_none_or(|last| now.since(last) >= Duration::from_secs(60));
        if may {
            *last = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests;
