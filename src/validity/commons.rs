//! What responses have in common: without tags, groups and a port, they differ by their URLs only.

use super::cell::Role;
use super::marks::List;
use super::sync::Mutex;

/// The last lists of responses that answer to nothing but their URL, their host and everything; so that the next response
/// of the host shares it, and none of the names is looked up again.
///
/// INVARIANT: as long as a list is here, its cells are in their tables, since a cell that is held is not forgotten. So to find
/// the list is to find the cells. It is here from one sweep to the next at most, so that it keeps nothing for ever.
#[derive(Debug)]
pub(super) struct Commons {
    places: Box<[Mutex<Option<List>>]>,
}

impl Commons {
    /// For so many hosts at a time, at most.
    pub(super) fn new(places: usize) -> Self {
        Self { places: (0..places.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// The list of the last response of `host`.
    pub(super) fn of(&self, host: &[u8]) -> Option<List> {
        let list = self.place(host).lock();
        list.as_ref().filter(|list| is_of(list, host)).cloned()
    }

    /// Remembers a list of everything and of `host`.
    pub(super) fn keep(&self, host: &[u8], list: &List) {
        *self.place(host).lock() = Some(list.clone());
    }

    /// Forgets them all, so that a sweep can forget their cells.
    pub(super) fn clear(&self) {
        self.places.iter().for_each(|place| drop(place.lock().take()));
    }

    /// Hosts that fall into one place push each other out, which costs memory and no more: so the sum needs no secret.
    fn place(&self, host: &[u8]) -> &Mutex<Option<List>> {
        let sum =
            host.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        &self.places[sum % self.places.len()]
    }
}

fn is_of(list: &List, host: &[u8]) -> bool {
    list.cells().iter().any(|cell| cell.role() == Role::Host && cell.name() == host)
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::super::facts::Facts;
    use super::*;

    fn list(host: &[u8]) -> List {
        let cell = |role, name| Cell::new(role, name, Facts::NONE);
        List::of(vec![cell(Role::Everything, b""), cell(Role::Host, host)])
    }

    #[test]
    fn what_pushes_another_out_is_not_taken_for_it() {
        let commons = Commons::new(1);
        commons.keep(b"a.example", &list(b"a.example"));
        assert!(commons.of(b"a.example").is_some());
        assert!(commons.of(b"b.example").is_none());
        commons.keep(b"b.example", &list(b"b.example"));
        assert!(commons.of(b"a.example").is_none());
    }

    #[test]
    fn it_keeps_nothing_when_it_is_cleared() {
        let commons = Commons::new(4);
        let kept = list(b"a.example");
        commons.keep(b"a.example", &kept);
        assert_eq!(kept.holders(), 2);
        commons.clear();
        assert_eq!(kept.holders(), 1);
        assert!(commons.of(b"a.example").is_none());
    }
}
