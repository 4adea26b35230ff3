//! Groups of responses that are invalidated together (RFC 9875).

use std::slice;

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::fields::has_any;
use super::syntax;

/// Names the groups that a response belongs to (§2).
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Names the groups that a response to an unsafe method invalidates (§3).
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The groups that a response belongs to, sorted, each once. Their names mean something within the response's origin only
/// (§2.1).
pub fn groups(response: &HeaderMap) -> Vec<String> {
    strings(response, &CACHE_GROUPS)
}

/// The groups of its own origin that a non-error answer to an unsafe method invalidates, sorted, each once. On answers to other
/// methods the field must be ignored (§3), for which the caller sees.
pub fn invalidated_groups(response: &HeaderMap) -> Vec<String> {
    strings(response, &CACHE_GROUP_INVALIDATION)
}

/// A List of Strings, sorted; parameters are ignored. A field that is anything else is as if it were not there
/// (RFC 9651 §4.2).
fn strings(response: &HeaderMap, name: &HeaderName) -> Vec<String> {
    if !has_any(response, slice::from_ref(name)) {
        return Vec::new();
    }
    let value = syntax::lines(response, name).collect::<Vec<_>>().join(&b", "[..]);
    let members = Parser::new(&value).parse::<List>().unwrap_or_default();
    let mut strings: Vec<String> = members.into_iter().map(string).collect::<Option<_>>().unwrap_or_default();
    strings.sort_unstable();
    strings.dedup();
    strings
}

fn string(member: ListEntry) -> Option<String> {
    match member {
        ListEntry::Item(Item { bare_item: BareItem::String(text), .. }) => Some(text.into()),
        ListEntry::Item(_) | ListEntry::InnerList(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn groups_of(lines: &[&str]) -> Vec<String> {
        let lines = lines.iter().map(|line| (CACHE_GROUPS, HeaderValue::from_str(line).unwrap()));
        groups(&lines.collect())
    }

    #[test]
    fn a_list_of_strings_on_any_number_of_lines() {
        assert_eq!(groups_of(&[r#""a", "b c""#, r#""d""#]), ["a", "b c", "d"]);
        assert_eq!(groups_of(&[r#""a";x=1;y,"A", "a""#]), ["A", "a"], "parameters say nothing, case matters");
        assert_eq!(groups_of(&[r#""a\"b\\c, d""#]), [r#"a"b\c, d"#]);
        assert_eq!(groups_of(&[r#""""#]), [""]);
    }

    #[test]
    fn what_is_no_list_of_strings_is_ignored_altogether() {
        let malformed =
            ["a", "\"a", "\"a\", b", "\"a\", 1", "(\"a\" \"b\")", "\"a\",", "\"a\" \"b\"", ":YQ==:", ""];
        for line in malformed {
            assert_eq!(groups_of(&[line]), [""; 0], "{line}");
        }
        assert_eq!(groups_of(&["\"a\"", "b"]), [""; 0], "whichever line it is on");
        assert_eq!(groups(&HeaderMap::new()), [""; 0]);
    }

    #[test]
    fn the_two_fields_are_not_mixed_up() {
        let fields: HeaderMap =
            [(CACHE_GROUP_INVALIDATION, HeaderValue::from_static("\"a\""))].into_iter().collect();
        assert_eq!(invalidated_groups(&fields), ["a"]);
        assert_eq!(groups(&fields), [""; 0]);
    }

    #[test]
    fn as_many_and_as_long_as_the_rfc_demands_are_read() {
        let names: Vec<String> = (0..32).map(|i| format!("{i:032}")).collect();
        let line = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(groups_of(&[&line]), names);
    }
}
