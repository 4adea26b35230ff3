//! Surrogate keys: the tags that an origin attaches to a response so that it can be purged by them.

use http::header::{HeaderMap, HeaderName};

type Separates = fn(u8) -> bool;

/// Fields that carry tags, with what separates them. None of them is sent on to clients.
const CARRIERS: [(HeaderName, Separates); 3] = [
    (HeaderName::from_static("cache-tag"), |byte| byte == b','),
    (HeaderName::from_static("surrogate-key"), |byte| byte == b' ' || byte == b'\t'),
    (HeaderName::from_static("xkey"), |byte| byte == b' ' || byte == b'\t'),
];

/// The tags of a response, in order, without repeats. Bytes that are not UTF-8 are not a tag that anybody could
/// name in a purge, so such members are left out.
pub(crate) fn of(response: &HeaderMap) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (name, separates) in &CARRIERS {
        for line in response.get_all(name) {
            for member in line.as_bytes().split(|byte| separates(*byte)) {
                let Ok(tag) = std::str::from_utf8(member.trim_ascii()) else { continue };
                if !tag.is_empty() && !tags.iter().any(|known| known == tag) {
                    tags.push(tag.to_owned());
                }
            }
        }
    }
    tags
}

/// Removes the fields that carry tags.
pub(crate) fn strip(response: &mut HeaderMap) {
    for (name, _) in &CARRIERS {
        response.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_from_three_fields_and_are_counted_once() {
        let mut fields = HeaderMap::new();
        fields.append("cache-tag", "a b, c,,a b".parse().unwrap());
        fields.append("surrogate-key", "c  d".parse().unwrap());
        fields.append("xkey", "e".parse().unwrap());
        assert_eq!(of(&fields), ["a b", "c", "d", "e"]);
        strip(&mut fields);
        assert!(fields.is_empty());
    }
}
