//! `Cache-Status` (RFC 9211), read exactly: what the RFC forbids fails the test.

use super::wire::Fields;

/// One member of the list: what one cache says it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// The cache's name.
    pub name: String,
    /// Answered without going forward.
    pub hit: bool,
    /// Why the request went forward.
    pub forward: Option<String>,
    /// What came back.
    pub forward_status: Option<u16>,
    /// Seconds of freshness left.
    pub ttl: Option<i64>,
    /// What came back was stored.
    pub stored: bool,
    /// Several requests went forward as one.
    pub collapsed: bool,
    /// A reason in the cache's own words.
    pub detail: Option<String>,
}

const FORWARD: [&str; 8] =
    ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];

impl CacheStatus {
    /// All members, the one nearest to the origin first.
    pub fn all(fields: &Fields) -> Vec<Self> {
        let lines = fields.all("Cache-Status");
        lines.iter().flat_map(|line| line.split(", ")).map(Self::parse).collect()
    }

    fn parse(member: &str) -> Self {
        let mut parts = member.split("; ");
        let name = parts.next().unwrap_or_default().trim_matches('"').to_owned();
        let mut status = Self { name, ..Self::default() };
        let mut seen = Vec::new();
        for part in parts {
            let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
            assert!(!seen.contains(&key), "{key} twice in {member:?}");
            seen.push(key);
            status.set(key, value).unwrap_or_else(|| panic!("{part:?} in {member:?}"));
        }
        assert!(!(status.hit && status.forward.is_some()), "hit excludes fwd: {member:?}");
        let explained = status.hit || status.forward.is_some() || status.detail.is_some();
        assert!(explained, "says nothing: {member:?}");
        let forward_only = status.forward_status.is_some() || status.stored || status.collapsed;
        assert!(status.forward.is_some() || !forward_only, "belongs to fwd only: {member:?}");
        status
    }

    fn set(&mut self, key: &str, value: Option<&str>) -> Option<()> {
        match (key, value) {
            ("hit", None) => self.hit = true,
            ("stored", None) => self.stored = true,
            ("collapsed", None) => self.collapsed = true,
            ("fwd", Some(why)) if FORWARD.contains(&why) => self.forward = Some(why.to_owned()),
            ("fwd-status", Some(status)) => self.forward_status = Some(status.parse().ok()?),
            ("ttl", Some(seconds)) => self.ttl = Some(seconds.parse().ok()?),
            ("detail", Some(why)) if !why.is_empty() => {
                self.detail = Some(why.trim_matches('"').to_owned());
            }
            _ => return None,
        }
        Some(())
    }
}
