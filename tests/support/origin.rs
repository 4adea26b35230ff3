//! The scriptable origin: a TCP server with one thread per connection that does what it was told for a path, and
//! remembers everything it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::PATIENCE;
use super::answer::{Act, Answer};
use super::wire::{Cut, Fields, Framing, Head, Wire};

/// Requests to this target are answered 204 and not remembered.
pub const UNSEEN: &str = "/-/unseen";

/// Where the script is for what has none.
const OTHERWISE: &str = "";

type Choose = dyn Fn(&Seen) -> Answer + Send + Sync;

/// An origin server on loopback, until dropped. Being asked for something it has no script for fails the test.
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Script>>,
    memory: Mutex<Memory>,
    changed: Condvar,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Arc<Seen>>,
    connections: usize,
    faults: Vec<String>,
    stopped: bool,
}

enum Script {
    /// In turn; the last one stays.
    List(VecDeque<Answer>),
    Function(Arc<Choose>),
}

/// What a script says to one request.
enum Scripted {
    Answer(Answer),
    Choose(Arc<Choose>),
}

impl Scripted {
    fn answer(self, seen: &Seen) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            Self::Choose(choose) => choose(seen),
        }
    }
}

/// A request the origin received.
pub struct Seen {
    /// Counts from 0, in the order in which connections were accepted.
    pub connection: usize,
    /// As received.
    pub method: String,
    /// As received.
    pub target: String,
    /// As received.
    pub fields: Fields,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default)]
struct Progress {
    content: Vec<u8>,
    trailers: Fields,
    end: Option<Result<(), Cut>>,
    hung_up: bool,
}

impl Origin {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Self { addr, shared }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Begins the script for a target, such as `/a?b=c`, or a method and a target, such as `POST /a`.
    pub fn on(&self, what: &str) -> On<'_> {
        On { origin: self, what: what.to_owned() }
    }

    /// Answers this to whatever has no script.
    pub fn otherwise(&self, answer: Answer) {
        self.on(OTHERWISE).respond(answer);
    }

    /// Everything received so far, in order.
    pub fn requests(&self) -> Vec<Arc<Seen>> {
        self.shared.memory.lock().unwrap().seen.clone()
    }

    /// Forgets what it has received so far.
    pub fn forget(&self) {
        self.shared.memory.lock().unwrap().seen.clear();
    }

    /// How often it was asked for `target`.
    pub fn count(&self, target: &str) -> usize {
        self.requests().iter().filter(|seen| seen.target == target).count()
    }

    /// Asserts that it was asked for `target` so many times. A request may still be under way from a proxy that has sent
    /// it, so those that are missing are waited for.
    #[track_caller]
    pub fn was_asked(&self, target: &str, times: usize) {
        let of_target = |memory: &Memory| memory.seen.iter().filter(|seen| seen.target == target).count();
        let memory = self.shared.memory.lock().unwrap();
        let too_few = |memory: &mut Memory| of_target(memory) < times;
        let (memory, _) = self.shared.changed.wait_timeout_while(memory, PATIENCE, too_few).unwrap();
        let seen = of_target(&memory);
        assert!(seen == times, "asked {seen} times for {target}, not {times}: {:?}", memory.seen);
    }

    /// The latest request.
    pub fn last(&self) -> Arc<Seen> {
        self.requests().pop().expect("the origin was asked for nothing yet")
    }

    /// Waits until at least `count` requests (their heads) have come.
    pub fn wait_for(&self, count: usize) -> Vec<Arc<Seen>> {
        let memory = self.shared.memory.lock().unwrap();
        let too_few = |memory: &mut Memory| memory.seen.len() < count;
        let (memory, _) = self.shared.changed.wait_timeout_while(memory, PATIENCE, too_few).unwrap();
        assert!(memory.seen.len() >= count, "{count} requests expected, the origin saw {:?}", memory.seen);
        memory.seen.clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let mut memory = self.shared.memory.lock().unwrap();
        memory.stopped = true;
        let faults = std::mem::take(&mut memory.faults);
        drop(memory);
        let _ = TcpStream::connect_timeout(&self.addr, Duration::from_millis(100));
        if !thread::panicking() {
            assert!(faults.is_empty(), "the origin's complaints: {faults:#?}");
        }
    }
}

/// The beginning of a script.
pub struct On<'a> {
    origin: &'a Origin,
    what: String,
}

impl<'a> On<'a> {
    /// Always answers this, from now on.
    pub fn respond(self, answer: Answer) -> Then<'a> {
        let list = Script::List(VecDeque::from([answer]));
        self.origin.shared.scripts.lock().unwrap().insert(self.what.clone(), list);
        Then(self)
    }

    /// Answers what `choose` says, once the whole request is there.
    pub fn choose(self, choose: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        self.origin.shared.scripts.lock().unwrap().insert(self.what, Script::Function(Arc::new(choose)));
    }
}

/// A script with an answer in it.
pub struct Then<'a>(On<'a>);

impl Then<'_> {
    /// After the answer given before this one, always answers this.
    pub fn then(self, answer: Answer) -> Self {
        let mut scripts = self.0.origin.shared.scripts.lock().unwrap();
        if let Some(Script::List(list)) = scripts.get_mut(&self.0.what) {
            list.push_back(answer);
        }
        drop(scripts);
        self
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut memory = self.memory.lock().unwrap();
            if memory.stopped {
                return;
            }
            let (number, shared) = (memory.connections, self.clone());
            memory.connections += 1;
            if let Ok(stream) = stream {
                thread::spawn(move || shared.serve(Wire::new(stream), number));
            }
        }
    }

    fn serve(&self, mut wire: Wire, connection: usize) {
        // An idle connection may stay open as long as the test runs.
        wire.stream().set_read_timeout(None).unwrap();
        loop {
            let head = match wire.head() {
                Ok(head) => head,
                Err(Cut::Closed | Cut::Reset) => return,
                Err(cut) => return self.complain(format!("malformed request: {cut:?}")),
            };
            let Some((framing, seen)) = self.note(head, connection) else { return };
            if !self.answer(&mut wire, framing, &seen) {
                return;
            }
        }
    }

    fn note(&self, head: Head, connection: usize) -> Option<(Framing, Arc<Seen>)> {
        let words: Vec<&str> = head.start.split(' ').collect();
        let ([method, target, "HTTP/1.1"], Ok(framing)) = (&words[..], Framing::declared(&head.fields))
        else {
            self.complain(format!("malformed request: {}", head.raw.escape_ascii()));
            return None;
        };
        let seen = Arc::new(Seen {
            connection,
            method: (*method).to_owned(),
            target: (*target).to_owned(),
            fields: head.fields,
            progress: Mutex::default(),
            moved: Condvar::new(),
        });
        if seen.target != UNSEEN {
            self.memory.lock().unwrap().seen.push(seen.clone());
            self.changed.notify_all();
        }
        Some((framing.unwrap_or(Framing::Over), seen))
    }

    /// Whether the connection is still good afterwards.
    fn answer(&self, wire: &mut Wire, framing: Framing, seen: &Arc<Seen>) -> bool {
        let answer = match self.script_for(seen) {
            Scripted::Answer(answer) if answer.is_eager() => answer,
            scripted => {
                if !seen.receive(wire, framing.clone()) {
                    return false;
                }
                scripted.answer(seen)
            }
        };
        for act in answer.acts(&seen.method) {
            match act {
                Act::Send(bytes) => match wire.send(&bytes) {
                    Ok(()) => {}
                    Err(Cut::Silence) => {
                        self.complain(format!("nobody takes what was sent for {seen:?}"));
                        return false;
                    }
                    Err(_) => return seen.note_hang_up(),
                },
                Act::AwaitHangUp => {
                    while wire.is_quiet() {}
                    return seen.note_hang_up();
                }
                Act::Close => return false,
                Act::Pass(gate) => {
                    if !gate.pass() {
                        self.complain(format!("nobody opened the gate for {seen:?}"));
                        return false;
                    }
                }
                Act::Reset => {
                    let linger = Some(Duration::ZERO);
                    socket2::SockRef::from(wire.stream()).set_linger(linger).unwrap();
                    return false;
                }
            }
        }
        !answer.is_eager() || seen.receive(wire, framing)
    }

    fn script_for(&self, seen: &Seen) -> Scripted {
        if seen.target == UNSEEN {
            return Scripted::Answer(super::nothing());
        }
        let mut scripts = self.scripts.lock().unwrap();
        let with_method = format!("{} {}", seen.method, seen.target);
        let known = [&with_method, seen.target.as_str()].into_iter().find(|what| scripts.contains_key(*what));
        match scripts.get_mut(known.unwrap_or(OTHERWISE)) {
            Some(Script::List(list)) if list.len() > 1 => Scripted::Answer(list.pop_front().unwrap()),
            Some(Script::List(list)) => Scripted::Answer(list[0].clone()),
            Some(Script::Function(choose)) => Scripted::Choose(choose.clone()),
            None => {
                self.complain(format!("no script for {seen:?}"));
                Scripted::Answer(super::answer(418, "no script for this"))
            }
        }
    }

    fn complain(&self, fault: String) {
        self.memory.lock().unwrap().faults.push(fault);
    }
}

impl Seen {
    /// Reads the content, noting each piece as it comes; whether it came to its end.
    fn receive(&self, wire: &mut Wire, mut framing: Framing) -> bool {
        let mut trailers = Fields::default();
        loop {
            let piece = wire.piece(&mut framing, &mut trailers);
            let mut progress = self.progress.lock().unwrap();
            let end = match piece {
                Ok(Some(bytes)) => {
                    progress.content.extend(bytes);
                    None
                }
                Ok(None) => Some(Ok(())),
                Err(cut) => Some(Err(cut)),
            };
            progress.trailers = trailers.clone();
            progress.end.clone_from(&end);
            self.moved.notify_all();
            if let Some(end) = end {
                return end.is_ok();
            }
        }
    }

    /// Waits until the content received so far is exactly this.
    pub fn wait_for_content(&self, content: &[u8]) {
        let progress = self.progress.lock().unwrap();
        let differs = |progress: &mut Progress| progress.content != content;
        let (progress, _) = self.moved.wait_timeout_while(progress, PATIENCE, differs).unwrap();
        let got = progress.content.escape_ascii().to_string();
        assert_eq!(got, content.escape_ascii().to_string(), "content of {self:?}");
    }

    /// Waits until the request has come to its end, and tells its content, its trailers and whether it is whole.
    pub fn wait_for_end(&self) -> (Vec<u8>, Fields, Result<(), Cut>) {
        let progress = self.progress.lock().unwrap();
        let goes_on = |progress: &mut Progress| progress.end.is_none();
        let (progress, _) = self.moved.wait_timeout_while(progress, PATIENCE, goes_on).unwrap();
        let end = progress.end.clone().unwrap_or_else(|| panic!("{self:?} does not end"));
        (progress.content.clone(), progress.trailers.clone(), end)
    }

    fn note_hang_up(&self) -> bool {
        self.progress.lock().unwrap().hung_up = true;
        self.moved.notify_all();
        false
    }

    /// Waits until the one who asked has closed the connection while it was being answered.
    pub fn wait_for_hang_up(&self) {
        let progress = self.progress.lock().unwrap();
        let goes_on = |progress: &mut Progress| !progress.hung_up;
        let (progress, _) = self.moved.wait_timeout_while(progress, PATIENCE, goes_on).unwrap();
        assert!(progress.hung_up, "nobody hung up on {self:?}");
    }

    /// The content of a whole request.
    pub fn content(&self) -> Vec<u8> {
        let (content, _, end) = self.wait_for_end();
        assert_eq!(end, Ok(()), "{self:?} is not whole");
        content
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} on connection {}{:?}", self.method, self.target, self.connection, self.fields)
    }
}
