//! "Did you mean": what an unknown word was probably meant to be.

use toml::de::DeValue;

use super::reference::{TABLES, Table};

/// The candidate that is nearest to `word`, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the choice between `-` and `_` do not make a word another one.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// What is wrong with an unknown key of a table, and what would be right where the first does not say it.
pub(super) fn unknown_key(table: &Table, name: &str) -> (String, Option<String>) {
    let header = table.header();
    let called = |key: &&super::reference::Key| key.aliases.contains(&plain(name).as_str());
    let meant = table.keys.iter().find(called).map(|key| key.name);
    if let Some(meant) = meant {
        return (format!("unknown key `{name}` in {header}, did you mean `{meant}`?"), None);
    }
    if let Some(home) = home_of(name) {
        return (format!("unknown key `{name}` in {header}; it belongs in {}", home.header()), None);
    }
    match nearest(name, table.keys.iter().map(|key| key.name)) {
        Some(meant) => (format!("unknown key `{name}` in {header}, did you mean `{meant}`?"), None),
        None => {
            (format!("unknown key `{name}` in {header}"), Some(format!("its keys are {}", keys_of(table))))
        }
    }
}

/// The same for what stands outside of the known tables: another table, or a key at the top of the file.
pub(super) fn outside_of_tables(name: &str, value: &DeValue<'_>) -> (String, Option<String>) {
    let is_list_of_tables = |value: &DeValue<'_>| {
        value.as_array().is_some_and(|list| list.iter().any(|element| element.get_ref().is_table()))
    };
    let what = match value {
        DeValue::Table(_) => format!("unknown table [{name}]"),
        list if is_list_of_tables(list) => format!("unknown table [[{name}]]"),
        _ => {
            let what = format!("unknown key `{name}` outside of the tables");
            if let Some(home) = home_of(name) {
                return (format!("{what}; it belongs in {}", home.header()), None);
            }
            what
        }
    };
    let names = TABLES.iter().map(|table| table.name);
    match nearest(name, names).and_then(|near| TABLES.iter().find(|table| table.name == near)) {
        Some(table) => (format!("{what}, did you mean {}?", table.header()), None),
        None => {
            let headers: Vec<String> = TABLES.iter().map(|table| table.header()).collect();
            (what, Some(format!("the tables are {}", headers.join(", "))))
        }
    }
}

/// The only table that has a key of this name.
fn home_of(name: &str) -> Option<&'static Table> {
    let mut homes = TABLES.iter().copied().filter(|table| table.key(name).is_some());
    homes.next().filter(|_| homes.next().is_none())
}

fn keys_of(table: &Table) -> String {
    table.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["ttl", "min_ttl", "stale_if_error"];
        assert_eq!(nearest("ttll", keys), Some("ttl"));
        assert_eq!(nearest("Stale-If-Eror", keys), Some("stale_if_error"));
        assert_eq!(nearest("upstream", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_key_in_the_wrong_table_is_sent_home() {
        assert_eq!(home_of("memory").map(Table::header).as_deref(), Some("[cache]"));
        assert!(home_of("name").is_none(), "several tables have a name");
    }
}
