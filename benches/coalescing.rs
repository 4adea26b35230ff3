//! 1,000 clients ask for the same thing at once. What the origin sees of it, and how long after the origin's first byte
//! each client has its own; and the same crowd before a resource that may not be stored.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on is to stop")]

#[path = "support/larder.rs"]
mod larder;
#[path = "support/run.rs"]
mod run;

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;
use tokio::task::JoinSet;

use larder::{Larder, free_addr};

const CLIENTS: usize = 1_000;
const ROUNDS: usize = 10;
/// The origin thinks for so long. For the shared resource it also is the time for all clients to arrive.
const LATENCY: Duration = Duration::from_millis(200);
const GATHERING: Duration = Duration::from_secs(1);
const CONTENT: usize = 1024;

fn main() {
    if !run::is_wanted() {
        return;
    }
    run::introduce("coalescing", "1,000 clients at once, one resource");
    let origin = Origin::start();
    let config = "[admin]\nlisten = \"off\"\n[log]\naccess = \"json\"\naccess_file = \"access.log\"\n";
    let larder = Larder::start(origin.addr, config).expect("larder starts");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    cold(&runtime, &origin, &larder);
    no_store(&runtime, &origin, &larder);
}

/// One cold, cacheable resource: a new one each round.
fn cold(runtime: &runtime::Runtime, origin: &Origin, larder: &Larder) {
    let mut after = Vec::new();
    let mut first_bytes = Vec::new();
    let mut fetches = Vec::new();
    for round in 0..ROUNDS {
        let before = origin.state.requests.load(Ordering::SeqCst);
        let crowd = runtime.block_on(crowd(larder.addr(), &format!("/shared/{round}")));
        fetches.push(origin.state.requests.load(Ordering::SeqCst) - before);
        let (began, wall) = origin.state.answered.lock().unwrap().pop().expect("the origin has answered");
        let waited = |client: &Client| client.first_byte.saturating_duration_since(began);
        after.push(crowd.iter().map(waited).collect());
        first_bytes.push((format!("/shared/{round}"), wall));
    }
    println!("{CLIENTS} clients, one cold cacheable resource of {CONTENT} bytes, {ROUNDS} rounds");
    println!("  origin requests per round: {fetches:?} (wanted: 1)");
    println!("  from the origin's first byte");
    let handed = handed(larder, &first_bytes);
    report(
        "until Larder hands the head to the connection (access log, to 1 ms; wanted: p99 under 20 ms)",
        handed,
    );
    report("until the client has read its first byte (with what the client's own turn takes)", after);
}

/// A resource that nobody may store: the clients must not queue behind each other.
fn no_store(runtime: &runtime::Runtime, origin: &Origin, larder: &Larder) {
    println!("\n{CLIENTS} clients, one no-store resource, {} ms of latency, 3 rounds", LATENCY.as_millis());
    for round in 0..3 {
        let before = origin.state.requests.load(Ordering::SeqCst);
        let began = Instant::now();
        let crowd = runtime.block_on(crowd(larder.addr(), &format!("/private/{round}")));
        let ended = crowd.iter().map(|client| client.end).max().expect("clients");
        let fetches = origin.state.requests.load(Ordering::SeqCst) - before;
        println!("  all answered after {:?} ({fetches} origin requests; wanted: under 1.5 s)", ended - began);
    }
}

/// Of all rounds together, and the p99 of each: what else the machine does shows in some of them only.
fn report(what: &str, rounds: Vec<Vec<Duration>>) {
    let at = |samples: &[Duration], part: f64| {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * part) as usize]
    };
    let all = rounds.concat();
    let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|part| at(&all, part));
    println!(
        "    {what}:\n      p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, max {max:.1?} ({} samples)",
        all.len()
    );
    let each: Vec<String> = rounds.iter().map(|round| format!("{:.1?}", at(round, 0.99))).collect();
    println!("      p99 of each round: {}", each.join(", "));
}

/// What one client saw.
struct Client {
    first_byte: Instant,
    end: Instant,
}

/// All connect, then all ask, then all read.
async fn crowd(addr: SocketAddr, path: &str) -> Vec<Client> {
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        streams.push(TcpStream::connect(addr).await.expect("a connection"));
    }
    let request = Arc::new(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n"));
    let mut clients = JoinSet::new();
    for mut stream in streams {
        let request = request.clone();
        clients.spawn(async move {
            stream.write_all(request.as_bytes()).await.expect("the request is sent");
            let mut answer = Vec::with_capacity(4 * 1024);
            stream.read_buf(&mut answer).await.expect("an answer");
            let first_byte = Instant::now();
            while !is_whole(&answer) {
                let more = stream.read_buf(&mut answer).await.expect("the rest of the answer");
                assert!(more > 0, "cut: {}", String::from_utf8_lossy(&answer));
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            // The stream is kept open until all are answered: to close it is no part of what is measured.
            (Client { first_byte, end: Instant::now() }, stream)
        });
    }
    clients.join_all().await.into_iter().map(|(client, _)| client).collect()
}

/// Head and content are there.
fn is_whole(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    head.is_some_and(|end| answer.len() >= end + 4 + CONTENT)
}

/// From the access log: when each request came plus how long it took to its first byte, less the origin's first byte.
fn handed(larder: &Larder, first_bytes: &[(String, SystemTime)]) -> Vec<Vec<Duration>> {
    // The log's writer is a thread of its own; it has written all there is once the count is right.
    let lines = (0..100).find_map(|_| {
        thread::sleep(Duration::from_millis(50));
        let log = fs::read_to_string(larder.file("access.log")).ok()?;
        (log.lines().count() >= CLIENTS * ROUNDS).then_some(log)
    });
    let log = lines.expect("a line for each request");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let sample = |line: serde_json::Value| {
        let round = first_bytes.iter().position(|(path, _)| line["target"] == **path)?;
        let origin = first_bytes[round].1;
        let came = UNIX_EPOCH + time_of_day(line["time"].as_str()?)?;
        let handed = came + Duration::from_micros(line["first_byte_us"].as_u64()?);
        let midnight = origin.duration_since(UNIX_EPOCH).ok()?.as_secs() / 86_400 * 86_400;
        Some((round, (handed + Duration::from_secs(midnight)).duration_since(origin).unwrap_or_default()))
    };
    let mut rounds = vec![Vec::new(); first_bytes.len()];
    for (round, waited) in lines.filter_map(sample) {
        rounds[round].push(waited);
    }
    rounds
}

/// The time in `2026-11-21T06:19:33.042Z`, since midnight.
fn time_of_day(time: &str) -> Option<Duration> {
    let (_, time) = time.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':');
    let (hours, minutes) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    Some(
        Duration::from_secs((hours * 60 + minutes) * 60)
            + Duration::from_secs_f64(parts.next()?.parse().ok()?),
    )
}

/// An origin on a thread of its own.
struct Origin {
    addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    /// When the answer to a shared resource was ready to be written.
    answered: Mutex<Vec<(Instant, SystemTime)>>,
}

impl Origin {
    fn start() -> Self {
        let addr = free_addr().expect("a port");
        let state = Arc::new(State::default());
        let served = state.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(async { listen(addr) }).expect("the origin listens");
        thread::spawn(move || runtime.block_on(serve(listener, served)));
        Self { addr, state }
    }
}

/// With room for a crowd that comes at once: whom the kernel turns away asks again after a second.
fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(addr)?;
    socket.listen(4096)
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection from larder");
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, state.clone()));
            // Larder closes idle connections as it likes.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, Infallible> {
    state.requests.fetch_add(1, Ordering::SeqCst);
    let shared = request.uri().path().starts_with("/shared/");
    tokio::time::sleep(if shared { GATHERING } else { LATENCY }).await;
    let cache_control = if shared { "max-age=60" } else { "no-store" };
    let content = Full::new(Bytes::from_static(&[b'x'; CONTENT]));
    let response =
        Response::builder().header("cache-control", cache_control).body(content).expect("a response");
    if shared {
        state.answered.lock().unwrap().push((Instant::now(), SystemTime::now()));
    }
    Ok(response)
}
