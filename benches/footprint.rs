//! What a Larder takes that has nothing to do, and what each small object adds to that.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on is to stop")]

#[path = "support/larder.rs"]
mod larder;
#[path = "support/maker.rs"]
mod maker;
#[path = "support/process.rs"]
mod process;
#[path = "support/run.rs"]
mod run;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;

use larder::Larder;
use maker::Size;

const OBJECTS: u64 = 100_000;
const OBJECT: Size = Size::declared(1_000);
const CLIENTS: usize = 16;
/// Until what is done in the background is done: housekeeping, memory given back.
const SETTLED: Duration = Duration::from_secs(2);
const KIB: u64 = 1 << 10;

fn main() {
    if !run::is_wanted() {
        return;
    }
    run::introduce("footprint", "resident memory, idle and with 100,000 objects of 1,000 bytes");
    // Metrics on, as by default, but on a port that is free.
    let config = "[admin]\nlisten = \"127.0.0.1:0\"\n[cache]\nmemory = \"512MiB\"\n";
    let larder = Larder::start(maker::start(), config).unwrap();
    thread::sleep(SETTLED);
    let idle = process::memory(larder.pid()).expect("larder runs").taken;
    println!("idle: {} KiB", idle / KIB);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fill(larder.addr()));
    thread::sleep(SETTLED);
    let full = process::memory(larder.pid()).expect("larder runs").taken;
    println!("full: {} KiB, {} bytes for each object", full / KIB, full.saturating_sub(idle) / OBJECTS);
}

async fn fill(addr: SocketAddr) {
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(fetch(addr, next.clone()));
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client ends well");
    }
}

/// Fetches one new object after the other, over one connection.
async fn fetch(addr: SocketAddr, next: Arc<AtomicU64>) {
    let mut stream = BufReader::new(TcpStream::connect(addr).await.expect("a connection"));
    let mut content = vec![0; OBJECT.bytes];
    let mut line = String::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= OBJECTS {
            return;
        }
        let request = format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", OBJECT.target(number));
        stream.get_mut().write_all(request.as_bytes()).await.expect("the request is sent");
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).await.expect("a head") > 0, "an answer comes");
        }
        line.clear();
        stream.read_exact(&mut content).await.expect("the content");
    }
}
