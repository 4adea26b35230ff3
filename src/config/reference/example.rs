//! Renders the reference as a configuration file.

use std::fmt::Write as _;

use super::{Default, Key, Kind, TABLES};

/// Width that comments are wrapped to.
const WIDTH: usize = 100;

const PREFACE: &str = "\
# Every key that Larder knows, with its default. Text is behind `# `, keys are behind a bare `#`:
# take that away to set one. `larder check --config FILE` says what is wrong with a file.
#
# Rendered from the table of keys that Larder reads files by (src/config/reference); do not edit this copy.
";

/// The text of `config.example.toml`: valid as it stands, and with every key uncommented.
pub fn render_example() -> String {
    let mut out = PREFACE.to_owned();
    for table in TABLES {
        out.push('\n');
        comment(&mut out, table.doc);
        let _ = writeln!(out, "{}", table.header());
        for key in table.keys {
            out.push('\n');
            render_key(&mut out, key);
        }
    }
    out
}

fn render_key(out: &mut String, key: &Key) {
    let (note, value, mark) = match key.default {
        Default::Is(value) => (String::new(), value, "#"),
        Default::Unset { meaning, example } | Default::Computed { meaning, example } => {
            (format!(" Default: {meaning}."), example, "#")
        }
        Default::Required { example } => (" Must be set.".to_owned(), example, ""),
    };
    comment(out, &format!("{}{note}{}", key.doc, limits(key)));
    let _ = writeln!(out, "{mark}{} = {value}", key.name);
}

fn limits(key: &Key) -> String {
    let (least, most) = key.limits;
    // The limits of durations only keep nonsense out; those of counts and sizes are worth knowing.
    if most == u64::MAX || key.kind == Kind::Duration {
        return String::new();
    }
    format!(" From {} to {}.", key.kind.show(least), key.kind.show(most))
}

/// Writes a text as comment lines.
fn comment(out: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        if column == 0 || column + 1 + word.len() > WIDTH {
            out.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}
