//! Larder between two ends that one thread holds: it sends the requests, and it is the origin. Nothing happens unless
//! that thread does something, and [`World::settle`] returns when all that follows from it has happened. So the same
//! steps have the same consequences, every time.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::app::Larder;
use larder::clock::{Clock, Manual};
use larder::config::Config;
use larder::validity::Log;

use super::reference::Seconds;
use super::rest::{self, Rest};
use crate::support::{Cut, Fields, Framing, Head, Wire};

/// A request takes at most so many turns of the event loop to get to the origin, or an answer to the client: one to be
/// read, one for a new connection to be opened, and one each for the tasks that hand it on.
const TURNS: usize = 4;

/// Answered by Larder itself.
const PING: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: ping\r\nMax-Forwards: 0\r\n\r\n";

pub(crate) struct World {
    larder: Larder,
    clock: Arc<Manual>,
    seconds: Seconds,
    listener: TcpListener,
    /// Larder's connections to the origin, until they are closed.
    upstream: Vec<Option<Wire>>,
    /// Connections to Larder on which nothing is going on.
    idle: Vec<Wire>,
    pinger: Wire,
    /// Larder's serving thread.
    rest: Option<Rest>,
}

fn ping(wire: &mut Wire) {
    wire.send(PING).unwrap();
    wire.head().unwrap();
}

/// A request that the origin has received.
pub(crate) struct Received {
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Fields,
}

impl World {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nthreads = 1\ndrain_timeout = \"50ms\"\nheader_timeout = \"10m\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n[purge]\nallow = [\"127.0.0.1\"]\nrefresh_entries = 4\n[cache]\nmemory = \"64MiB\"\n\
             [[upstream]]\nservers = [\"http://{}\"]\n",
            listener.local_addr().unwrap()
        );
        let clock = Manual::new();
        let config = Config::from_str("model.toml", &toml).unwrap_or_else(|fault| panic!("{fault:?}"));
        // One world at a time, so that it is clear whose threads are whose.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap();
        let others = rest::threads();
        let larder = Larder::start_with(config, Clock::manual(clock.clone())).unwrap();
        let mut pinger = Wire::new(TcpStream::connect(larder.addrs()[0]).unwrap());
        ping(&mut pinger);
        let rest = Rest::of("larder-0", &others);
        Self { larder, clock, seconds: 0, listener, upstream: Vec::new(), idle: Vec::new(), pinger, rest }
    }

    pub(crate) fn log(&self) -> &Arc<Log> {
        self.larder.log()
    }

    /// A new connection to the admin listener, which keeps none for long.
    pub(crate) fn admin(&self) -> Wire {
        Wire::new(TcpStream::connect(self.larder.admin_addr().unwrap()).unwrap())
    }

    /// A connection to Larder for what it answers itself, and at once.
    pub(crate) fn direct(&mut self) -> &mut Wire {
        &mut self.pinger
    }

    pub(crate) fn seconds(&self) -> Seconds {
        self.seconds
    }

    pub(crate) fn moment(&self) -> larder::clock::Moment {
        Clock::manual(self.clock.clone()).moment()
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, seconds: Seconds) {
        self.seconds += seconds;
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Returns when Larder has done all that it can do by now. A serving thread that waits for another's lock is taken
    /// for one at rest, which is rare: then a consequence shows a step late, and nothing is judged by that.
    pub(crate) fn settle(&mut self) {
        match &self.rest {
            Some(thread) => thread.wait(),
            None => self.settle_surely(),
        }
    }

    /// As [`settle`](Self::settle), for what has to be sure. The one serving thread takes the events of a turn in no
    /// particular order but all of them, so a ping that is answered is the end of at least one turn.
    pub(crate) fn settle_surely(&mut self) {
        match &self.rest {
            Some(thread) => {
                ping(&mut self.pinger);
                thread.wait();
            }
            None => (0..TURNS).for_each(|_| ping(&mut self.pinger)),
        }
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self, method: &str, bytes: &[u8]) -> Asking {
        let mut wire = self.idle.pop().unwrap_or_else(|| {
            let wire = Wire::new(TcpStream::connect(self.larder.addrs()[0]).unwrap());
            wire.stream().set_nonblocking(true).unwrap();
            wire
        });
        wire.send(bytes).unwrap();
        Asking::new(wire, method)
    }

    /// Takes back the connection of a request that is over.
    pub(crate) fn keep(&mut self, asking: Asking) {
        let closes = |head: &Head| head.fields.list("Connection").iter().any(|option| option == "close");
        if asking.end == Some(Ok(())) && !asking.head.as_ref().is_some_and(closes) {
            self.idle.push(asking.wire);
        }
    }

    /// What the origin has received by now. Of what came at once the order says nothing, so it is always the same.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        while let Ok((stream, _)) = self.listener.accept() {
            let wire = Wire::new(stream);
            wire.stream().set_nonblocking(true).unwrap();
            self.upstream.push(Some(wire));
        }
        let mut received = Vec::new();
        for (connection, slot) in self.upstream.iter_mut().enumerate() {
            let Some(wire) = slot else { continue };
            match wire.head() {
                Ok(head) => received.push(Received::new(connection, head)),
                Err(Cut::Silence) => {}
                Err(_) => *slot = None,
            }
        }
        received.sort_by_key(Received::rank);
        received
    }

    /// Whether Larder still wants an answer on this connection.
    pub(crate) fn is_open(&self, connection: usize) -> bool {
        self.upstream[connection].is_some()
    }

    /// The origin sends these bytes.
    pub(crate) fn answer(&mut self, connection: usize, bytes: &[u8]) {
        if let Some(wire) = &mut self.upstream[connection] {
            // Whether Larder still takes them is not asked.
            let _ = wire.send(bytes);
        }
    }

    /// The origin closes a connection.
    pub(crate) fn hang_up(&mut self, connection: usize) {
        self.upstream[connection] = None;
    }
}

impl Received {
    fn new(connection: usize, head: Head) -> Self {
        let mut words = head.start.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        Self { connection, method, target, fields: head.fields }
    }

    fn rank(&self) -> (String, String, Option<String>, Option<String>) {
        let Self { method, target, fields, .. } = self;
        (method.clone(), target.clone(), fields.one("X-Kind"), fields.one("Range"))
    }
}

/// A request that was sent to Larder, and what has come of its answer.
pub(crate) struct Asking {
    wire: Wire,
    is_head: bool,
    framing: Framing,
    pub(crate) head: Option<Head>,
    pub(crate) content: Vec<u8>,
    pub(crate) end: Option<Result<(), Cut>>,
}

impl Asking {
    fn new(wire: Wire, method: &str) -> Self {
        let is_head = method == "HEAD";
        Self { wire, is_head, framing: Framing::Over, head: None, content: Vec::new(), end: None }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.start[9..12].parse().unwrap())
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.head.as_ref().and_then(|head| head.fields.one(name))
    }

    /// Takes in what has come; whether that is anything.
    pub(crate) fn read(&mut self) -> bool {
        let before = (self.head.is_some(), self.content.len(), self.end.is_some());
        match self.read_on() {
            Err(Cut::Silence) => {}
            end => self.end = Some(end),
        }
        before != (self.head.is_some(), self.content.len(), self.end.is_some())
    }

    fn read_on(&mut self) -> Result<(), Cut> {
        if self.head.is_none() {
            let head = self.wire.head()?;
            self.framing = Framing::declared(&head.fields)?.unwrap_or(Framing::Close);
            self.head = Some(head);
            if self.is_head || matches!(self.status(), Some(204 | 304)) {
                self.framing = Framing::Over;
            }
        }
        let mut trailers = Fields::default();
        while let Some(bytes) = self.wire.piece(&mut self.framing, &mut trailers)? {
            self.content.extend(bytes);
        }
        Ok(())
    }
}
