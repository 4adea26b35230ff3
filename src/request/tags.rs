//! By what else than its URL a response can be purged: the tags (surrogate keys) that the origin attaches to it, and
//! the groups that it belongs to.

use http::header::HeaderMap;

use crate::config;
use crate::policy;
use crate::request::error;

/// The tags and groups of a response, each once, in no particular order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels<'a> {
    pub(crate) tags: Vec<&'a str>,
    pub(crate) groups: Vec<String>,
    /// There are fields for tags, whether or not they name any.
    pub(crate) is_tagged: bool,
}

impl<'a> Labels<'a> {
    /// Reads a response head as the origin sent it.
    ///
    /// Tags are the bytes between the separators of their field: nothing is unquoted or decoded, so that a purge names
    /// them as the origin does.
    ///
    /// # Errors
    ///
    /// The reason why the response must not be stored: purges could not reach it by all of its labels. To keep some of
    /// them would mean to serve it after a purge by one of the others.
    pub(crate) fn of(config: &config::Cache, response: &'a HeaderMap) -> Result<Self, &'static str> {
        let is_tagged = has_any(config, response);
        let tags = if is_tagged { tags(config, response)? } else { Vec::new() };
        let groups = policy::groups(response);
        let are_too_many = tags.len() > config.max_tags || groups.len() > config.max_tags;
        if are_too_many || groups.iter().any(|group| group.len() > config.max_tag_length) {
            return Err(error::TOO_MANY_TAGS);
        }
        Ok(Self { tags, groups, is_tagged })
    }
}

fn tags<'a>(config: &config::Cache, response: &'a HeaderMap) -> Result<Vec<&'a str>, &'static str> {
    let mut tags = Vec::new();
    for field in &config.tag_fields {
        for line in response.get_all(&field.name) {
            let members = line.as_bytes().split(|byte| field.separator.is(*byte)).map(<[u8]>::trim_ascii);
            for member in members.filter(|member| !member.is_empty()) {
                if member.len() > config.max_tag_length {
                    return Err(error::TOO_MANY_TAGS);
                }
                // Purges name tags in UTF-8.
                tags.push(std::str::from_utf8(member).map_err(|_| error::UNREADABLE_TAGS)?);
            }
        }
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}

/// Removes the fields that carry tags, which are not for clients. Groups are (RFC 9875 §2).
pub(crate) fn strip(config: &config::Cache, response: &mut HeaderMap) {
    if has_any(config, response) {
        for field in &config.tag_fields {
            response.remove(&field.name);
        }
    }
}

/// A look at the few fields that are there spares a search for each that might be.
fn has_any(config: &config::Cache, response: &HeaderMap) -> bool {
    response.keys().any(|name| config.tag_fields.iter().any(|field| field.name == *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides, parse_origin};
    use http::{HeaderName, HeaderValue};

    fn config() -> config::Cache {
        let origin = parse_origin("http://127.0.0.1:1").unwrap();
        Config::for_origins(&[origin], &Overrides::default()).unwrap().cache
    }

    fn head(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let line = |&(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn tags_come_from_three_fields_and_are_counted_once() {
        let mut head = head(&[
            ("cache-tag", b"a b, c,,a b"),
            ("cache-tag", b"f"),
            ("surrogate-key", b"c  d"),
            ("xkey", b"e\tc"),
            ("cache-groups", b"\"g\""),
        ]);
        let labels = Labels::of(&config(), &head).unwrap();
        assert_eq!(labels.tags, ["a b", "c", "d", "e", "f"]);
        assert_eq!(labels.groups, ["g"]);
        strip(&config(), &mut head);
        assert_eq!(head.len(), 1);
    }

    #[test]
    fn tags_are_taken_as_they_are() {
        let value = "\"quoted\", caf%C3%A9, a/b/, Ünïcode, A=1;b, \"in two".as_bytes();
        let head = head(&[("cache-tag", value)]);
        let mut expected = ["\"quoted\"", "caf%C3%A9", "a/b/", "Ünïcode", "A=1;b", "\"in two"];
        expected.sort_unstable();
        assert_eq!(Labels::of(&config(), &head).unwrap().tags, expected);
    }

    #[test]
    fn too_many_and_too_long_ones_are_refused_and_as_many_as_may_be_are_not() {
        let config = config();
        let list = |count| (0..count).map(|i| format!("t{i}")).collect::<Vec<_>>().join(",").into_bytes();
        let strings =
            |count| (0..count).map(|i| format!("\"t{i}\"")).collect::<Vec<_>>().join(",").into_bytes();
        let long = |length| vec![b'x'; length];
        let quoted = |length| [b"\"", &*long(length), b"\""].concat();
        let rows = [
            ("cache-tag", list(256), list(257)),
            ("cache-tag", long(1024), long(1025)),
            ("cache-groups", strings(256), strings(257)),
            ("cache-groups", quoted(1024), quoted(1025)),
        ];
        for (name, fits, does_not) in rows {
            assert!(Labels::of(&config, &head(&[(name, &fits)])).is_ok(), "{name}");
            assert_eq!(Labels::of(&config, &head(&[(name, &does_not)])), Err("too-many-tags"), "{name}");
        }
        let repeated = [list(256), list(256)].join(&b","[..]);
        assert!(Labels::of(&config, &head(&[("cache-tag", &repeated)])).is_ok(), "a repeated tag is one");
    }

    #[test]
    fn a_tag_that_no_purge_can_name_is_refused() {
        assert_eq!(Labels::of(&config(), &head(&[("xkey", b"a caf\xe9")])), Err("unreadable-tags"));
    }
}
