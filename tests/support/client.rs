//! The raw client: says exact bytes, reads strictly, and shows what came in order and to the byte.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::wire::{Cut, Fields, Framing, Head, Wire};

/// Someone who talks to a server, over a new connection each time unless told otherwise.
#[derive(Clone, Copy)]
pub struct Client {
    addr: SocketAddr,
}

impl Client {
    /// A client of the server at `addr`.
    pub fn to(addr: SocketAddr) -> Self {
        Self { addr }
    }

    /// The server's address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// GET, and the whole answer.
    pub fn get(&self, target: &str) -> Answered {
        self.ask("GET", target).send()
    }

    /// HEAD, and the whole answer.
    pub fn head(&self, target: &str) -> Answered {
        self.ask("HEAD", target).send()
    }

    /// A request to be completed. It has `Host: example.com` unless told otherwise.
    pub fn ask(&self, method: &str, target: &str) -> Ask {
        Ask {
            addr: self.addr,
            method: method.to_owned(),
            target: target.to_owned(),
            host: Some("example.com".to_owned()),
            fields: Fields::default(),
            content: Vec::new(),
        }
    }

    /// A GET to be completed.
    pub fn asks(&self, target: &str) -> Ask {
        self.ask("GET", target)
    }

    /// A connection, for several requests or for bytes that are no request.
    pub fn connect(&self) -> Connection {
        Connection(Wire::new(TcpStream::connect(self.addr).expect("connect")))
    }

    /// Says exactly these bytes on a new connection and reads what is answered, as if to a GET.
    pub fn say(&self, bytes: impl AsRef<[u8]>) -> Exchange {
        let mut connection = self.connect();
        connection.say(bytes);
        connection.expect("GET")
    }
}

/// A request in the making.
#[derive(Clone)]
pub struct Ask {
    addr: SocketAddr,
    method: String,
    target: String,
    host: Option<String>,
    fields: Fields,
    content: Vec<u8>,
}

impl Ask {
    /// Another `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Adds a field line, as it is.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value);
        self
    }

    /// Content, with `Content-Length`.
    pub fn content(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_vec();
        let length = self.content.len().to_string();
        self.field("Content-Length", length)
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if let Some(host) = &self.host {
            bytes.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in self.fields.lines() {
            bytes.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.content);
        bytes
    }

    /// Sends it over a new connection, without waiting for anything.
    pub fn begin(&self) -> Exchange {
        self.begin_on(Client::to(self.addr).connect())
    }

    /// Sends it over `connection`, without waiting for anything.
    pub fn begin_on(&self, mut connection: Connection) -> Exchange {
        connection.say(self.bytes());
        connection.expect(&self.method)
    }

    /// Sends it over a new connection, and reads the whole answer.
    pub fn send(&self) -> Answered {
        self.begin().finish()
    }
}

/// An open connection.
pub struct Connection(Wire);

impl Connection {
    /// Writes exactly these bytes. Whether the other side still takes them is not asked.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.send(bytes.as_ref());
    }

    /// Waits for the answer to a request that was said, of this method.
    pub fn expect(self, method: &str) -> Exchange {
        Exchange {
            wire: self.0,
            method: method.to_owned(),
            interim: Vec::new(),
            head: None,
            framing: Framing::Over,
            content: Vec::new(),
            trailers: Fields::default(),
        }
    }

    /// Whether the server closes the connection, without another byte.
    pub fn closes(mut self) -> bool {
        self.0.is_over()
    }

    /// Keeps the system from taking in megabytes for us while we do not read.
    pub fn with_small_window(self) -> Self {
        socket2::SockRef::from(self.0.stream()).set_recv_buffer_size(64 * 1024).unwrap();
        self
    }

    /// Says that nothing more will be said, and still listens.
    pub fn half_close(&self) {
        self.0.stream().shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A request that was sent, and as much of its answer as was read.
pub struct Exchange {
    wire: Wire,
    method: String,
    interim: Vec<Head>,
    head: Option<Head>,
    framing: Framing,
    content: Vec<u8>,
    trailers: Fields,
}

impl Exchange {
    /// Waits for the next interim (1xx) response.
    pub fn next_interim(&mut self) -> Head {
        let head = self.wire.head().expect("an interim response");
        assert!(head.start.starts_with("HTTP/1.1 1"), "not interim: {head:?}");
        self.interim.push(head.clone());
        head
    }

    /// Says more, such as content of the request.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.wire.send(bytes.as_ref());
    }

    /// Waits for the head of the final response; tells its status.
    pub fn status(&mut self) -> u16 {
        self.read_head().unwrap_or_else(|cut| panic!("no response head: {cut:?}"));
        status_of(self.head.as_ref().unwrap())
    }

    /// Waits for the head of the final response; tells its fields.
    pub fn fields(&mut self) -> Fields {
        self.status();
        self.head.clone().unwrap().fields
    }

    /// Waits until the content so far is exactly this.
    pub fn wait_for_content(&mut self, content: &str) {
        self.status();
        while self.content.len() < content.len() {
            match self.wire.piece(&mut self.framing, &mut self.trailers) {
                Ok(Some(bytes)) => self.content.extend(bytes),
                end => panic!("waiting for {content:?}, got {:?}, then {end:?}", self.text()),
            }
        }
        assert_eq!(self.text(), content);
    }

    /// Waits until so many bytes of content have come.
    pub fn wait_for_length(&mut self, length: usize) {
        self.status();
        while self.content.len() < length {
            match self.wire.piece(&mut self.framing, &mut self.trailers) {
                Ok(Some(bytes)) => self.content.extend(bytes),
                end => panic!("waiting for {length} bytes, got {}, then {end:?}", self.content.len()),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The whole answer.
    pub fn finish(self) -> Answered {
        self.try_finish().unwrap_or_else(|cut| panic!("no response: {cut:?}"))
    }

    /// The whole answer, or why there was not even a head.
    pub fn try_finish(self) -> Result<Answered, Cut> {
        self.read_all().map(|(answered, _)| answered)
    }

    /// The whole answer, and the connection, for the next request.
    pub fn finish_and_keep(self) -> (Answered, Connection) {
        let (answered, wire) = self.read_all().unwrap_or_else(|cut| panic!("no response: {cut:?}"));
        (answered, Connection(wire))
    }

    /// The whole answer and the connection, or why there was not even a head.
    pub fn finish_and_keep_or_cut(self) -> Result<(Answered, Connection), Cut> {
        self.read_all().map(|(answered, wire)| (answered, Connection(wire)))
    }

    /// Says that nothing more will be said, and still listens.
    pub fn half_close(&self) {
        self.wire.stream().shutdown(std::net::Shutdown::Write).unwrap();
    }

    fn read_all(mut self) -> Result<(Answered, Wire), Cut> {
        self.read_head()?;
        let end = loop {
            match self.wire.piece(&mut self.framing, &mut self.trailers) {
                Ok(Some(bytes)) => self.content.extend(bytes),
                Ok(None) => break Ok(()),
                Err(cut) => break Err(cut),
            }
        };
        let head = self.head.expect("was read");
        let answered = Answered {
            status: status_of(&head),
            fields: head.fields,
            interim: self.interim,
            content: self.content,
            trailers: self.trailers,
            end,
        };
        Ok((answered, self.wire))
    }

    fn read_head(&mut self) -> Result<(), Cut> {
        while self.head.is_none() {
            let head = self.wire.head()?;
            let status = status_of(&head);
            let declared = Framing::declared(&head.fields)?;
            self.framing = match (status, declared) {
                (100..=199 | 204, Some(_)) => {
                    return Err(Cut::Malformed(format!("framing fields where none may be: {head:?}")));
                }
                (100..=199, None) => {
                    self.interim.push(head);
                    continue;
                }
                (204 | 304, _) => Framing::Over,
                _ if self.method == "HEAD" => Framing::Over,
                (_, Some(framing)) => framing,
                (_, None) => Framing::Close,
            };
            self.head = Some(head);
        }
        Ok(())
    }

    /// Closes the connection without reading on.
    pub fn hang_up(self) {
        drop(self);
    }

    /// Resets the connection.
    pub fn reset(self) {
        socket2::SockRef::from(self.wire.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn status_of(head: &Head) -> u16 {
    let start = head.start.strip_prefix("HTTP/1.1 ").or(head.start.strip_prefix("HTTP/1.0 "));
    let status = start.and_then(|rest| rest.get(..3)?.parse().ok());
    status.unwrap_or_else(|| panic!("no status line: {head:?}"))
}

/// A whole response, or all that came of it.
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// Header fields.
    pub fields: Fields,
    /// The 1xx responses that came first.
    pub interim: Vec<Head>,
    /// The content, its chunks put together.
    pub content: Vec<u8>,
    /// Trailer fields.
    pub trailers: Fields,
    /// Whether it came to its end.
    pub end: Result<(), Cut>,
}

impl Answered {
    /// The content of a response that came to its end.
    pub fn text(&self) -> String {
        assert_eq!(self.end, Ok(()), "cut: {self:?}");
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The value of a field that may come once at most.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.one(name)
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, fields, interim, content, trailers, end } = self;
        let shown = content[..content.len().min(200)].escape_ascii();
        write!(f, "{status}{fields:?}\n  {} bytes: {shown}\n  {end:?}, ", content.len())?;
        write!(f, "trailers: {trailers:?}, {} interim", interim.len())
    }
}
