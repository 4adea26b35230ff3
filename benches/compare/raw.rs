//! The lowest floor: a loop that reads requests and writes prebuilt bytes. It understands nothing but where a request
//! ends; no server can cost less on sockets.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// A connection and what is still to be written to it.
struct Connection {
    stream: TcpStream,
    /// Answers owed, the first perhaps begun.
    owed: usize,
    written: usize,
    /// Whose turn it is among the copies.
    turn: usize,
}

/// Answers every request with these bytes, until killed: with `copies` of them in turn, so that the processor's caches
/// treat it like a server that is asked for as many resources.
pub(crate) fn serve(addr: SocketAddr, answer: &[u8], copies: usize) -> io::Result<()> {
    let answers = vec![answer.to_vec(); copies];
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
                    let turn = connections.len() % copies;
                    connections.push(Connection { stream, owed: 0, written: 0, turn });
                }
                continue;
            }
            let connection = &mut connections[event.token().0];
            // A connection that is gone is left alone; its place is not used again.
            let _ = connection.read(&mut scratch).and_then(|()| connection.write(&answers));
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

    fn write(&mut self, answers: &[Vec<u8>]) -> io::Result<()> {
        while self.owed > 0 {
            let answer = &answers[self.turn];
            match self.stream.write(&answer[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.written == answer.len() {
                self.written = 0;
                self.turn = (self.turn + 1) % answers.len();
                self.owed -= 1;
            }
        }
        Ok(())
    }
}
