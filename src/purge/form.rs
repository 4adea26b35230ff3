//! A purge as a form, which is what `curl -d` sends: `tag=product-42&soft=1`.

use super::Fault;
use super::draft::{Draft, Named, named};

pub(super) fn parse(content: &[u8]) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut set = Vec::new();
    for pair in content.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        let (name, value) = (decode(name)?, decode(value)?);
        let known = named(&name, |list| list.singular).map_err(|fault| of_a_url(fault, content))?;
        match known {
            Named::List(list) => draft.add(list, &value)?,
            Named::Switch(switch) if set.contains(&switch) => {
                return Err(Fault::new(format!("`{name}` is there twice")));
            }
            Named::Switch(switch) => {
                draft.set(switch, is_on(&name, &value)?);
                set.push(switch);
            }
        }
    }
    Ok(draft)
}

/// What follows an `&` in a URL is taken for the next key.
fn of_a_url(fault: Fault, content: &[u8]) -> Fault {
    let has_url = [&b"url="[..], b"prefix="].iter().any(|key| {
        content.starts_with(key) || memchr::memmem::find(content, &[b"&", *key].concat()).is_some()
    });
    if !has_url {
        return fault;
    }
    Fault::new(format!(
        "{fault} If it belongs to the URL before it, let curl encode that: --data-urlencode 'url=...'"
    ))
}

pub(super) fn is_on(name: &str, value: &str) -> Result<bool, Fault> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Fault::new(format!("`{name}` is 1 or 0, not `{value}`"))),
    }
}

/// `+` is a space, `%2F` a byte. What is no such triplet is refused rather than guessed at.
fn decode(text: &[u8]) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => triplet(rest.next(), rest.next()).ok_or_else(|| {
                let shown = String::from_utf8_lossy(text);
                Fault::new(format!("`{shown}`: two hexadecimal digits follow a `%`; a `%` itself is `%25`"))
            })?,
            byte => *byte,
        });
    }
    String::from_utf8(bytes)
        .map_err(|_| Fault::new(format!("`{}` is not UTF-8", String::from_utf8_lossy(text))))
}

fn triplet(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high?)? << 4 | digit(low?)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Limits, Purge, Target};

    const LIMITS: Limits = Limits { targets: 3, refresh: 9 };

    fn read(text: &str) -> Result<Purge, String> {
        Purge::from_form(text.as_bytes(), LIMITS).map_err(|fault| fault.to_string())
    }

    #[test]
    fn keys_are_singular_and_repeatable() {
        let purge = read("tag=a+b&tag=%C3%BC%2f&url=http://h/a?b=c&soft=1&dry_run=0&refresh=true").unwrap();
        let targets =
            [Target::Tag("a b".into()), Target::Tag("\u{fc}/".into()), Target::Url("h/a?b=c".into())];
        assert_eq!(purge, Purge { targets: targets.into(), soft: true, dry_run: false, refresh: Some(9) });
        assert_eq!(read("everything=1&").unwrap().targets, [Target::Everything]);
    }

    #[test]
    fn faults_are_named() {
        for (text, named) in [
            ("", "there is nothing to purge"),
            ("soft=1", "there is nothing to purge"),
            ("tags=a", "unknown key `tags`, did you mean `tag`?"),
            ("tga=a", "unknown key `tga`, did you mean `tag`?"),
            ("url=http://h/a?b=1&c=2", "unknown key `c`; the keys are url, tag"),
            ("url=http://h/a?b=1&c=2", "let curl encode that: --data-urlencode 'url=...'"),
            ("tag=a&c=2", "unknown key `c`"),
            ("tag=", "a tag is empty"),
            ("tag", "a tag is empty"),
            ("tag=a&soft=yes", "`soft` is 1 or 0, not `yes`"),
            ("tag=a&soft", "`soft` is 1 or 0, not ``"),
            ("tag=a&soft=1&soft=0", "`soft` is there twice"),
            ("tag=100%", "two hexadecimal digits follow a `%`"),
            ("tag=%4g", "two hexadecimal digits follow a `%`"),
            ("tag=%+f", "two hexadecimal digits follow a `%`"),
            ("tag=%ff", "`%ff` is not UTF-8"),
            ("tag=1&tag=2&tag=3&tag=4", "4 targets are too many"),
            ("tag=a&refresh=1", "`refresh` goes with `soft`"),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(named), "{text}: {said}");
        }
        assert!(!read("tag=a&c=2").unwrap_err().contains("urlencode"));
    }

    proptest! {
        #[test]
        fn any_content_is_read_or_refused(content in proptest::collection::vec(any::<u8>(), 0..60), text in "(tag|url|soft|everything)=[%+=&a-f0-9]{0,20}") {
            for content in [&content[..], text.as_bytes()] {
                let _ = (Purge::from_form(content, LIMITS), Purge::from_json(content, LIMITS));
            }
        }
    }
}
