//! A strict reader of what `/metrics` says, for tests: the OpenMetrics text format as far as it is used here.

use std::collections::{BTreeMap, BTreeSet};

/// Labels and their values, as they stand.
pub(crate) type Pairs = Vec<(String, String)>;

/// A metric family.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    /// By sample name and labels.
    pub(crate) samples: BTreeMap<(String, Pairs), f64>,
}

impl Family {
    /// The value of the sample that has this suffix and exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }
}

/// Reads an exposition; panics at anything that is not to the letter.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Family> {
    let text = text.strip_suffix("# EOF\n").expect("ends in EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (keyword, rest) = comment.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            match keyword {
                "HELP" => {
                    assert!(families.insert(name.to_owned(), Family::default()).is_none(), "{name} twice");
                    assert!(value.ends_with('.'), "{line}");
                    current = name.to_owned();
                }
                "TYPE" => {
                    assert_eq!(name, current);
                    families.get_mut(name).unwrap().kind = value.to_owned();
                }
                "UNIT" => assert!(name == current && name.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let family = families.get_mut(&current).expect("samples follow their family");
        let suffix = name.strip_prefix(&current).expect("samples carry their family's name");
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            kind => panic!("unknown type {kind}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert!(family.samples.insert((name, labels), value).is_none(), "twice: {line}");
    }
    families.values().filter(|family| family.kind == "histogram").for_each(check_histogram);
    families
}

fn sample(line: &str) -> (String, Pairs, f64) {
    let (head, value) = line.rsplit_once(' ').expect(line);
    let value: f64 = value.parse().expect(line);
    let (name, labels) = match head.split_once('{') {
        None => (head, Vec::new()),
        Some((name, labels)) => (name, self::labels(labels.strip_suffix('}').expect(line))),
    };
    let first = name.bytes().next().expect(line);
    assert!(first.is_ascii_lowercase() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let keys: BTreeSet<&String> = labels.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), labels.len(), "a label twice: {line}");
    (name.to_owned(), labels, value)
}

fn labels(mut text: &str) -> Pairs {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"").expect(text);
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("an escape").1 {
                    'n' => value.push('\n'),
                    char @ ('"' | '\\') => value.push(char),
                    char => panic!("escape of {char}"),
                },
                (_, char) => value.push(char),
            }
        };
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{key}");
        labels.push((key.to_owned(), value));
        text = &rest[end + 1..];
        if !text.is_empty() {
            text = text.strip_prefix(',').expect("a comma between labels");
            assert!(!text.is_empty(), "a comma at the end");
        }
    }
    labels
}

/// Buckets rise to `+Inf`, which is the count.
fn check_histogram(family: &Family) {
    let mut series: BTreeMap<Pairs, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), value) in &family.samples {
        if !name.ends_with("_bucket") {
            continue;
        }
        let (bounds, rest): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(key, _)| key == "le");
        let [(_, bound)] = &bounds[..] else { panic!("a bucket without its bound: {labels:?}") };
        let bound = bound.replace("+Inf", "inf").parse().unwrap();
        series.entry(rest).or_default().push((bound, *value));
    }
    for (labels, mut buckets) in series {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{labels:?} {buckets:?}");
        let (bound, total) = buckets[buckets.len() - 1];
        assert!(bound.is_infinite());
        let count = family.samples.iter().find(|((name, of), _)| name.ends_with("_count") && *of == labels);
        assert_eq!(count.map(|(_, count)| *count), Some(total), "{labels:?}");
    }
}
