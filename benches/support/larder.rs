//! A Larder as a child process, the binary that cargo built for this bench.

#![allow(dead_code, reason = "each bench uses its part")]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running Larder; killed when dropped.
pub(crate) struct Larder {
    child: Child,
    addr: SocketAddr,
    directory: tempfile::TempDir,
}

impl Larder {
    /// Starts it on a free port of the loopback interface, before `origin`. `config` is a configuration file's text,
    /// without those two.
    pub(crate) fn start(origin: SocketAddr, config: &str) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("config.toml");
        std::fs::write(&file, config)?;
        let addr = free_addr()?;
        let child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args([
                "serve",
                "--listen",
                &addr.to_string(),
                "--origin",
                &format!("http://{origin}"),
                "--config",
            ])
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()?;
        let mut larder = Self { child, addr, directory };
        larder.wait_until_it_listens()?;
        Ok(larder)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file beside its configuration; relative paths in that start there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("larder ended with {status}")));
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("larder does not listen"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        // It may have ended by itself, which has shown by then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
