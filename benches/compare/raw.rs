//! The lowest floor: a loop that reads requests and writes prebuilt bytes. It understands nothing but where a request
//! ends; no server can cost less on sockets. For long content there is another that sends it from a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::net::{SendFlags, send};

const LISTENER: Token = Token(usize::MAX);

/// What requests are answered with, in turn, so that the processor's caches treat it like a server that is asked for as many
/// resources.
pub(crate) enum Answers {
    /// Written from memory.
    Memory(Vec<Vec<u8>>),
    /// A head from memory, and content that the kernel takes from a file, without a copy.
    File { head: Vec<u8>, contents: File, length: usize, count: usize },
}

impl Answers {
    /// So many copies of one answer.
    pub(crate) fn new(answer: &[u8], copies: usize, in_file: bool) -> io::Result<Self> {
        if !in_file {
            return Ok(Self::Memory(vec![answer.to_vec(); copies]));
        }
        let end = memchr::memmem::find(answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        let (head, content) = answer.split_at(end);
        let mut contents = File::from(memfd_create("contents", MemfdFlags::CLOEXEC)?);
        (0..copies).try_for_each(|_| contents.write_all(content))?;
        Ok(Self::File { head: head.to_vec(), contents, length: content.len(), count: copies })
    }

    fn count(&self) -> usize {
        match self {
            Self::Memory(answers) => answers.len(),
            Self::File { count, .. } => *count,
        }
    }

    fn len(&self, turn: usize) -> usize {
        match self {
            Self::Memory(answers) => answers[turn].len(),
            Self::File { head, length, .. } => head.len() + length,
        }
    }

    /// Writes some of an answer, of which so much is written.
    fn write(&self, turn: usize, written: usize, stream: &mut TcpStream) -> io::Result<usize> {
        match self {
            Self::Memory(answers) => stream.write(&answers[turn][written..]),
            Self::File { head, .. } if written < head.len() => {
                Ok(send(stream, &head[written..], SendFlags::MORE)?)
            }
            Self::File { head, contents, length, .. } => {
                let from = written - head.len();
                let mut offset = (turn * length + from) as u64;
                Ok(sendfile(stream, contents, Some(&mut offset), length - from)?)
            }
        }
    }
}

/// A connection and what is still to be written to it.
struct Connection {
    stream: TcpStream,
    /// Answers owed, the first perhaps begun.
    owed: usize,
    written: usize,
    /// Whose turn it is among the answers.
    turn: usize,
}

/// Answers every request, until killed.
pub(crate) fn serve(addr: SocketAddr, answers: &Answers) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(addr)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Connection> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(connections.len());
                    poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    let turn = connections.len() % answers.count();
                    connections.push(Connection { stream, owed: 0, written: 0, turn });
                }
                continue;
            }
            let connection = &mut connections[event.token().0];
            // A connection that is gone is left alone; its place is not used again.
            let _ = connection.read(&mut scratch).and_then(|()| connection.write(answers));
        }
    }
}

impl Connection {
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        match self.stream.read(scratch) {
            // Requests come whole: they are small and prebuilt.
            Ok(read) => self.owed += memchr::memmem::find_iter(&scratch[..read], b"\r\n\r\n").count(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, answers: &Answers) -> io::Result<()> {
        while self.owed > 0 {
            match answers.write(self.turn, self.written, &mut self.stream) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.written == answers.len(self.turn) {
                self.written = 0;
                self.turn = (self.turn + 1) % answers.count();
                self.owed -= 1;
            }
        }
        Ok(())
    }
}
