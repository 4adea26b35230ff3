//! Larder, started in this process on free ports, with a clock that the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder::app::Larder;
use larder::clock::{Clock, Manual, Moment};
use larder::config::Config;
use larder::validity::Log;
use larder::validity::{Fact, Kind, Sequence, Subject};

use crate::support::{Answered, Ask, CacheStatus, Client, Connection, Origin, PATIENCE};

/// A running Larder in front of one origin. Dropping it checks that no request made it panic.
pub(crate) struct Proxy {
    larder: Option<Larder>,
    clock: Arc<Manual>,
    client: Client,
    admin: Client,
}

/// A configuration in the making: each call adds lines of TOML to a table.
#[derive(Default)]
pub(crate) struct Setup {
    servers: Vec<String>,
    threads: Option<usize>,
    listen: Option<SocketAddr>,
    memory: Option<String>,
    drain: Option<String>,
    server: String,
    admin: String,
    purge: String,
    cache: String,
    log: String,
    origin: String,
    routes: String,
    system_clock: bool,
}

impl Setup {
    /// Larder before the server at `origin`, with defaults.
    pub(crate) fn before(origin: SocketAddr) -> Self {
        Self::default().and(&format!("http://{origin}"))
    }

    /// With one more server of the same upstream.
    pub(crate) fn and(mut self, server: &str) -> Self {
        self.servers.push(server.to_owned());
        self
    }

    /// With several serving threads. [`Proxy::settle`] means nothing then.
    pub(crate) fn threads(mut self, count: usize) -> Self {
        self.threads = Some(count);
        self
    }

    pub(crate) fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = Some(addr);
        self
    }

    /// By the machine's clock, for the sake of origins that have no other.
    pub(crate) fn system_clock(mut self) -> Self {
        self.system_clock = true;
        self
    }

    /// Instead of 64 MiB.
    pub(crate) fn memory(mut self, size: &str) -> Self {
        self.memory = Some(size.to_owned());
        self
    }

    /// How long an end may take, instead of next to nothing.
    pub(crate) fn drain(mut self, time: &str) -> Self {
        self.drain = Some(time.to_owned());
        self
    }

    pub(crate) fn server(mut self, line: &str) -> Self {
        self.server += &format!("{line}\n");
        self
    }

    pub(crate) fn admin(mut self, line: &str) -> Self {
        self.admin += &format!("{line}\n");
        self
    }

    pub(crate) fn purge(mut self, line: &str) -> Self {
        self.purge += &format!("{line}\n");
        self
    }

    pub(crate) fn cache(mut self, line: &str) -> Self {
        self.cache += &format!("{line}\n");
        self
    }

    pub(crate) fn log(mut self, line: &str) -> Self {
        self.log += &format!("{line}\n");
        self
    }

    pub(crate) fn upstream(mut self, line: &str) -> Self {
        self.origin += &format!("{line}\n");
        self
    }

    pub(crate) fn route(mut self, lines: &str) -> Self {
        self.routes += &format!("[[route]]\n{lines}\n");
        self
    }

    /// The file that this amounts to. One serving thread, so that [`Proxy::settle`] means something.
    fn toml(&self) -> String {
        let Self { servers, server, admin, purge, cache, log, origin, routes, .. } = self;
        let threads = self.threads.unwrap_or(1);
        let drain = self.drain.as_deref().unwrap_or("50ms");
        let listen = self.listen.map_or("127.0.0.1:0".to_owned(), |addr| addr.to_string());
        let memory = self.memory.as_deref().unwrap_or("64MiB");
        format!(
            "[server]\nlisten = \"{listen}\"\nthreads = {threads}\ndrain_timeout = \"{drain}\"\n{server}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{admin}\n[purge]\n{purge}\n[cache]\nmemory = \"{memory}\"\n{cache}\n[log]\n{log}\n\
             [[upstream]]\nname = \"origin\"\nservers = {servers:?}\n{origin}\n{routes}"
        )
    }

    pub(crate) fn config(&self) -> Config {
        let toml = self.toml();
        Config::from_str("test.toml", &toml).unwrap_or_else(|fault| panic!("{fault:?} in {toml}"))
    }

    /// Starts it.
    pub(crate) fn start(self) -> Proxy {
        let config = self.config();
        let clock = Manual::new();
        let time = if self.system_clock { Clock::system() } else { Clock::manual(clock.clone()) };
        let larder = Larder::start_with(config, time).expect("Larder starts");
        let client = Client::to(larder.addrs()[0]);
        let admin = Client::to(larder.admin_addr().expect("an admin listener"));
        Proxy { larder: Some(larder), clock, client, admin }
    }
}

impl Proxy {
    /// With the default configuration.
    pub(crate) fn before(origin: &Origin) -> Self {
        Self::with(origin).start()
    }

    /// With a configuration to be completed.
    pub(crate) fn with(origin: &Origin) -> Setup {
        Setup::before(origin.addr())
    }

    pub(crate) fn client(&self) -> Client {
        self.client
    }

    pub(crate) fn admin(&self) -> Client {
        self.admin
    }

    /// The listener for probes, which was configured.
    pub(crate) fn probes(&self) -> Client {
        let larder = self.larder.as_ref().expect("running");
        Client::to(larder.probe_addr().expect("a listener for probes"))
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn stop(mut self) {
        self.larder.take().expect("running").stop();
    }

    /// Purges as the log does it, whatever door leads there. What was answered before has been stored by then.
    pub(crate) fn purge(&self, subject: Subject<'_>) -> Sequence {
        self.publish(subject, Kind::Hard)
    }

    /// The same, softly.
    pub(crate) fn soften(&self, subject: Subject<'_>) -> Sequence {
        self.publish(subject, Kind::Soft)
    }

    fn publish(&self, subject: Subject<'_>, kind: Kind) -> Sequence {
        self.settle();
        let now = Clock::manual(self.clock.clone()).moment();
        self.larder().log().publish(&[Fact { subject, kind }], now)
    }

    pub(crate) fn larder(&self) -> &Larder {
        self.larder.as_ref().expect("running")
    }

    /// Bytes charged against the memory limit.
    pub(crate) fn memory_used(&self) -> u64 {
        self.larder.as_ref().expect("running").memory_used()
    }

    /// What was purged, for tests that write the log or look at it without a door.
    #[allow(dead_code)] // the promise tests
    pub(crate) fn log(&self) -> &Log {
        self.larder.as_ref().expect("running").log()
    }

    /// The proxy's time.
    #[allow(dead_code)] // the promise tests
    pub(crate) fn moment(&self) -> Moment {
        Clock::manual(self.clock.clone()).moment()
    }

    /// A connection that the proxy has accepted and used before, so that a request on it arrives at once.
    pub(crate) fn connect(&self) -> Connection {
        let (_, connection) = self.ask("OPTIONS", "/-/unseen").begin().finish_and_keep();
        connection
    }

    /// GET, and all that the proxy does because of it, such as storing the answer.
    pub(crate) fn get(&self, target: &str) -> Answered {
        self.send(&self.asks(target))
    }

    pub(crate) fn head(&self, target: &str) -> Answered {
        self.send(&self.ask("HEAD", target))
    }

    /// A GET to be completed.
    pub(crate) fn asks(&self, target: &str) -> Ask {
        self.client.asks(target)
    }

    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask {
        self.client.ask(method, target)
    }

    /// Sends it, reads the whole answer and waits until the proxy is at rest.
    pub(crate) fn send(&self, ask: &Ask) -> Answered {
        let answered = ask.send();
        self.settle();
        answered
    }

    /// Returns once the proxy has taken in whatever was sent to it before. With one serving thread, a request that
    /// goes to the origin and back takes several turns of the event loop, and each turn handles what was ready
    /// before it.
    pub(crate) fn settle(&self) {
        let mut connection = self.client.connect();
        for _ in 0..3 {
            let (_, kept) = self.ask("OPTIONS", "/-/unseen").begin_on(connection).finish_and_keep();
            connection = kept;
        }
    }

    /// Moves the proxy's clock.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The proxy's time, so many seconds later or earlier, as a date in a field.
    pub(crate) fn date(&self, seconds: i64) -> String {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let time: SystemTime = if seconds < 0 { self.clock.wall() - by } else { self.clock.wall() + by };
        httpdate::fmt_http_date(time)
    }

    /// The sum of all series of a metric whose line begins so.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.admin.asks("/metrics").host("localhost").send().text();
        let values = text.lines().filter(|series| series.starts_with(line));
        values.map(|series| series.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until the sum of a metric's series is `value`.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, line: &str, value: f64) {
        assert!(wait_until(|| self.metric(line) == value), "{line} is {}, not {value}", self.metric(line));
    }
}

/// Asks until the answer is yes; for what can only be seen by asking. `false` if it never is.
pub(crate) fn wait_until(mut ask: impl FnMut() -> bool) -> bool {
    let pause = Duration::from_millis(5);
    (0..PATIENCE.as_millis() / pause.as_millis()).any(|_| {
        let yes = ask();
        if !yes {
            std::thread::sleep(pause);
        }
        yes
    })
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.larder.is_some() && !std::thread::panicking() {
            assert_eq!(self.metric("larder_panics_total"), 0.0, "a request made the proxy panic");
        }
        if let Some(larder) = self.larder.take() {
            larder.stop();
        }
    }
}

/// What the proxy itself says it did.
pub(crate) fn ours(answered: &Answered) -> CacheStatus {
    let status = CacheStatus::all(&answered.fields).pop();
    let status = status.unwrap_or_else(|| panic!("no Cache-Status: {answered:?}"));
    assert_eq!(status.name, "larder");
    status
}

/// Answered from the store, fresh.
#[track_caller]
pub(crate) fn assert_hit(answered: &Answered) {
    let status = ours(answered);
    assert!(status.hit && status.ttl.is_some_and(|ttl| ttl >= 0), "not a hit: {answered:?}");
    assert!(answered.fields.has("Age"), "a stored response shows its age: {answered:?}");
}

/// Answered from the store although stale, without waiting for the origin.
#[track_caller]
pub(crate) fn assert_stale_hit(answered: &Answered) {
    let status = ours(answered);
    assert!(status.hit && status.ttl.is_some_and(|ttl| ttl < 0), "not a stale hit: {answered:?}");
}

/// Went to the origin, for this reason.
#[track_caller]
pub(crate) fn assert_forwarded(answered: &Answered, why: &str) -> CacheStatus {
    let status = ours(answered);
    assert_eq!(status.forward.as_deref(), Some(why), "{answered:?}");
    status
}

/// Went to the origin, and what came back was stored.
#[track_caller]
pub(crate) fn assert_stored(answered: &Answered) {
    assert!(ours(answered).stored, "not stored: {answered:?}");
}

/// Went to the origin, and what came back was not stored, for a reason that is given.
#[track_caller]
pub(crate) fn assert_not_stored(answered: &Answered) {
    let status = ours(answered);
    assert!(status.forward.is_some() && !status.stored, "hit or stored: {answered:?}");
}

/// A problem document (RFC 9457) with this status that names its reason and gives nothing away; the reason.
#[track_caller]
pub(crate) fn assert_problem(answered: &Answered, status: u16) -> String {
    assert_eq!(answered.status, status, "{answered:?}");
    let kind = answered.field("Content-Type").unwrap_or_default();
    assert_eq!(kind, "application/problem+json", "{answered:?}");
    let text = answered.text();
    let document: serde_json::Value = serde_json::from_str(&text).expect("a problem document is JSON");
    assert_eq!(document["status"], status, "{text}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{text}");
    let reason = ours(answered).detail.unwrap_or_else(|| panic!("no reason given: {answered:?}"));
    assert!(text.contains(&reason), "the document does not name {reason}: {text}");
    for internal in ["127.0.0.1", "hyper", "tokio", "os error", "src/", "panicked", "Kind("] {
        assert!(!text.contains(internal), "{internal} shows in {text}");
    }
    reason
}
