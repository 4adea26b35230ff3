//! Reading a file of tables, and checking every row of it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use larder::policy::{ClientCacheControl, Heuristic, Rules, Target};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// When every response of a table is received: 2026-01-01T00:00:00Z.
pub(crate) fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// A row: what it is called, where its rule stands, and whether it holds.
pub(crate) trait Row: DeserializeOwned {
    fn name(&self) -> &str;
    fn section(&self) -> &str;
    fn check(&self) -> Result<(), String>;
}

/// Declares the struct of a row: its fields, with `name` and `section` in front; unknown keys are refused.
macro_rules! row {
    ($row:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* } check($this:ident) $check:block) => {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $row {
            name: String,
            section: String,
            $($(#[$attribute])* $field: $kind,)*
        }

        impl crate::sheet::Row for $row {
            fn name(&self) -> &str {
                &self.name
            }
            fn section(&self) -> &str {
                &self.section
            }
            fn check(&self) -> Result<(), String> {
                let $this = self;
                $check
            }
        }
    };
}
pub(crate) use row;

/// A file of tables. Every table in it has to be checked before it is dropped.
pub(crate) struct Sheet {
    file: &'static str,
    tables: toml::Table,
    faults: Vec<String>,
}

impl Sheet {
    pub(crate) fn open(file: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/policy").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self::read(file, &text)
    }

    fn read(file: &'static str, text: &str) -> Self {
        let tables = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        Self { file, tables, faults: Vec::new() }
    }

    /// Checks all rows of `[[table]]`.
    pub(crate) fn check<R: Row>(mut self, table: &str) -> Self {
        let rows = match self.tables.remove(table) {
            Some(toml::Value::Array(rows)) if !rows.is_empty() => rows,
            _ => panic!("{}: no rows in [[{table}]]", self.file),
        };
        let mut names = BTreeSet::new();
        for (number, row) in rows.into_iter().enumerate() {
            let place = format!("{} [[{table}]] {}", self.file, number + 1);
            match row.try_into::<R>() {
                Err(error) => self.faults.push(format!("{place}: {error}")),
                Ok(row) => {
                    if !is_section(row.section()) {
                        self.faults.push(format!("{place}: not a section: {:?}", row.section()));
                    }
                    if !names.insert(row.name().to_owned()) {
                        self.faults.push(format!("{place}: the name {:?} is taken", row.name()));
                    }
                    if let Err(fault) = row.check() {
                        self.faults.push(format!("{place} {:?} ({}): {fault}", row.name(), row.section()));
                    }
                }
            }
        }
        self
    }

    /// Fails if a row failed, or if there is a table that nobody checked.
    pub(crate) fn finish(mut self) {
        self.faults.extend(self.tables.keys().map(|key| format!("{}: unknown key {key}", self.file)));
        assert!(self.faults.is_empty(), "\n{}\n", self.faults.join("\n"));
    }
}

/// `RFC 9111 §4.2.1`, or `Larder` for a rule of our own.
fn is_section(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix("RFC ").and_then(|rest| rest.split_once(" §")) {
        Some((rfc, section)) => is_number(rfc) && section.split('.').all(is_number),
        None => text == "Larder",
    }
}

/// `Ok` if both are equal.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

/// Fields from lines of `"Name: value"`.
pub(crate) fn fields(lines: &[String]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| panic!("no name in {line:?}"));
        let value = with_dates(value.strip_prefix(' ').unwrap_or(value));
        fields.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a field value"));
    }
    fields
}

/// Lines of `"name: value"` from fields, in order.
pub(crate) fn lines(fields: &HeaderMap) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
}

/// Replaces each `{seconds}` by the HTTP-date that long after receipt.
pub(crate) fn with_dates(text: &str) -> String {
    let mut rest = text;
    let mut dated = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        let (offset, after) = after.split_once('}').expect("a closing brace");
        let offset: i64 = offset.parse().expect("seconds");
        let distance = Duration::from_secs(offset.unsigned_abs());
        let time = if offset < 0 { received() - distance } else { received() + distance };
        dated += before;
        dated += &httpdate::fmt_http_date(time);
        rest = after;
    }
    dated + rest
}

/// A `http://host/path` in parts.
pub(crate) fn target(url: &str) -> Target<'_> {
    let (scheme, rest) = url.split_once("://").expect("an absolute URL");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
    Target { scheme, authority, path }
}

/// `rules = { ttl = 60, heuristic = 0.1 }`; times in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesRow {
    cache: Option<bool>,
    ttl: Option<u64>,
    min_ttl: Option<u64>,
    max_ttl: Option<u64>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
    heuristic: Option<f32>,
    heuristic_max: Option<u64>,
    honor_client: Option<bool>,
    allow_set_cookie: Option<bool>,
}

impl RulesRow {
    pub(crate) fn rules(&self) -> Rules {
        let seconds = |value: Option<u64>| value.map(Duration::from_secs);
        let max = Duration::from_secs(self.heuristic_max.unwrap_or(86_400));
        Rules {
            cache: self.cache.unwrap_or(true),
            ttl: seconds(self.ttl),
            min_ttl: seconds(self.min_ttl),
            max_ttl: seconds(self.max_ttl),
            stale_while_revalidate: seconds(self.stale_while_revalidate),
            stale_if_error: seconds(self.stale_if_error),
            heuristic: self.heuristic.map(|fraction| Heuristic { fraction, max }),
            client_cache_control: match self.honor_client {
                Some(true) => ClientCacheControl::Honor,
                _ => ClientCacheControl::Ignore,
            },
            allow_set_cookie: self.allow_set_cookie.unwrap_or(false),
        }
    }
}

mod strictness {
    use super::Sheet;

    super::row!(AnyRow { holds: bool, } check(row) { super::same("holds", true, row.holds) });

    fn check(text: &str) {
        Sheet::read("text", text).check::<AnyRow>("row").finish();
    }

    const ROW: &str = "[[row]]\nname = 'a'\nsection = 'RFC 9111 §4'\nholds = true\n";

    #[test]
    fn a_row_that_holds_passes() {
        check(ROW);
    }

    #[test]
    #[should_panic(expected = "expected true, found false")]
    fn a_row_that_does_not_hold_fails() {
        check(&ROW.replace("true", "false"));
    }

    #[test]
    #[should_panic(expected = "unknown field `hold`")]
    fn an_unknown_key_fails() {
        check(&ROW.replace("holds", "hold"));
    }

    #[test]
    #[should_panic(expected = "no rows in [[row]]")]
    fn an_empty_table_fails() {
        check("row = []");
    }

    #[test]
    #[should_panic(expected = "unknown key other")]
    fn a_table_that_nobody_checks_fails() {
        check(&format!("{ROW}{}", ROW.replace("[[row]]", "[[other]]")));
    }

    #[test]
    #[should_panic(expected = "is taken")]
    fn a_name_given_twice_fails() {
        check(&format!("{ROW}{ROW}"));
    }

    #[test]
    #[should_panic(expected = "not a section")]
    fn a_row_without_its_section_fails() {
        check(&ROW.replace("RFC 9111 §4", "RFC"));
    }
}
