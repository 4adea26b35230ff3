//! The floor: a bare hyper server that answers every request with the same bytes, in a process of its own. What it
//! costs is what any server on hyper costs. It may hold several copies of the content and send them in turn, so that the
//! processor's caches treat it like a server that is asked for as many resources.

#![allow(dead_code, reason = "each bench uses its part")]

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::larder::free_addr;

/// The argument by which this binary knows that it is to be the floor; the address and the number of copies follow.
pub(crate) const ARGUMENT: &str = "--be-the-floor";

/// A floor as a child process; killed when dropped.
pub(crate) struct Floor {
    child: Child,
    addr: SocketAddr,
}

impl Floor {
    /// Starts this very binary as a floor that answers as `answer` does: the same fields, the same content.
    pub(crate) fn start(answer: &[u8]) -> io::Result<Self> {
        let addr = free_addr()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, &addr.to_string(), "1"])
            .stdin(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(answer)?;
        }
        let floor = Self { child, addr };
        for _ in 0..200 {
            if TcpStream::connect(addr).is_ok() {
                return Ok(floor);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other("the floor does not listen"))
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process is to be the floor.
pub(crate) fn is_asked_for() -> bool {
    std::env::args().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Is the floor until killed.
pub(crate) fn serve() {
    let addr: SocketAddr = std::env::args().nth(2).and_then(|addr| addr.parse().ok()).expect("an address");
    let copies: usize = std::env::args().nth(3).and_then(|copies| copies.parse().ok()).expect("a number");
    let mut answer = Vec::new();
    io::stdin().read_to_end(&mut answer).expect("an answer on standard input");
    let (status, fields, content) = parse(&answer);
    let contents: Vec<Bytes> = (0..copies).map(|_| Bytes::copy_from_slice(&content)).collect();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let listener = TcpListener::bind(addr).await.expect("a listener");
        for first in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            // As any server would.
            stream.set_nodelay(true).expect("no delay");
            let (fields, contents) = (fields.clone(), contents.clone());
            tokio::spawn(async move {
                let turn = Cell::new(first % contents.len());
                let service = service_fn(move |_| {
                    let mut response = Response::new(Full::new(contents[turn.get()].clone()));
                    turn.set((turn.get() + 1) % contents.len());
                    *response.status_mut() = status;
                    response.headers_mut().clone_from(&fields);
                    async { Ok::<_, Infallible>(response) }
                });
                // A client that goes away is no error of ours.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// Status, fields and content of an answer.
fn parse(answer: &[u8]) -> (StatusCode, HeaderMap, Bytes) {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the end of the head");
    let head = std::str::from_utf8(&answer[..end]).expect("an ASCII head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let fields = head.lines().skip(1).map(|line| {
        let (name, value) = line.split_once(": ").expect("a field");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    });
    (status, fields.collect(), Bytes::copy_from_slice(&answer[end + 4..]))
}
