//! What clients, origins and the configuration chose, between double quotes.
//!
//! All that is written is printable ASCII: nobody can end a line early, forge a second one or send control sequences to
//! the terminal of whoever reads the log. What needs no escape, and so nearly everything, is copied as it is.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The inside of a JSON string. What is no UTF-8 becomes U+FFFD; what is no ASCII is written as `\uXXXX`, in UTF-16.
pub(super) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|char| json_char(char, out));
        if !chunk.invalid().is_empty() {
            json_char(char::REPLACEMENT_CHARACTER, out);
        }
    }
}

fn json_char(char: char, out: &mut Vec<u8>) {
    match char {
        '"' | '\\' => out.extend_from_slice(&[b'\\', char as u8]),
        ' '..='~' => out.push(char as u8),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        _ => {
            for &mut unit in char.encode_utf16(&mut [0; 2]) {
                let [high, low] = unit.to_be_bytes();
                let [a, b, c, d] = [digit(high >> 4), digit(high), digit(low >> 4), digit(low)];
                out.extend_from_slice(&[b'\\', b'u', a, b, c, d]);
            }
        }
    }
}

/// Printable ASCII stays; `"` and `\` get a backslash; every other byte becomes `\xHH`. Unambiguous, so the bytes
/// can be recovered.
pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte)]),
        }
    }
}

/// Printable ASCII, and none of it `"` or `\`.
fn is_plain(bytes: &[u8]) -> bool {
    by_blocks::<16>(bytes)
        .or_else(|| by_blocks::<8>(bytes))
        .or_else(|| by_blocks::<4>(bytes))
        .unwrap_or_else(|| !bytes.iter().copied().any(is_odd))
}

/// The same, by blocks of `N` bytes that processors compare at once, of which the last may overlap the one before it.
/// `None` if there is less than a block.
fn by_blocks<const N: usize>(bytes: &[u8]) -> Option<bool> {
    let last = bytes.last_chunk::<N>()?;
    Some(bytes.as_chunks::<N>().0.iter().all(is_plain_block) && is_plain_block(last))
}

/// Looks at all bytes, whatever it finds, so that they can be looked at together.
fn is_plain_block<const N: usize>(block: &[u8; N]) -> bool {
    !block.iter().fold(false, |odd, &byte| odd | is_odd(byte))
}

fn is_odd(byte: u8) -> bool {
    !(b' '..=b'~').contains(&byte) | (byte == b'"') | (byte == b'\\')
}

/// Of the lower four bits.
fn digit(nibble: u8) -> u8 {
    HEX[usize::from(nibble & 0xf)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(escape: fn(&[u8], &mut Vec<u8>), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{out:?}");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_escaped_and_how() {
        let table: [(&[u8], &str, &str); 7] = [
            (b"", "", ""),
            (b"/a?b=c ~!#[]^_", "/a?b=c ~!#[]^_", "/a?b=c ~!#[]^_"),
            (b"a\"b\\c", "a\\\"b\\\\c", "a\\\"b\\\\c"),
            (
                b"\n\r\t\x08\x0c\x00\x1f\x7f",
                "\\n\\r\\t\\b\\f\\u0000\\u001f\\u007f",
                "\\x0a\\x0d\\x09\\x08\\x0c\\x00\\x1f\\x7f",
            ),
            ("\u{e9}".as_bytes(), "\\u00e9", "\\xc3\\xa9"),
            ("\u{1f9c0}".as_bytes(), "\\ud83e\\uddc0", "\\xf0\\x9f\\xa7\\x80"),
            (b"caf\xe9 \xe2\x82", "caf\\ufffd \\ufffd", "caf\\xe9 \\xe2\\x82"),
        ];
        for (bytes, as_json, as_text) in table {
            assert_eq!(written(json, bytes), as_json);
            assert_eq!(written(text, bytes), as_text);
        }
    }

    /// The inverse of [`text`].
    fn read_text(mut text: &[u8]) -> Vec<u8> {
        let mut read = Vec::new();
        while let [first, rest @ ..] = text {
            text = match (first, rest) {
                (b'\\', [b'x', high, low, rest @ ..]) => {
                    let digits = [*high, *low];
                    read.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
                    rest
                }
                (b'\\', [escaped, rest @ ..]) => {
                    read.push(*escaped);
                    rest
                }
                (plain, rest) => {
                    assert_ne!(*plain, b'"', "ends the string");
                    read.push(*plain);
                    rest
                }
            };
        }
        read
    }

    #[test]
    fn every_byte_is_escaped_wherever_it_stands() {
        for length in [1, 3, 4, 5, 8, 11, 16, 17, 47] {
            for (byte, at) in (0..=255).flat_map(|byte| (0..length).map(move |at| (byte, at))) {
                let mut bytes = vec![b'a'; length];
                bytes[at] = byte;
                assert_eq!(read_text(written(text, &bytes).as_bytes()), bytes);
                let read: String = serde_json::from_str(&format!("\"{}\"", written(json, &bytes))).unwrap();
                assert_eq!(read, String::from_utf8_lossy(&bytes));
            }
        }
    }

    proptest! {
        #[test]
        fn text_can_be_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(read_text(written(text, &bytes).as_bytes()), bytes);
        }

        #[test]
        fn json_can_be_read_back_as_far_as_it_is_unicode(bytes: Vec<u8>, unicode: String) {
            for bytes in [&bytes, unicode.as_bytes()] {
                let read: String = serde_json::from_str(&format!("\"{}\"", written(json, bytes))).unwrap();
                prop_assert_eq!(read, String::from_utf8_lossy(bytes));
            }
        }
    }
}
