//! The cache key: computed from exactly what is sent upstream.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use sha2::{Digest, Sha256};

/// Names a resource: method (HEAD keys as GET), scheme, authority and target, bytes as sent. Vary is told apart
/// below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of an effective request URI. Parts are length-prefixed, so that no two URIs run together.
    pub fn of(scheme: &str, authority: &str, target: &str) -> Self {
        let mut digest = Sha256::new();
        for part in ["GET", scheme, authority, target] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finalize().into())
    }

    /// One of `shards`, evenly.
    pub fn shard(&self, shards: usize) -> usize {
        // Other bytes than those that `Hash` feeds, so that maps inside a shard still spread.
        let bytes = u32::from_le_bytes([self.0[8], self.0[9], self.0[10], self.0[11]]);
        bytes as usize % shards.max(1)
    }
}

impl Hash for CacheKey {
    /// A digest is as good as random: eight bytes of it are a hash.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Passes the eight bytes of a [`CacheKey`] through.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

/// For maps keyed by [`CacheKey`].
pub type KeyHash = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = CacheKey::of("http", "a.example", "/b");
        assert_eq!(key, CacheKey::of("http", "a.example", "/b"));
        for other in [("https", "a.example", "/b"), ("http", "a.example/", "b"), ("http", "a.example", "/B")]
        {
            assert_ne!(key, CacheKey::of(other.0, other.1, other.2));
        }
    }
}
