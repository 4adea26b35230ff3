//! An origin that does with each connection what the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens until the process ends.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Origin {
    /// Calls `serve` with each connection and its number, on a thread of its own.
    pub(crate) fn start(serve: impl Fn(Connection, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&accepted), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (serve, connection) = (Arc::clone(&serve), Connection::new(stream.unwrap()));
                std::thread::spawn(move || serve(connection, number));
            }
        });
        Self { addr, accepted }
    }

    /// Answers every request with these bytes.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut connection, _| {
            while connection.request().is_some() {
                connection.say(&bytes);
            }
        })
    }

    /// Answers every connection's first request with these bytes and closes.
    pub(crate) fn saying_once(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut connection, _| {
            connection.request();
            connection.say(&bytes);
        })
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// One connection, from the origin's side.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// What the origin was sent.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// Lower case names.
    pub(crate) fields: Vec<(String, String)>,
    /// Without the chunks' framing.
    pub(crate) body: String,
    pub(crate) trailers: String,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// The next request, or nothing if the connection ends in or before it.
    pub(crate) fn request(&mut self) -> Option<Seen> {
        let mut seen = self.head()?;
        if let Some(length) = seen.field("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body).ok()?;
            seen.body = String::from_utf8(body).unwrap();
        } else if seen.field("transfer-encoding") == Some("chunked") {
            (seen.body, seen.trailers) = self.chunks()?;
        }
        Some(seen)
    }

    /// The next request's head.
    pub(crate) fn head(&mut self) -> Option<Seen> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let field = |line: &String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let fields = lines[1..].iter().map(field).collect();
        Some(Seen { line: lines[0].clone(), fields, body: String::new(), trailers: String::new() })
    }

    fn chunks(&mut self) -> Option<(String, String)> {
        let (mut body, mut trailers) = (String::new(), String::new());
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).ok()?;
            body.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some((body, trailers));
            }
            trailers.push_str(&line);
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(_) if line.ends_with("\r\n") => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Waits until the other side closes.
    pub(crate) fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }

    /// Ends with a reset instead of an orderly close.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}
