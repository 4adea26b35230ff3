//! What an origin is told to answer: a response put together from parts, right by default and wrong on request.

use super::gate::Gate;

/// One thing the origin does on its connection.
#[derive(Clone)]
pub enum Act {
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Waits until the test opens the gate.
    Pass(Gate),
    /// Waits until the other side closes.
    AwaitHangUp,
    /// Closes in order.
    Close,
    /// Resets the connection.
    Reset,
}

/// A response to be. Without further word it is correctly framed, and the connection stays open.
#[derive(Clone)]
pub struct Answer {
    before: Vec<Act>,
    status: u16,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    content: Vec<Piece>,
    framing: Framing,
    trailers: Vec<(String, String)>,
    /// Content bytes after which the connection ends, and how.
    cut: Option<(usize, Act)>,
    eager: bool,
    verbatim: Option<Vec<u8>>,
    closes: bool,
}

#[derive(Clone)]
enum Piece {
    Bytes(Vec<u8>),
    Wait(Gate),
}

#[derive(Clone, Copy)]
enum Framing {
    Declared(usize),
    Exact,
    Chunked,
    Close,
    None,
}

/// An answer with a status and content.
pub fn answer(status: u16, content: impl AsRef<[u8]>) -> Answer {
    Answer {
        before: Vec::new(),
        status,
        fields: Vec::new(),
        content: vec![Piece::Bytes(content.as_ref().to_vec())],
        framing: Framing::Exact,
        trailers: Vec::new(),
        cut: None,
        eager: false,
        verbatim: None,
        closes: false,
    }
}

/// 200 with content.
pub fn ok(content: impl AsRef<[u8]>) -> Answer {
    answer(200, content)
}

/// 200 whose content comes in pieces: those after the first each wait for their gate. Chunked unless told otherwise.
pub fn pieces<const N: usize>(first: &str, later: [(&Gate, &str); N]) -> Answer {
    let mut answer = ok(first).chunked();
    for (gate, bytes) in later {
        answer.content.push(Piece::Wait(gate.clone()));
        answer.content.push(Piece::Bytes(bytes.as_bytes().to_vec()));
    }
    answer
}

/// 304, which has no content and says nothing about its length.
pub fn unchanged() -> Answer {
    answer(304, "").framed(Framing::None)
}

/// 204.
pub fn nothing() -> Answer {
    answer(204, "").framed(Framing::None)
}

/// A 5xx with some content.
pub fn problem(status: u16) -> Answer {
    answer(status, format!("the origin says {status}"))
}

/// 201 with a `Location`.
pub fn moved(location: &str) -> Answer {
    answer(201, "").field("Location", location)
}

/// Exactly these bytes and nothing else; the connection stays open.
pub fn raw(bytes: impl AsRef<[u8]>) -> Answer {
    Answer { verbatim: Some(bytes.as_ref().to_vec()), ..ok("") }
}

/// A 103 with a `Link`, to be sent before an answer.
pub fn early_hints(link: &str) -> Vec<u8> {
    format!("HTTP/1.1 103 Early Hints\r\nLink: {link}\r\n\r\n").into_bytes()
}

impl Answer {
    /// Adds a field line, as it is.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// `Cache-Control`, the field these tests use most.
    pub fn cache(self, directives: &str) -> Self {
        self.field("Cache-Control", directives)
    }

    /// Sends these bytes before the head.
    pub fn after(mut self, interim: Vec<u8>) -> Self {
        self.before.push(Act::Send(interim));
        self
    }

    /// Sends nothing (more) before the head until the gate is open.
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.before.push(Act::Pass(gate.clone()));
        self
    }

    /// Closes, or resets, instead of answering. What is set to come before the head still comes.
    pub fn but_only(mut self, end: Act) -> Self {
        self.before.push(end);
        self
    }

    /// Content in chunks, one for each piece.
    pub fn chunked(self) -> Self {
        self.framed(Framing::Chunked)
    }

    /// Content that ends where the connection does.
    pub fn close_delimited(self) -> Self {
        self.framed(Framing::Close)
    }

    /// Says that the content has this length, whatever it has.
    pub fn declaring(self, length: usize) -> Self {
        self.framed(Framing::Declared(length))
    }

    /// With its true length declared, even if it comes in pieces.
    pub fn with_length(self) -> Self {
        self.framed(Framing::Exact)
    }

    /// A trailer field, after the last chunk.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection after so many bytes of content.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some((bytes, Act::Close));
        self
    }

    /// Resets the connection after so many bytes of content.
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.cut = Some((bytes, Act::Reset));
        self
    }

    /// Never ends its content, and waits until the other side has had enough.
    pub fn then_hangs(mut self) -> Self {
        self.cut = Some((usize::MAX, Act::AwaitHangUp));
        self
    }

    /// Closes the connection afterwards, without having said so.
    pub fn then_closes(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Answers as soon as the request's head is there, without waiting for its content.
    pub fn at_once(mut self) -> Self {
        self.eager = true;
        self
    }

    fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub(super) fn is_eager(&self) -> bool {
        self.eager
    }

    /// Everything to do on the connection for a request with `method`.
    pub(super) fn acts(&self, method: &str) -> Vec<Act> {
        let mut acts = self.before.clone();
        if let Some(bytes) = &self.verbatim {
            acts.push(Act::Send(bytes.clone()));
        } else {
            acts.push(Act::Send(self.head()));
            if method != "HEAD" {
                self.push_content(&mut acts);
            }
        }
        if self.closes || matches!(self.framing, Framing::Close) {
            acts.push(Act::Close);
        }
        acts
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Because\r\n", self.status).into_bytes();
        let length: usize = self.content.iter().map(Piece::len).sum();
        let mut line = |name: &[u8], value: &[u8]| {
            head.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        };
        for (name, value) in &self.fields {
            line(name, value);
        }
        match self.framing {
            Framing::Exact => line(b"Content-Length", length.to_string().as_bytes()),
            Framing::Declared(length) => line(b"Content-Length", length.to_string().as_bytes()),
            Framing::Chunked => line(b"Transfer-Encoding", b"chunked"),
            Framing::Close => line(b"Connection", b"close"),
            Framing::None => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn push_content(&self, acts: &mut Vec<Act>) {
        let mut left = self.cut.as_ref().map_or(usize::MAX, |cut| cut.0);
        for piece in &self.content {
            match piece {
                Piece::Wait(gate) => acts.push(Act::Pass(gate.clone())),
                Piece::Bytes(bytes) => {
                    let count = bytes.len().min(left);
                    left -= count;
                    acts.push(Act::Send(self.frame(&bytes[..count])));
                    if let (0, Some((_, end))) = (left, &self.cut) {
                        acts.push(end.clone());
                        return;
                    }
                }
            }
        }
        if let Some((_, end)) = &self.cut {
            acts.push(end.clone());
        } else if matches!(self.framing, Framing::Chunked) {
            let trailers = self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            acts.push(Act::Send(format!("0\r\n{}\r\n", trailers.collect::<String>()).into_bytes()));
        }
    }

    fn frame(&self, bytes: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Chunked if bytes.is_empty() => Vec::new(),
            Framing::Chunked => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            _ => bytes.to_vec(),
        }
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Wait(_) => 0,
        }
    }
}
