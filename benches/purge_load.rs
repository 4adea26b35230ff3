//! A tag that a million stored responses carry is purged, again and again, while others are hit at a fixed rate: how long
//! a purge takes, and whether the hits notice.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on is to stop")]

#[path = "support/larder.rs"]
mod larder;
#[path = "support/run.rs"]
mod run;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder::{Larder, free_addr};

const ENTRIES: u64 = 1_000_000;
const FILLERS: usize = 16;
const ROUNDS: usize = 7;
/// Rounds of hits before and after the purge that kills them all. Reclaiming goes on for longer than these take.
const RECLAIM_ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
/// Connections that hit, and how often each does.
const HITTERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);
/// Between two purges.
const PURGE_EVERY: Duration = Duration::from_millis(100);
const CONTENT: [u8; 100] = [b'x'; 100];

fn main() {
    if !run::is_wanted() {
        return;
    }
    run::introduce("purge_load", "purges of a tag that 1,000,000 responses carry, and hits meanwhile");
    let admin = free_addr().expect("a port");
    let config =
        format!("[admin]\nlisten = \"{admin}\"\n[cache]\nmemory = \"8GiB\"\n[log]\nfilter = \"off\"\n");
    let larder = Larder::start(origin(), &config).expect("larder starts");
    let addr = larder.addr();
    let began = Instant::now();
    fill(addr);
    println!("{ENTRIES} responses stored in {:.0?}", began.elapsed());

    let mut ratios = Vec::new();
    let mut purges = Vec::new();
    for round in 1..=ROUNDS {
        let (calm, _) = at_once(addr, Vec::new);
        let (stormy, mut taken) = at_once(addr, || purge_for(admin, ROUND));
        let ratio = stormy.as_secs_f64() / calm.as_secs_f64();
        taken.sort();
        println!(
            "  round {round}: p99 of hits {calm:.1?}, during purges {stormy:.1?}, ratio {ratio:.2}; \
             {} purges, the longest {:.0?}",
            taken.len(),
            taken.last().unwrap()
        );
        ratios.push(ratio);
        purges.extend(taken);
    }
    ratios.sort_by(f64::total_cmp);
    purges.sort();
    let calm = median_p99(addr);
    let hard = purge_all(admin);
    let reclaiming = median_p99(addr);
    println!(
        "a hard one: {hard:.0?}; p99 of hits {calm:.1?}, while what it killed is reclaimed {reclaiming:.1?}, ratio {:.2} \
         (medians of {RECLAIM_ROUNDS})",
        reclaiming.as_secs_f64() / calm.as_secs_f64()
    );
    println!(
        "\nat the client, of {} purges: median {:.0?}, p99 {:.0?}, longest {:.0?} (wanted: under 1 ms)",
        purges.len(),
        purges[purges.len() / 2],
        purges[purges.len() * 99 / 100],
        purges.last().unwrap()
    );
    println!("p99 of hits, median ratio of {ROUNDS} rounds: {:.2} (wanted: at most 1.2)", ratios[ROUNDS / 2]);
}

/// Answers everything; what is under `/tagged/` carries the tag.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer_all(stream.expect("a connection")));
        }
    });
    addr
}

fn answer_all(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("no delay");
    let mut request = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut request) {
        let tag = if request[..read].starts_with(b"GET /tagged/") { "cache-tag: all\r\n" } else { "" };
        let head =
            format!("HTTP/1.1 200 OK\r\ncache-control: max-age=6000\r\n{tag}content-length: 100\r\n\r\n");
        if stream.write_all(&[head.as_bytes(), &CONTENT].concat()).is_err() {
            return;
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Sends a request; reads the answer, which has a length.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).expect("the request is sent");
    let mut answer = Vec::with_capacity(1024);
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).expect("an answer");
        assert!(read > 0, "cut: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, content)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if content.len() >= length.parse().expect("a number") {
            return answer;
        }
    }
}

fn get(stream: &mut TcpStream, target: &str) -> Vec<u8> {
    ask(stream, format!("GET {target} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())
}

fn fill(addr: SocketAddr) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..FILLERS {
            scope.spawn(|| {
                let mut stream = connect(addr);
                while let number @ 0..ENTRIES = next.fetch_add(1, Ordering::Relaxed) {
                    get(&mut stream, &format!("/tagged/{number}"));
                }
            });
        }
    });
}

/// The p99 of hits at a fixed rate while `meanwhile` runs, and what that returned.
fn at_once(addr: SocketAddr, meanwhile: impl FnOnce() -> Vec<Duration> + Send) -> (Duration, Vec<Duration>) {
    thread::scope(|scope| {
        let hitters: Vec<_> = (0..HITTERS).map(|n| scope.spawn(move || hit_for(addr, n))).collect();
        let returned = meanwhile();
        let mut taken: Vec<_> = hitters.into_iter().flat_map(|hitter| hitter.join().unwrap()).collect();
        taken.sort();
        (taken[taken.len() * 99 / 100], returned)
    })
}

/// How long each hit took: from when it was due, if the one before was not over by then, else from when it was sent.
fn hit_for(addr: SocketAddr, number: usize) -> Vec<Duration> {
    let mut stream = connect(addr);
    let target = format!("/calm/{number}");
    get(&mut stream, &target);
    let began = Instant::now();
    let mut due = began;
    let mut taken = Vec::new();
    while due < began + ROUND {
        due += PAUSE;
        let now = Instant::now();
        let since = if now < due {
            thread::sleep(due - now);
            Instant::now()
        } else {
            due
        };
        let answer = get(&mut stream, &target);
        taken.push(since.elapsed());
        assert!(String::from_utf8_lossy(&answer).contains("; hit"), "a hit");
    }
    taken
}

fn purge_for(admin: SocketAddr, time: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let mut taken = Vec::new();
    while began.elapsed() < time {
        let (answer, took) = purge(admin, "tag=all&soft=1");
        assert!(answer.contains("\"soft\":true"), "{answer}");
        taken.push(took);
        thread::sleep(PURGE_EVERY);
    }
    taken
}

fn median_p99(addr: SocketAddr) -> Duration {
    let mut rounds = [(); RECLAIM_ROUNDS].map(|()| at_once(addr, Vec::new).0);
    rounds.sort();
    rounds[RECLAIM_ROUNDS / 2]
}

fn purge_all(admin: SocketAddr) -> Duration {
    let (answer, took) = purge(admin, "tag=all");
    assert!(answer.contains("\"soft\":false"), "{answer}");
    took
}

/// What `POST /purge` says, and how long it takes, on a connection that stands.
fn purge(admin: SocketAddr, form: &str) -> (String, Duration) {
    let mut stream = connect(admin);
    ask(&mut stream, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let request = format!(
        "POST /purge HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    let began = Instant::now();
    let answer = ask(&mut stream, request.as_bytes());
    let took = began.elapsed();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim().to_owned(), took)
}
