//! What is wrong with a configuration, where, and what would be right.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These bytes of the file.
    Text(Range<usize>),
    /// This option of the command line.
    Option(&'static str),
    /// The file as such.
    Whole,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong, as a sentence without a full stop.
    pub what: String,
    /// What would be right, unless `what` says it.
    pub right: Option<String>,
}

/// Everything that is wrong with one configuration, in the order of the file. Never empty.
///
/// [`Display`](fmt::Display) gives lines for a pipe: `file:line:column: what`, followed by an indented line that says
/// what would be right. [`render`](Faults::render) draws the lines concerned, for a terminal.
#[derive(Clone, Debug)]
pub struct Faults {
    name: String,
    text: String,
    list: Vec<Fault>,
}

impl Faults {
    /// `name` is what to call the file; `text` what it holds.
    pub(super) fn new(name: &str, text: &str, mut list: Vec<Fault>) -> Self {
        list.sort_by_key(|fault| match &fault.place {
            Place::Option(_) => (0, 0),
            Place::Whole => (1, 0),
            Place::Text(span) => (2, span.start),
        });
        Self { name: name.to_owned(), text: text.to_owned(), list }
    }

    /// One by one, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.list.iter()
    }

    /// Line and column of a fault, both from 1; columns count characters. `None` if it has no place in the text.
    pub fn line_and_column(&self, fault: &Fault) -> Option<(usize, usize)> {
        let Place::Text(span) = &fault.place else { return None };
        let before = self.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        Some((line, 1 + before[line_start..].chars().count()))
    }

    /// Draws every fault below the line that it is in. `styled`: with colours.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for fault in &self.list {
            out.push_str(&renderer.render(&[self.picture(fault)]));
            out.push_str("\n\n");
        }
        out.push_str(&self.count());
        out
    }

    fn picture<'a>(&'a self, fault: &'a Fault) -> annotate_snippets::Group<'a> {
        let group = match &fault.place {
            Place::Text(span) => {
                let snippet = Snippet::source(&*self.text)
                    .path(&*self.name)
                    .annotation(AnnotationKind::Primary.span(self.within(span)));
                Level::ERROR.primary_title(&*fault.what).element(snippet)
            }
            Place::Option(option) => annotate_snippets::Group::with_title(
                Level::ERROR.primary_title(format!("{option}: {}", fault.what)),
            ),
            Place::Whole => annotate_snippets::Group::with_title(
                Level::ERROR.primary_title(format!("{}: {}", self.name, fault.what)),
            ),
        };
        match &fault.right {
            Some(right) => group.element(Level::HELP.message(&**right)),
            None => group,
        }
    }

    /// The span, held inside its first line: a table spans many, but its beginning says enough.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let line_end = self.text.get(start..).and_then(|rest| rest.find('\n')).map(|at| start + at);
        start..span.end.max(start).min(line_end.unwrap_or(self.text.len()))
    }

    fn count(&self) -> String {
        match self.list.len() {
            1 => format!("{}: 1 fault\n", self.name),
            n => format!("{}: {n} faults\n", self.name),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.list {
            match (&fault.place, self.line_and_column(fault)) {
                (Place::Option(option), _) => write!(f, "{option}")?,
                (_, Some((line, column))) => write!(f, "{}:{line}:{column}", self.name)?,
                (_, None) => write!(f, "{}", self.name)?,
            }
            writeln!(f, ": {}", fault.what)?;
            if let Some(right) = &fault.right {
                writeln!(f, "    help: {}", right.replace('\n', "\n    "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
