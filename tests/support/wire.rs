//! HTTP/1.1 messages off a socket, read strictly: whatever RFC 9112 forbids is reported, nothing is repaired.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// Why a message ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The other side closed the connection in an orderly way.
    Closed,
    /// The other side reset the connection.
    Reset,
    /// Nothing came for [`PATIENCE`].
    Silence,
    /// What came is not HTTP/1.1.
    Malformed(String),
}

fn cut(error: io::Error) -> Cut {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Cut::Silence,
        _ => Cut::Reset,
    }
}

/// Field lines in the order and with the bytes in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// Adds a line at the end.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }

    /// The values of all lines called `name`, in order, as bytes.
    pub fn bytes(&self, name: &str) -> Vec<&[u8]> {
        let called = |line: &&(Vec<u8>, Vec<u8>)| line.0.eq_ignore_ascii_case(name.as_bytes());
        self.0.iter().filter(called).map(|line| line.1.as_slice()).collect()
    }

    /// The values of all lines called `name`, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.bytes(name).into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The value of the only line called `name`.
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times in {self:?}", all.len());
        all.pop()
    }

    /// Whether there is a line called `name`.
    pub fn has(&self, name: &str) -> bool {
        !self.bytes(name).is_empty()
    }

    /// The members of the comma-separated list that all lines called `name` make up. Knows no quoted commas.
    pub fn list(&self, name: &str) -> Vec<String> {
        let lines = self.all(name);
        let members = lines.iter().flat_map(|line| line.split(',')).map(|member| member.trim().to_owned());
        members.filter(|member| !member.is_empty()).collect()
    }

    /// The lines in order.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Whether there is no line at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.lines() {
            write!(f, "\n    {}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

/// A start line and the fields after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Without its CRLF.
    pub start: String,
    /// In order.
    pub fields: Fields,
    /// Exactly as it came, with the empty line at its end.
    pub raw: Vec<u8>,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Result<Self, Cut> {
        let wrong = |what: &str| Cut::Malformed(format!("{what} in head {}", raw.escape_ascii()));
        let text = raw.strip_suffix(b"\r\n\r\n").ok_or_else(|| wrong("no end"))?;
        let mut lines = split_crlf(text).into_iter();
        let start = lines.next().unwrap_or_default();
        if start.iter().any(|byte| byte.is_ascii_control()) {
            return Err(wrong("control character in the start line"));
        }
        let start = String::from_utf8(start.to_vec()).map_err(|_| wrong("start line is not UTF-8"))?;
        let mut fields = Fields::default();
        for line in lines {
            let (name, value) = parse_field(line).map_err(&wrong)?;
            fields.push(name, value);
        }
        Ok(Self { start, fields, raw })
    }
}

fn parse_field(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field line without colon")?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err("a field name that is no token");
    }
    if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        return Err("a control character in a field value");
    }
    Ok((name, value))
}

fn split_crlf(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

/// How the end of a message's content is found (RFC 9112 §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    /// Chunks, and then perhaps trailers.
    Chunked,
    /// Until the connection closes.
    Close,
    /// Nothing more to come.
    Over,
}

impl Framing {
    /// What a message's own fields say; `None` if they say nothing. Both ways at once are malformed.
    pub fn declared(fields: &Fields) -> Result<Option<Self>, Cut> {
        let wrong = |what: &str| Err(Cut::Malformed(format!("{what}: {fields:?}")));
        let (coding, length) = (fields.all("Transfer-Encoding"), fields.all("Content-Length"));
        match (coding.as_slice(), length.as_slice()) {
            ([], []) => Ok(None),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Self::Chunked)),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => match length.parse() {
                Ok(length) => Ok(Some(Self::Length(length))),
                Err(_) => wrong("Content-Length is no number"),
            },
            _ => wrong("contradictory or unknown framing"),
        }
    }
}

/// A connection and what was read from it ahead of need.
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Wire {
    /// Takes over `stream`.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// The socket, for its options.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        self.stream.write_all(bytes).map_err(cut)
    }

    /// Bytes that came after what was read as a message.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    fn fill(&mut self) -> Result<(), Cut> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).map_err(cut)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        if count == 0 { Err(Cut::Closed) } else { Ok(()) }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.ahead.drain(..count).collect()
    }

    /// Everything up to and including the next `end`.
    fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, Cut> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return Ok(self.take(at + end.len()));
            }
            self.fill()?;
        }
    }

    /// The next line without its CRLF, which stays.
    fn line(&mut self) -> Result<Vec<u8>, Cut> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.ahead[..end].to_vec());
            }
            self.fill()?;
        }
    }

    /// The next head. `Cut::Closed` if the connection ended in order before its first byte.
    pub fn head(&mut self) -> Result<Head, Cut> {
        let raw = self.until(b"\r\n\r\n").map_err(|cut| match cut {
            Cut::Closed if !self.ahead.is_empty() => {
                Cut::Malformed(format!("closed within head {}", self.ahead.escape_ascii()))
            }
            cut => cut,
        })?;
        Head::parse(raw)
    }

    /// The next piece of content, as it comes; `None` at the end. Trailers go to `trailers`.
    pub fn piece(&mut self, framing: &mut Framing, trailers: &mut Fields) -> Result<Option<Vec<u8>>, Cut> {
        match framing {
            Framing::Over => Ok(None),
            Framing::Length(0) => {
                *framing = Framing::Over;
                Ok(None)
            }
            Framing::Length(left) => {
                if self.ahead.is_empty() {
                    self.fill()?;
                }
                let count = self.ahead.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                Ok(Some(self.take(count)))
            }
            Framing::Chunked => self.chunk(framing, trailers),
            Framing::Close => {
                if self.ahead.is_empty() {
                    match self.fill() {
                        Err(Cut::Closed) => {
                            *framing = Framing::Over;
                            return Ok(None);
                        }
                        other => other?,
                    }
                }
                Ok(Some(std::mem::take(&mut self.ahead)))
            }
        }
    }

    fn chunk(&mut self, framing: &mut Framing, trailers: &mut Fields) -> Result<Option<Vec<u8>>, Cut> {
        // Nothing is taken before all of it is there, so that one who got `Silence` may ask again.
        let line = self.line()?;
        let wrong = || Cut::Malformed(format!("chunk line {}", line.escape_ascii()));
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || !matches!(line.get(digits), None | Some(b';')) {
            return Err(wrong());
        }
        let size = std::str::from_utf8(&line[..digits]).map_err(|_| wrong())?;
        let size = usize::from_str_radix(size, 16).map_err(|_| wrong())?;
        let start = line.len() + 2;
        if size == 0 {
            self.take(start);
            *framing = Framing::Over;
            self.trailers(trailers)?;
            return Ok(None);
        }
        while self.ahead.len() < start + size + 2 {
            self.fill()?;
        }
        self.take(start);
        let data = self.take(size);
        if self.take(2) != b"\r\n" {
            return Err(Cut::Malformed("no CRLF after a chunk".into()));
        }
        Ok(Some(data))
    }

    fn trailers(&mut self, trailers: &mut Fields) -> Result<(), Cut> {
        loop {
            let mut line = self.until(b"\r\n")?;
            line.truncate(line.len() - 2);
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = parse_field(&line).map_err(|what| Cut::Malformed(what.into()))?;
            trailers.push(name, value);
        }
    }

    /// Whether the connection ends without another byte. A server that closes while something it was sent is still
    /// unread resets; that counts.
    pub fn is_over(&mut self) -> bool {
        self.ahead.is_empty() && matches!(self.fill(), Err(Cut::Closed | Cut::Reset))
    }

    /// Waits for more, without end; `false` once the other side is gone.
    pub fn is_quiet(&mut self) -> bool {
        matches!(self.fill(), Ok(()) | Err(Cut::Silence))
    }
}
