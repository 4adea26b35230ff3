//! One connection of the load generator: a request out, its answer in, checked.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use memchr::memmem;
use mio::net::TcpStream;

/// What every answer must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    /// Of the content, in bytes.
    pub(crate) length: usize,
    /// The content itself, where it is to be compared.
    pub(crate) content: Option<Vec<u8>>,
}

/// A connection with at most one request under way.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) request: Vec<u8>,
    /// When the answer's latency starts to count.
    pub(crate) began: Instant,
    /// The part of the head that has come, while it is not whole.
    head: Vec<u8>,
    /// How much of the content has come, once the head is whole.
    content: Option<usize>,
}

impl Client {
    /// Connects, waiting for it.
    pub(crate) fn connect(addr: SocketAddr, request: Vec<u8>, now: Instant) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), request, began: now, head: Vec::new(), content: None })
    }

    /// Sends the request as it stands. It is small, and the connection has nothing under way: it fits.
    pub(crate) fn send(&mut self, began: Instant) -> io::Result<()> {
        self.began = began;
        match self.stream.write(&self.request)? {
            all if all == self.request.len() => Ok(()),
            _ => Err(io::Error::other("the request did not fit into the socket")),
        }
    }

    /// Reads what is there. True: the answer is whole, and as expected.
    pub(crate) fn receive(&mut self, scratch: &mut [u8], expected: &Expected) -> io::Result<bool> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Err(io::Error::other("the server closed the connection")),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if self.take(&scratch[..read], expected)? {
                return Ok(true);
            }
            // A short read has emptied the socket; what comes later announces itself.
            if read < scratch.len() {
                return Ok(false);
            }
        }
    }

    fn take(&mut self, bytes: &[u8], expected: &Expected) -> io::Result<bool> {
        if self.content.is_some() {
            return self.take_content(bytes, expected);
        }
        if self.head.is_empty()
            && let Some(end) = memmem::find(bytes, b"\r\n\r\n")
        {
            check(&bytes[..end + 2], expected)?;
            return self.take_content(&bytes[end + 4..], expected);
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else { return Ok(false) };
        check(&self.head[..end + 2], expected)?;
        let content = self.head.split_off(end + 4);
        self.head.clear();
        self.take_content(&content, expected)
    }

    fn take_content(&mut self, bytes: &[u8], expected: &Expected) -> io::Result<bool> {
        let from = self.content.unwrap_or(0);
        let to = from + bytes.len();
        if to > expected.length {
            return Err(io::Error::other(format!("{to} bytes of content instead of {}", expected.length)));
        }
        if let Some(content) = &expected.content
            && content[from..to] != *bytes
        {
            return Err(io::Error::other(format!("wrong content between {from} and {to}")));
        }
        self.content = (to < expected.length).then_some(to);
        Ok(self.content.is_none())
    }
}

/// Whether the head has the status and announces the length. Ends with the last field's line end.
fn check(head: &[u8], expected: &Expected) -> io::Result<()> {
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let length = length(head);
    // A 304 may repeat the length of the content it does not send.
    if status == Some(expected.status) && (expected.status == 304 || length == Some(expected.length)) {
        return Ok(());
    }
    let head = String::from_utf8_lossy(head);
    Err(io::Error::other(format!("not {} with {} bytes, but:\n{head}", expected.status, expected.length)))
}

fn length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        if line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            return std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok();
        }
        rest = &rest[end + 1..];
    }
    None
}
