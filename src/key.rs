//! What is sent upstream, as a fixed-size key.
//!
//! Two requests share a key exactly if the origin would see the same method, scheme, authority and target. HEAD is
//! keyed as GET (RFC 9111 §4: a stored GET answers a HEAD), and no other method is ever stored, so the method is left
//! out. What `Vary` selects is not part of the key: it chooses among the variants under it.

pub mod authority;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

/// The SHA-256 of what is sent upstream: the primary cache key of RFC 9111 §2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of a GET (or HEAD) for `target` (path and query, bytes as sent) on `authority` (lower case, default
    /// port dropped) over `scheme`.
    pub fn of(scheme: &str, authority: &str, target: &str) -> Self {
        let mut digest = Sha256::new();
        // The lengths come first, so that no two requests run together into the same bytes. What they add is short, since
        // the digest is taken 64 bytes at a time.
        for part in [scheme, authority] {
            digest.update((part.len() as u32).to_be_bytes());
        }
        for part in [scheme, authority, target] {
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// One of `shards`, evenly.
    pub fn shard(&self, shards: usize) -> usize {
        // Other bytes than those that `Hash` feeds, so that the maps inside the shards still spread.
        let [.., a, b, c, d] = self.0;
        u32::from_be_bytes([a, b, c, d]) as usize % shards.max(1)
    }

    fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Hash for CacheKey {
    /// A digest is evenly spread already: eight bytes of it say as much to a table as all of it.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.prefix());
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

impl fmt::Display for CacheKey {
    /// All 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// For maps keyed by [`CacheKey`]: one multiplication instead of SipHash.
///
/// The digest has no secret, so a client could search for targets whose digests fall into the same bucket. The two
/// random words make the buckets unpredictable again; only keys that agree in all eight bytes still collide.
#[derive(Clone, Debug)]
pub struct KeyHash {
    mask: u64,
    factor: u64,
}

impl Default for KeyHash {
    fn default() -> Self {
        let random = RandomState::new();
        // An odd factor loses nothing of what it multiplies.
        Self { mask: random.hash_one(0_u8), factor: random.hash_one(1_u8) | 1 }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { mask: self.mask, factor: self.factor, hash: 0 }
    }
}

/// What [`KeyHash`] builds.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    mask: u64,
    factor: u64,
    hash: u64,
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        match bytes.last_chunk() {
            _ if rest.is_empty() => {}
            // Some of them once more: that costs less than to put the rest together.
            Some(last) => self.write_u64(u64::from_le_bytes(*last)),
            None => self.write_u64(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.hash ^ word ^ self.mask) * u128::from(self.factor);
        self.hash = (product as u64) ^ ((product >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn every_part_tells_keys_apart() {
        let keys = [
            CacheKey::of("http", "example.com", "/a"),
            CacheKey::of("https", "example.com", "/a"),
            CacheKey::of("http", "example.com:8080", "/a"),
            CacheKey::of("http", "example.com", "/a?"),
            CacheKey::of("http", "example.com", "/A"),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        assert_eq!(keys[0], CacheKey::of("http", "example.com", "/a"));
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(CacheKey::of("http", "a", "b/c"), CacheKey::of("http", "ab", "/c"));
        assert_ne!(CacheKey::of("http", "", "sa"), CacheKey::of("https", "", "a"));
    }

    #[test]
    fn the_digest_is_the_documented_one() {
        // Computed independently: printf '\0\0\0\4\0\0\0\13httpexample.com/' | sha256sum
        let key = CacheKey::of("http", "example.com", "/");
        assert_eq!(key.to_string(), "658cd69c76560c049d91cf1f2918166788df83661b707b53136a233ae5f1c137");
    }

    #[test]
    fn hashes_of_keys_spread() {
        let build = KeyHash::default();
        let key = |i: u32| CacheKey::of("http", "h", &format!("/{i}"));
        let buckets: HashSet<u64> = (0..1024).map(|i| build.hash_one(key(i)) & 0xfff).collect();
        // 1,024 balls into 4,096 bins leave about 906 bins hit.
        assert!(buckets.len() > 800, "{} of 4096 buckets hit", buckets.len());
    }

    #[test]
    fn shards_are_taken_evenly_and_within_bounds() {
        let mut taken = [0; 7];
        for i in 0..700 {
            taken[CacheKey::of("http", "h", &format!("/{i}")).shard(7)] += 1;
        }
        assert!(taken.iter().all(|count| (60..140).contains(count)), "{taken:?}");
        assert_eq!(CacheKey::of("http", "h", "/").shard(0), 0);
    }

    #[test]
    fn a_map_finds_what_was_put_in() {
        let mut map = HashMap::with_hasher(KeyHash::default());
        for i in 0..100 {
            map.insert(CacheKey::of("http", "h", &format!("/{i}")), i);
        }
        assert_eq!(map.get(&CacheKey::of("http", "h", "/42")), Some(&42));
        assert_eq!(map.get(&CacheKey::of("http", "h", "/142")), None);
    }
}
