//! Tells which responses answer to a subject, for who walks over all of them.

use super::cell::{Cell, Role};
use super::marks::Marks;

/// The responses that a fact about one subject would speak of. Made by [`Log::selector`](super::Log::selector).
#[derive(Debug)]
pub struct Selector(pub(super) Choice);

#[derive(Debug)]
pub(super) enum Choice {
    /// Nothing that was stored when the selector was made.
    Nothing,
    Cell(Cell),
    Prefix(Box<[u8]>),
}

impl Selector {
    /// Whether a response with these marks is among them. A comparison per cell.
    pub fn selects(&self, marks: &Marks) -> bool {
        match &self.0 {
            Choice::Nothing => false,
            Choice::Cell(cell) => marks.answers_to(cell),
            Choice::Prefix(prefix) => {
                marks.cells().any(|cell| cell.role() == Role::Url && cell.name().starts_with(prefix))
            }
        }
    }
}
