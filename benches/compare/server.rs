//! A server as a child process: rendered configuration, its core, ready or not, and gone in the end.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tree;

/// How long it may take until it answers; and until it has ended, before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where ports are looked for: below those that the kernel gives to connections. Among them, somebody who keeps
/// connecting to a server that is not there yet is in the end connected to himself.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// How a server is started. `@NAME@` in the texts stands for what [`Place`] says.
#[derive(Clone, Default)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Configuration, below the directory.
    pub(crate) files: Vec<(String, String)>,
    /// Directories that it expects to find.
    pub(crate) directories: Vec<String>,
    /// What it gets on standard input.
    pub(crate) input: Vec<u8>,
}

/// Where it is put.
pub(crate) struct Place<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) origin: SocketAddr,
    pub(crate) core: usize,
    pub(crate) memory_mib: u64,
    /// What `@LOG@` stands for.
    pub(crate) log: &'a str,
    /// A path that is answered when all is well.
    pub(crate) probe: &'a str,
}

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    started: Instant,
    addr: SocketAddr,
    directory: PathBuf,
    probe: String,
}

impl Server {
    /// Starts it; it may not answer yet.
    pub(crate) fn spawn(name: &str, recipe: &Recipe, place: &Place<'_>) -> io::Result<Self> {
        let addr = free_addr()?;
        let directory = place.directory.join(format!("{name}-{}", addr.port()));
        fs::create_dir_all(&directory)?;
        let render = |text: &str| render(text, addr, &directory, place);
        for wanted in &recipe.directories {
            fs::create_dir_all(render(wanted))?;
        }
        for (file, text) in &recipe.files {
            fs::write(directory.join(file), render(text))?;
        }
        let input = directory.join("input");
        fs::write(&input, &recipe.input)?;
        let output = File::create(directory.join("output"))?;
        let started = Instant::now();
        let child = Command::new("taskset")
            .args(["--cpu-list", &place.core.to_string()])
            .arg(&recipe.program)
            .args(recipe.args.iter().map(|arg| render(arg)))
            .envs(recipe.env.iter().map(|(name, value)| (name, render(value))))
            .stdin(File::open(input)?)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        // For scripts/bench, should this process be killed.
        fs::write(directory.join("pid"), child.id().to_string())?;
        Ok(Self { child, started, addr, directory, probe: place.probe.to_owned() })
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(name: &str, recipe: &Recipe, place: &Place<'_>) -> io::Result<Self> {
        let mut server = Self::spawn(name, recipe, place)?;
        server.wait(Duration::from_millis(20))?;
        Ok(server)
    }

    /// Until it answers, asked so often.
    pub(crate) fn wait(&mut self, pause: Duration) -> io::Result<()> {
        let began = Instant::now();
        while !answers(self.addr, &self.probe) {
            self.check(began)?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// For one that answers everything, and need not be asked for anything in particular.
    pub(crate) fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            self.check(began)?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// An error if it has ended, or has been waited for since this for too long.
    fn check(&mut self, began: Instant) -> io::Result<()> {
        let ended = self.child.try_wait()?;
        if ended.is_none() && began.elapsed() < PATIENCE {
            return Ok(());
        }
        let output = fs::read_to_string(self.directory.join("output")).unwrap_or_default();
        let what = ended.map_or("does not answer".to_owned(), |status| format!("ended with {status}"));
        Err(io::Error::other(format!("{what}: {}", output.trim())))
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let all = tree::of(self.pid());
        signal(self.pid(), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Whoever has lost its parent belongs to nobody else: these were its own a moment ago.
        for pid in all.into_iter().skip(1).filter(|pid| tree::is_orphan(*pid)) {
            signal(pid, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn render(text: &str, addr: SocketAddr, directory: &Path, place: &Place<'_>) -> String {
    let directory = directory.display().to_string();
    text.replace("@LOG@", place.log)
        .replace("@HOST@", &addr.ip().to_string())
        .replace("@PORT@", &addr.port().to_string())
        .replace("@ORIGIN@", &place.origin.to_string())
        .replace("@ORIGIN_HOST@", &place.origin.ip().to_string())
        .replace("@ORIGIN_PORT@", &place.origin.port().to_string())
        .replace("@MEMORY@", &place.memory_mib.to_string())
        .replace("@MEMORY_BYTES@", &(place.memory_mib << 20).to_string())
        // nginx's keys: 128 bytes each, for objects of 1 KiB.
        .replace("@ZONE@", &(place.memory_mib / 4).max(32).to_string())
        .replace("@DIR@", &directory)
}

/// An address that was free a moment ago, another one each time.
fn free_addr() -> io::Result<SocketAddr> {
    // Two benches at a time start at different places.
    let first = std::process::id() as u16;
    for _ in PORTS {
        let next = first.wrapping_add(NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        let addr = SocketAddr::from(([127, 0, 0, 1], PORTS.start + next % (PORTS.end - PORTS.start)));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    Err(io::Error::other(format!("no port is free in {PORTS:?}")))
}

/// Whether the path is answered with 200.
fn answers(addr: SocketAddr, path: &str) -> bool {
    ask(addr, &request(path, "Connection: close\r\n")).is_ok_and(|answer| answer.get(9..12) == Some(b"200"))
}

/// A GET request.
pub(crate) fn request(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1\r\nAccept: */*\r\n{fields}\r\n"
    )
}

/// One answer, read until the connection is closed: ask for that.
pub(crate) fn ask(addr: SocketAddr, request: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
