//! Bearer tokens (RFC 6750 §2.1), as a file or the environment holds them.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::units::Wrong;

/// The shortest token: what is shorter can be guessed.
const SHORTEST: usize = 16;
/// The longest file of tokens, in bytes: who names a device by mistake is told so.
const MOST: u64 = 1 << 20;
const VARIABLE: &str = "LARDER_TOKEN";

/// A text that does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// To compare it, or to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A token, and what the audit log calls whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Given in the file, or where it came from.
    pub name: String,
    /// What is sent.
    pub secret: Secret,
}

/// Reads the text of a token file. Each line is a token, or a name and a token; empty lines, and those that begin with
/// `#`, are left out. Several tokens are all good, so that one can take over from another.
///
/// # Errors
///
/// The first line that is none of these.
pub fn read_tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let mut words = line.split_ascii_whitespace();
            let read = match (words.next(), words.next(), words.next()) {
                (Some(secret), None, _) => token(&format!("line-{number}"), secret),
                (Some(name), Some(secret), None) => token(name, secret),
                _ => Err(Wrong::new("it has too many words", "write a token, or a name and a token")),
            };
            read.map_err(|wrong| Wrong::new(format!("line {number}: {}", wrong.what), wrong.right))
        })
        .collect()
}

/// Reads a token file, for [`read_tokens`].
///
/// # Errors
///
/// It cannot be read, or a line is not as it should be.
pub fn read_token_file(path: &Path) -> Result<Vec<Token>, Wrong> {
    let cannot = |error| {
        Wrong::new(format!("{} cannot be read: {error}", path.display()), "name a file that holds a token")
    };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text)).map_err(cannot)?;
    read_tokens(&text).map_err(|wrong| Wrong::new(format!("{}, {}", path.display(), wrong.what), wrong.right))
}

/// Reads a token file that must hold at least one, as it must at the start.
///
/// # Errors
///
/// As [`read_token_file`], or there is none.
pub fn need_token_file(path: &Path) -> Result<Vec<Token>, Wrong> {
    let tokens = read_token_file(path)?;
    if tokens.is_empty() {
        return Err(Wrong::new(format!("there is no token in {}", path.display()), HOW_TO_MAKE_ONE));
    }
    Ok(tokens)
}

const HOW_TO_MAKE_ONE: &str = "`openssl rand -hex 32` makes a good one";

/// The token in the environment, if there is one.
pub(super) fn from_environment() -> Result<Option<Token>, Wrong> {
    match std::env::var(VARIABLE) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => token(VARIABLE, text.trim())
            .map(Some)
            .map_err(|wrong| Wrong::new(format!("{VARIABLE}: {}", wrong.what), wrong.right)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Wrong::new(format!("{VARIABLE} is not text"), HOW_TO_MAKE_ONE))
        }
    }
}

/// Checks what is to be a token; the fault does not show it.
fn token(name: &str, secret: &str) -> Result<Token, Wrong> {
    let body = secret.trim_end_matches('=');
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if body.is_empty() || !body.bytes().all(is_valid) {
        let right = "use letters, digits and `-._~+/`, perhaps with `=` at the end";
        return Err(Wrong::new("this is not a token", right));
    }
    if secret.len() < SHORTEST {
        let what = format!("a token of {} characters can be guessed", secret.len());
        return Err(Wrong::new(what, format!("use at least {SHORTEST}; {HOW_TO_MAKE_ONE}")));
    }
    Ok(Token { name: name.to_owned(), secret: Secret(secret.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_token_a_line() {
        let text = "# of the shop\n\nabcdefghijklmnop==\n  deploy   0123456789abcdef  \r\n";
        let tokens = read_tokens(text).unwrap();
        let tokens: Vec<_> =
            tokens.iter().map(|token| (token.name.as_str(), token.secret.expose())).collect();
        assert_eq!(tokens, [("line-3", "abcdefghijklmnop=="), ("deploy", "0123456789abcdef")]);
        assert_eq!(read_tokens("# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        for (text, what, right) in [
            ("hunter2", "line 1: a token of 7 characters", "openssl"),
            ("\nname hunter2hunter2hunter\u{fc}", "line 2: this is not a token", "letters"),
            ("one two threethreethreethree", "line 1: it has too many words", "a name and a token"),
            ("================", "line 1: this is not a token", "letters"),
        ] {
            let wrong = read_tokens(text).unwrap_err();
            assert!(wrong.what.contains(what) && wrong.right.contains(right), "{text}: {wrong}");
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        let tokens = read_tokens("deploy 0123456789abcdef").unwrap();
        assert_eq!(format!("{tokens:?}"), "[Token { name: \"deploy\", secret: (secret) }]");
    }
}
