//! What a 1 KiB hit costs in CPU time, beside a bare hyper loop that answers the same bytes: both with one serving
//! thread, in rounds taken in turn, so that what else the machine does hits both alike.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot go on is to stop"
)]

#[path = "support/cpu.rs"]
mod cpu;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/larder.rs"]
mod larder;
#[path = "support/run.rs"]
mod run;

use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use floor::Floor;
use larder::{Larder, free_addr};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);
const CONTENT: usize = 1024;
/// What a hit may cost, in units of the floor.
const WANTED: f64 = 1.3;

const REQUEST: &[u8] =
    b"GET /item HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n";

fn main() {
    if floor::is_asked_for() {
        return floor::serve();
    }
    if !run::is_wanted() {
        return;
    }
    run::introduce("hit_cpu", "CPU of a 1 KiB hit beside a bare hyper loop that answers the same bytes");
    let origin = start_origin();
    let config = "[server]\nthreads = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[cache]\nmemory = \"64MiB\"\n";
    let larder = Larder::start(origin, config).expect("larder starts");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hit = runtime.block_on(a_hit(larder.addr()));
    println!(
        "the answer, {} bytes:\n{}",
        hit.len(),
        String::from_utf8_lossy(&hit[..hit.len() - CONTENT]).trim_end()
    );
    let floor = Floor::start(&hit).expect("the floor starts");
    let same = runtime.block_on(one(floor.addr()));
    assert_eq!(same.len(), hit.len(), "the floor answers as many bytes: {}", String::from_utf8_lossy(&same));

    let candidates = [("floor", floor.addr(), floor.pid()), ("larder", larder.addr(), larder.pid())];
    for (_, addr, pid) in candidates {
        measure(&runtime, addr, pid, hit.len(), WARM_UP);
    }
    println!(
        "\nCPU per request (user + system, all threads), {CONNECTIONS} connections, rounds of {ROUND:?}"
    );
    let mut costs = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let [floor, larder] = candidates.map(|(_, addr, pid)| measure(&runtime, addr, pid, hit.len(), ROUND));
        println!(
            "  round {round}: floor {floor}, larder {larder}, ratio {:.3}",
            larder.micros / floor.micros
        );
        ratios.push(larder.micros / floor.micros);
        costs[0].push(floor.micros);
        costs[1].push(larder.micros);
    }
    let ratio = median(ratios);
    let [floor, larder] = costs.map(median);
    let verdict = if ratio <= WANTED { "kept" } else { "BROKEN" };
    println!(
        "\nmedians: floor {floor:.2} us, larder {larder:.2} us, ratio {ratio:.3} (at most {WANTED}): {verdict}"
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one round found.
struct Cost {
    /// CPU time per request, in microseconds.
    micros: f64,
    requests: u64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} us ({} requests)", self.micros, self.requests)
    }
}

/// Keeps `CONNECTIONS` connections busy, each with one request at a time, for so long.
fn measure(runtime: &runtime::Runtime, addr: SocketAddr, pid: u32, length: usize, time: Duration) -> Cost {
    let requests = LocalSet::new().block_on(runtime, async {
        let streams = connect(addr).await;
        let before = cpu::time(pid).expect("the server runs");
        let until = Instant::now() + time;
        let mut clients = JoinSet::new();
        for stream in streams {
            clients.spawn_local(repeat(stream, length, until));
        }
        let requests = clients.join_all().await.into_iter().map(|(requests, _)| requests).sum::<u64>();
        (requests, cpu::time(pid).expect("the server runs") - before)
    });
    let (requests, spent) = requests;
    Cost { micros: spent.as_secs_f64() * 1e6 / requests as f64, requests }
}

async fn connect(addr: SocketAddr) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        streams.push(stream);
    }
    streams
}

/// The stream comes back with the count, so that no connection is closed before the CPU time has been read.
async fn repeat(mut stream: TcpStream, length: usize, until: Instant) -> (u64, TcpStream) {
    let mut answer = vec![0; length];
    let mut requests = 0;
    while Instant::now() < until {
        stream.write_all(REQUEST).await.expect("the request is sent");
        stream.read_exact(&mut answer).await.expect("an answer of the same length each time");
        requests += 1;
    }
    (requests, stream)
}

/// Asks until the answer comes from the store and its fields have their lasting lengths.
async fn a_hit(addr: SocketAddr) -> Vec<u8> {
    for _ in 0..50 {
        let answer = one(addr).await;
        if String::from_utf8_lossy(&answer).contains("; hit") {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no hit");
}

async fn one(addr: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    stream.write_all(REQUEST).await.expect("the request is sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"x\n") {
        let more = stream.read_buf(&mut answer).await.expect("an answer");
        assert!(more > 0, "cut: {}", String::from_utf8_lossy(&answer));
    }
    answer
}

/// An origin on a thread of its own: one resource of 1 KiB that stays fresh for the whole bench. Its age starts at
/// 1,000,000 s and its lifetime well above, so that the numbers in the answer keep their lengths.
fn start_origin() -> SocketAddr {
    let addr = free_addr().expect("a port");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(addr)).expect("the origin listens");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=9000000\r\n\
                age: 1000000\r\netag: \"7f3a\"\r\ncontent-length: 1024\r\n\r\n";
    let answer = format!("{head}{}\n", "x".repeat(CONTENT - 1));
    thread::spawn(move || {
        LocalSet::new().block_on(&runtime, async {
            let answer: Rc<[u8]> = answer.into_bytes().into();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection from larder");
                let answer = answer.clone();
                tokio::task::spawn_local(async move {
                    let mut request = [0; 4096];
                    // Larder's request comes in one piece: it has no content.
                    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                        if stream.write_all(&answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
    });
    addr
}
