//! A purge as a `PURGE` request: its URL, or the tags in its fields.

use http::header::{HeaderMap, HeaderName};

use super::draft::{Draft, Switch};
use super::form::is_on;
use super::{Fault, Target};
use crate::config::TagSeparator;

/// Fields that name tags, as caches that understand `PURGE` have them, and what parts their members.
const TAGS: [(HeaderName, TagSeparator); 3] = [
    (HeaderName::from_static("cache-tag"), TagSeparator::Comma),
    (HeaderName::from_static("surrogate-key"), TagSeparator::Space),
    (HeaderName::from_static("xkey-purge"), TagSeparator::Space),
];
const SOFT: [HeaderName; 2] =
    [HeaderName::from_static("soft-purge"), HeaderName::from_static("fastly-soft-purge")];

pub(super) fn parse(authority: &str, path_and_query: &str, fields: &HeaderMap) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    for name in &SOFT {
        for value in fields.get_all(name) {
            if is_on(name.as_str(), text(name, value.as_bytes())?.trim_ascii())? {
                draft.set(Switch::Soft, true);
            }
        }
    }
    let mut names_tags = false;
    for (name, separator) in &TAGS {
        for line in fields.get_all(name) {
            names_tags = true;
            for member in line.as_bytes().split(|byte| separator.is(*byte)) {
                match text(name, member)?.trim_ascii() {
                    // Lists have empty members where somebody joined them carelessly.
                    "" => {}
                    tag => draft.push(Target::tag(tag)?),
                }
            }
        }
    }
    // With a field for tags that holds none, the URL is not what was meant.
    if !names_tags {
        if authority.is_empty() {
            return Err(Fault::new("without a Host it is not clear which URL is meant"));
        }
        draft.push(Target::requested(authority, path_and_query));
    }
    Ok(draft)
}

fn text<'v>(name: &HeaderName, value: &'v [u8]) -> Result<&'v str, Fault> {
    std::str::from_utf8(value).map_err(|_| Fault::new(format!("`{name}` is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Purge};
    use super::*;

    fn read(fields: &[(&'static str, &str)]) -> Result<Purge, String> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let limits = Limits { targets: 5, refresh: 9 };
        Purge::from_request("h:81", "/a?b", &map, limits).map_err(|fault| fault.to_string())
    }

    fn tags(tags: &[&str]) -> Vec<Target> {
        tags.iter().map(|tag| Target::Tag((*tag).to_owned())).collect()
    }

    #[test]
    fn a_purge_is_of_its_url_unless_it_names_tags() {
        assert_eq!(read(&[]).unwrap().targets, [Target::Url("h:81/a?b".into())]);
        let several =
            [("cache-tag", "a b, \u{fc}"), ("surrogate-key", "c  d"), ("xkey-purge", "e"), ("cache-tag", "")];
        assert_eq!(read(&several).unwrap().targets, tags(&["a b", "\u{fc}", "c", "d", "e"]));
        // What carries tags in responses only.
        assert_eq!(read(&[("xkey", "a")]).unwrap().targets, [Target::Url("h:81/a?b".into())]);
    }

    #[test]
    fn it_is_soft_if_it_says_so() {
        for (name, value, soft) in
            [("soft-purge", "1", true), ("fastly-soft-purge", " true", true), ("soft-purge", "0", false)]
        {
            assert_eq!(read(&[(name, value)]).map(|purge| purge.soft), Ok(soft), "{name}: {value}");
        }
        assert_eq!(read(&[("soft-purge", "yes")]).unwrap_err(), "`soft-purge` is 1 or 0, not `yes`");
    }

    #[test]
    fn faults_are_named() {
        assert!(read(&[("cache-tag", " ,")]).unwrap_err().contains("there is nothing to purge"));
        assert!(read(&[("xkey-purge", "1 2 3 4 5 6")]).unwrap_err().contains("6 targets are too many"));
    }
}
