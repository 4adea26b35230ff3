//! Walks the tables of a file, key by key, and notes every fault on the way.
//!
//! serde stops at the first value of a wrong type and loses places in flattened or untagged types. Here every key is
//! asked for by its name, a fault is noted and its default taken, and reading goes on: whoever mends a file sees
//! everything that is wrong with it at once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Place};
use super::reference::{Default as KeyDefault, Key, TABLES, Table};
use super::suggest;
use super::units::Wrong;
use super::value::{Value, mistyped};

/// Which key of which table, for finding its place again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub(super) table: &'static str,
    /// 0 unless the table is repeated.
    pub(super) index: usize,
    /// Empty for the table itself.
    pub(super) key: &'static str,
}

/// The faults so far, and where everything stands.
#[derive(Default)]
pub(super) struct Notes {
    faults: RefCell<Vec<Fault>>,
    places: RefCell<HashMap<At, Place>>,
    unsound: RefCell<HashSet<At>>,
}

impl Notes {
    pub(super) fn fault(&self, place: Place, what: impl Into<String>, right: Option<String>) {
        self.faults.borrow_mut().push(Fault { place, what: what.into(), right });
    }

    /// Says that a value does not come from the file but from an option.
    pub(super) fn set_place(&self, at: At, place: Place) {
        self.unsound.borrow_mut().remove(&at);
        self.places.borrow_mut().insert(at, place);
    }

    /// Where a value came from; `None` if it is a default.
    pub(super) fn place(&self, at: At) -> Option<Place> {
        self.places.borrow().get(&at).cloned()
    }

    /// Whether a value is what was meant: a default that stands in for a faulty one is not worth comparing.
    pub(super) fn is_sound(&self, at: At) -> bool {
        !self.unsound.borrow().contains(&at)
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    fn wrong(&self, at: At, span: Range<usize>, wrong: Wrong) {
        self.unsound.borrow_mut().insert(at);
        let Wrong { what, right } = wrong;
        self.fault(Place::Text(span), format!("`{}`: {what}", at.key), Some(right));
    }
}

/// The file as a whole.
pub(super) struct Document<'a, 'i> {
    root: &'a DeTable<'i>,
    notes: &'a Notes,
}

impl<'a, 'i> Document<'a, 'i> {
    /// Notes what stands in no known table.
    pub(super) fn open(root: &'a DeTable<'i>, notes: &'a Notes) -> Self {
        for (name, value) in root {
            if !TABLES.iter().any(|table| table.name == name.get_ref().as_ref()) {
                let (what, right) = suggest::outside_of_tables(name.get_ref(), value.get_ref());
                notes.fault(Place::Text(name.span()), what, right);
            }
        }
        Self { root, notes }
    }

    /// A table that is written once or not at all.
    pub(super) fn single(&self, table: &'static Table) -> Section<'a, 'i> {
        let name = table.name;
        match self.root.get(name).map(|value| (value.span(), value.get_ref())) {
            None => Section::absent(table, self.notes),
            Some((span, DeValue::Table(entries))) => Section::open(table, 0, entries, span, self.notes),
            Some((span, value)) => {
                let what = match value {
                    DeValue::Array(_) => format!("[{name}] must be written with single brackets, once"),
                    _ => format!("`{name}` is a table"),
                };
                let right = format!("write {} and its keys below it", table.header());
                self.notes.fault(Place::Text(span), what, Some(right));
                Section::absent(table, self.notes)
            }
        }
    }

    /// A table that is written any number of times.
    pub(super) fn repeated(&self, table: &'static Table) -> Vec<Section<'a, 'i>> {
        let name = table.name;
        let Some(value) = self.root.get(name) else { return Vec::new() };
        let misformed = |span| {
            let what = format!("[{name}] must be written with double brackets");
            self.notes.fault(Place::Text(span), what, Some(format!("write {}", table.header())));
        };
        match value.get_ref() {
            DeValue::Array(elements) => elements
                .iter()
                .enumerate()
                .filter_map(|(index, element)| match element.get_ref() {
                    DeValue::Table(entries) => {
                        Some(Section::open(table, index, entries, element.span(), self.notes))
                    }
                    _ => {
                        misformed(element.span());
                        None
                    }
                })
                .collect(),
            DeValue::Table(entries) => {
                misformed(value.span());
                vec![Section::open(table, 0, entries, value.span(), self.notes)]
            }
            _ => {
                misformed(value.span());
                Vec::new()
            }
        }
    }
}

/// One table of the file, or the defaults of one that is absent.
pub(super) struct Section<'a, 'i> {
    table: &'static Table,
    index: usize,
    entries: Option<&'a DeTable<'i>>,
    header: Place,
    notes: &'a Notes,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Notes the keys that the table does not have.
    pub(super) fn open(
        table: &'static Table,
        index: usize,
        entries: &'a DeTable<'i>,
        header: Range<usize>,
        notes: &'a Notes,
    ) -> Self {
        for name in entries.keys() {
            if table.key(name.get_ref()).is_none() {
                let (what, right) = suggest::unknown_key(table, name.get_ref());
                notes.fault(Place::Text(name.span()), what, right);
            }
        }
        let header = Place::Text(header);
        notes.set_place(At { table: table.name, index, key: "" }, header.clone());
        Self { table, index, entries: Some(entries), header, notes }
    }

    /// Everything by default.
    pub(super) fn absent(table: &'static Table, notes: &'a Notes) -> Self {
        Self { table, index: 0, entries: None, header: Place::Whole, notes }
    }

    /// Where the table begins.
    pub(super) fn header(&self) -> Place {
        self.header.clone()
    }

    pub(super) fn notes(&self) -> &'a Notes {
        self.notes
    }

    /// The value set or the default; `None` if the key has none.
    pub(super) fn get<T: Value>(&self, name: &'static str) -> Option<T> {
        let key = self.key(name)?;
        match self.raw(name) {
            Some(value) => self.note(key, value, T::read(value.get_ref(), key)).or_else(|| self.default(key)),
            None => self.default(key),
        }
    }

    /// The value of a key that has a default.
    pub(super) fn need<T: Value + Default>(&self, name: &'static str) -> T {
        self.get(name).unwrap_or_default()
    }

    /// The value set or the one computed.
    pub(super) fn get_or<T: Value>(&self, name: &'static str, compute: impl FnOnce() -> T) -> T {
        self.get(name).unwrap_or_else(compute)
    }

    /// The values of a key that takes one or a list of them.
    pub(super) fn list<T: Value>(&self, name: &'static str) -> Vec<T> {
        let Some(key) = self.key(name) else { return Vec::new() };
        match self.raw(name).map(|value| (value, value.get_ref())) {
            None => self.default_list(key),
            Some((whole, DeValue::Array(elements))) => {
                self.notes.set_place(self.at(key), Place::Text(whole.span()));
                let read = |element: &Spanned<DeValue<'_>>| {
                    T::read(element.get_ref(), key)
                        .map_err(|wrong| self.notes.wrong(self.at(key), element.span(), wrong))
                };
                elements.iter().filter_map(|element| read(element).ok()).collect()
            }
            Some((single, value)) => self.note(key, single, T::read(value, key)).into_iter().collect(),
        }
    }

    /// The value as it stands in the file, for a key whose kind needs more than [`Value`].
    pub(super) fn raw(&self, name: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.entries.and_then(|entries| entries.get(name))
    }

    /// Notes that a value of this key has a wrong type.
    pub(super) fn mistyped(&self, name: &'static str, value: &Spanned<DeValue<'_>>) {
        let Some(key) = self.key(name) else { return };
        self.notes.wrong(self.at(key), value.span(), mistyped(value.get_ref(), key));
    }

    /// Every name that the code asks for is in the reference; tests read every table and so would find one that is not.
    fn key(&self, name: &'static str) -> Option<&'static Key> {
        let key = self.table.key(name);
        debug_assert!(key.is_some(), "{}.{name} is not in the reference", self.table.name);
        key
    }

    fn at(&self, key: &Key) -> At {
        At { table: self.table.name, index: self.index, key: key.name }
    }

    fn note<T>(&self, key: &Key, value: &Spanned<DeValue<'_>>, read: Result<T, Wrong>) -> Option<T> {
        self.notes.set_place(self.at(key), Place::Text(value.span()));
        read.map_err(|wrong| self.notes.wrong(self.at(key), value.span(), wrong)).ok()
    }

    fn default<T: Value>(&self, key: &Key) -> Option<T> {
        let KeyDefault::Is(text) = key.default else { return None };
        let value = DeValue::parse(text).ok()?;
        let read = T::read(value.get_ref(), key);
        debug_assert!(read.is_ok(), "the default of {}.{} is not valid", self.table.name, key.name);
        read.ok()
    }

    fn default_list<T: Value>(&self, key: &Key) -> Vec<T> {
        let KeyDefault::Is(text) = key.default else { return Vec::new() };
        match DeValue::parse(text).map(Spanned::into_inner) {
            Ok(DeValue::Array(elements)) => {
                elements.iter().filter_map(|element| T::read(element.get_ref(), key).ok()).collect()
            }
            Ok(value) => T::read(&value, key).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }
}
