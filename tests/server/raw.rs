//! A client that sends the bytes it is told to and shows the bytes it gets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// A response, or an interim one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).unwrap())
    }

    /// A client whose kernel takes little on its behalf.
    pub(crate) fn with_small_window(addr: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&addr.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends `bytes` for as long as the other side takes them.
    pub(crate) fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    pub(crate) fn half_close(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// The next head, interim or final, without its body.
    pub(crate) fn head(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.stream.read_line(&mut head).unwrap();
            assert_ne!(read, 0, "the connection ended within a head: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// The next response with its body; interim ones are not skipped.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return answer;
        }
        if let Some(length) = answer.field("content-length") {
            answer.body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut answer.body).unwrap();
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks();
        } else {
            self.stream.read_to_end(&mut answer.body).unwrap();
        }
        answer
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.stream.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..]).unwrap();
            let mut end = String::new();
            self.stream.read_line(&mut end).unwrap();
            assert_eq!(end, "\r\n", "a chunk and the last of all end with an empty line");
            if size == 0 {
                return body;
            }
        }
    }

    /// Up to `most` bytes of whatever comes.
    pub(crate) fn some(&mut self, most: usize) -> io::Result<usize> {
        let mut buffer = vec![0; most];
        self.stream.read(&mut buffer)
    }

    /// Everything until the connection ends, and how it ends.
    pub(crate) fn rest(&mut self) -> (String, io::Result<()>) {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest).map(|_| ());
        (String::from_utf8_lossy(&rest).into_owned(), ended)
    }

    /// Asserts that nothing more comes and that the connection ends.
    pub(crate) fn ended(&mut self) {
        let (rest, ended) = self.rest();
        assert_eq!(rest, "", "the connection should have ended");
        ended.unwrap();
    }
}
