//! A purge as a JSON object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Fault;
use super::draft::{Draft, Listed, Named, named};

/// Read by hand, because serde's derive cannot suggest keys, and because a key that is there twice must not lose half
/// of what was to be purged.
pub(super) fn parse(content: &[u8]) -> Result<Draft, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(content);
    let read = reader.deserialize_map(Object).and_then(|draft| reader.end().map(|()| draft));
    read.map_err(|error| Fault::new(error.to_string()))
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Draft;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object such as {\"tags\": [\"product-42\"]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Draft, A::Error> {
        let mut draft = Draft::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            let of_key = |error: A::Error| A::Error::custom(format!("`{name}`: {error}"));
            match named(&name, |list| list.plural).map_err(A::Error::custom)? {
                Named::List(list) => {
                    map.next_value_seed(Elements { draft: &mut draft, list }).map_err(of_key)?;
                }
                Named::Switch(switch) => draft.set(switch, map.next_value().map_err(of_key)?),
            }
            seen.push(name);
        }
        Ok(draft)
    }
}

/// The elements of a list of targets.
struct Elements<'d> {
    draft: &'d mut Draft,
    list: Listed,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(text) = elements.next_element::<String>()? {
            self.draft.add(self.list, &text).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Purge, Target};

    const LIMITS: Limits = Limits { targets: 5, refresh: 9 };

    fn fault(text: &str) -> String {
        Purge::from_json(text.as_bytes(), LIMITS).expect_err(text).to_string()
    }

    #[test]
    fn every_key_is_read() {
        let purge = |text: &str| Purge::from_json(text.as_bytes(), LIMITS).unwrap();
        let all = purge(
            r#"{"urls": ["http://h/a"], "tags": ["t", "\u00fc"], "prefixes": ["h/p"], "hosts": ["H"],
                "soft": true, "refresh": true, "dry_run": true, "everything": false}"#,
        );
        let targets = [
            Target::Url("h/a".into()),
            Target::Tag("t".into()),
            Target::Tag("\u{fc}".into()),
            Target::Prefix("h/p".into()),
            Target::Host("h".into()),
        ];
        assert_eq!(all, Purge { targets: targets.into(), soft: true, dry_run: true, refresh: Some(9) });
        let group = purge(r#"{"groups": ["https://h#g"]}"#);
        assert_eq!(group.targets, [Target::Group { origin: "https://h".into(), name: "g".into() }]);
        let everything = purge(r#"{"everything": true, "tags": []}"#);
        assert_eq!((everything.targets, everything.soft), (vec![Target::Everything], false));
    }

    #[test]
    fn faults_are_named() {
        for (text, named) in [
            ("", "EOF"),
            ("[]", "expected an object such as {\"tags\""),
            ("{\"tags\":", "EOF"),
            (r#"{"tags":["a"]} x"#, "trailing characters"),
            (r#"{"tag":["a"]}"#, "unknown key `tag`, did you mean `tags`?"),
            (r#"{"dryrun":true}"#, "unknown key `dryrun`, did you mean `dry_run`?"),
            (r#"{"tags":["a"],"frob":1}"#, "the keys are urls, tags, groups, prefixes, hosts, everything"),
            (r#"{"tags":"a"}"#, "`tags`: invalid type: string \"a\", expected a list of strings"),
            (r#"{"tags":[1]}"#, "`tags`: invalid type: integer `1`, expected a string at line 1"),
            (r#"{"soft":"yes","tags":["a"]}"#, "`soft`: invalid type: string \"yes\", expected a boolean"),
            (r#"{"soft":1}"#, "`soft`: invalid type"),
            (r#"{"tags":["a"],"tags":["b"]}"#, "`tags` is there twice"),
            (r#"{"tags":[""]}"#, "`tags`: a tag is empty"),
            (r#"{"urls":["/a"]}"#, "`urls`: `/a` is not a URL; it has no host"),
            ("{}", "there is nothing to purge"),
            (r#"{"everything":false}"#, "there is nothing to purge"),
            (r#"{"tags":["1","2","3","4","5","6"]}"#, "6 targets are too many; 5 at most"),
            (r#"{"tags":["a"],"refresh":true}"#, "`refresh` goes with `soft`"),
            ("{\"tags\":[\"\\ud800\"]}", "`tags`: unexpected end of hex escape at line 1 column 17"),
        ] {
            let said = fault(text);
            assert!(said.contains(named), "{text}: {said}");
        }
    }
}
