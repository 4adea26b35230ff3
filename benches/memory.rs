//! Ten times as much content as the memory limit, in mixed sizes, through readers that take it as fast as it comes and
//! readers that take nothing: how much memory the process has meanwhile.

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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime;
use tokio::task::JoinSet;

use larder::Larder;
use maker::Size;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MIB;
/// What the process may have beside the limit: its code, stacks, connection buffers.
const ALLOWANCE: u64 = 40 * MIB;
const TOTAL: u64 = 10 * LIMIT;
const READERS: usize = 64;
/// How long the pressure of the stalled readers is kept up after all has been read.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// By when all must have been read.
const PATIENCE: Duration = Duration::from_secs(45);

/// Sizes in turn. The last two are over `max_object` (16 MiB, the default under this limit): declared and not.
const SIZES: [Size; 12] = [
    Size::declared(500),
    Size::declared(4 << 10),
    Size::chunked(20 << 10),
    Size::declared(64 << 10),
    Size::declared(1 << 10),
    Size::declared(300 << 10),
    Size::chunked(1 << 20),
    Size::declared(2 << 20),
    Size::declared(100),
    Size::declared(6 << 20),
    Size::declared(20 << 20),
    Size::chunked(20 << 20),
];

/// The resource of this number; numbers come from one counter, so that nothing is asked for twice.
fn size_of(number: u64) -> Size {
    SIZES[(number % SIZES.len() as u64) as usize]
}

#[derive(Default)]
struct Progress {
    next: AtomicU64,
    read: AtomicU64,
    stalled: AtomicU64,
    done: AtomicBool,
}

fn main() {
    if !run::is_wanted() {
        return;
    }
    run::introduce("memory", "memory = 64MiB, 640 MiB through 64 fast and 64 stalled readers");
    let origin = maker::start();
    let larder = Larder::start(origin, "[admin]\nlisten = \"off\"\n[cache]\nmemory = \"64MiB\"\n").unwrap();
    let progress = Arc::new(Progress::default());
    let sampler = start_sampler(larder.pid(), progress.clone());
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(load(larder.addr(), &progress));
    progress.done.store(true, Ordering::SeqCst);
    let most = sampler.join().expect("the sampler ends");
    let bound = LIMIT + ALLOWANCE;
    let verdict = if most <= bound { "kept" } else { "BROKEN" };
    println!("\npeak {}, bound {}: {verdict}", mib(most), mib(bound));
}

/// Fast readers until all is read, stalled ones all the while.
async fn load(addr: SocketAddr, progress: &Arc<Progress>) {
    let mut stalled = JoinSet::new();
    let mut fast = JoinSet::new();
    for _ in 0..READERS {
        stalled.spawn(stall(addr, progress.clone()));
        fast.spawn(drain(addr, progress.clone()));
    }
    let all_read = async {
        while let Some(reader) = fast.join_next().await {
            reader.expect("a fast reader ends well");
        }
    };
    tokio::time::timeout(PATIENCE, all_read).await.expect("all is read in time");
    tokio::time::sleep(AFTERWARDS).await;
    stalled.abort_all();
}

/// Reads one new resource after the other, whole, on connections of their own.
async fn drain(addr: SocketAddr, progress: Arc<Progress>) {
    let mut buffer = vec![0; 64 * 1024];
    while progress.read.load(Ordering::Relaxed) < TOTAL {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        ask(&mut stream, number).await;
        let mut length = 0;
        loop {
            match stream.read(&mut buffer).await.expect("the answer goes on") {
                0 => break,
                more => {
                    length += more as u64;
                    progress.read.fetch_add(more as u64, Ordering::Relaxed);
                }
            }
        }
        assert!(length >= size_of(number).bytes as u64, "resource {number} is whole");
    }
}

/// Asks for a new resource and takes nothing of it, with as small a window as the kernel gives. The bench ends before
/// Larder's `stall_timeout` (a minute) would cut it off.
async fn stall(addr: SocketAddr, progress: Arc<Progress>) {
    // One that does not fit into the buffers of two sockets.
    let number = loop {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        if size_of(number).bytes as u64 >= 6 * MIB {
            break number;
        }
    };
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut stream = socket.connect(addr).await.expect("a connection");
    ask(&mut stream, number).await;
    progress.stalled.fetch_add(1, Ordering::Relaxed);
    std::future::pending::<()>().await;
}

async fn ask(stream: &mut TcpStream, number: u64) {
    let target = size_of(number).target(number);
    let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
}

/// Prints the curve: a line each quarter of a second. Ends with the most that was there in any sample, of which there are more.
fn start_sampler(pid: u32, progress: Arc<Progress>) -> thread::JoinHandle<u64> {
    println!(
        "{:>7} {:>12} {:>9} {:>12} {:>12} {:>12}",
        "time", "read", "stalled", "memory", "in the file", "peak"
    );
    let began = Instant::now();
    thread::spawn(move || {
        let mut most = 0;
        for sample in 0.. {
            if progress.done.load(Ordering::SeqCst) {
                break;
            }
            let memory = process::memory(pid).expect("larder runs");
            most = most.max(memory.taken);
            if sample % 25 == 0 {
                println!(
                    "{:>6.2}s {:>12} {:>9} {:>12} {:>12} {:>12}",
                    began.elapsed().as_secs_f64(),
                    mib(progress.read.load(Ordering::Relaxed)),
                    progress.stalled.load(Ordering::Relaxed),
                    mib(memory.taken),
                    mib(memory.in_file),
                    mib(most)
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        most
    })
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}
