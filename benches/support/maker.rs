//! An origin that makes up what it is asked for: `/declared/1000/7` is a cacheable resource of 1,000 bytes with
//! Content-Length, `/chunked/1000/7` one whose end is not known before it comes. What follows tells them apart.

#![allow(dead_code, reason = "each bench uses its part")]

use std::io;
use std::net::SocketAddr;
use std::thread;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

use crate::larder::free_addr;

/// What is sent at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// The size of a resource.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Bytes of content.
    pub(crate) bytes: usize,
    declared: bool,
}

impl Size {
    pub(crate) const fn declared(bytes: usize) -> Self {
        Self { bytes, declared: true }
    }

    pub(crate) const fn chunked(bytes: usize) -> Self {
        Self { bytes, declared: false }
    }

    /// The target of resource `number` of this size.
    pub(crate) fn target(self, number: u64) -> String {
        let framing = if self.declared { "declared" } else { "chunked" };
        format!("/{framing}/{}/{number}", self.bytes)
    }

    fn of(request_line: &str) -> Option<Self> {
        let (framing, rest) = request_line.strip_prefix("GET /")?.split_once('/')?;
        let bytes = rest.split('/').next()?.parse().ok()?;
        Some(Self { bytes, declared: framing == "declared" })
    }
}

/// Starts one on a thread of its own.
pub(crate) fn start() -> SocketAddr {
    let addr = free_addr().expect("a port");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(addr)).expect("the origin listens");
    thread::spawn(move || {
        runtime.block_on(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection from larder");
                // Larder may give up a connection at any point.
                tokio::spawn(async move { answer_all(stream).await.ok() });
            }
        });
    });
    addr
}

async fn answer_all(stream: TcpStream) -> io::Result<()> {
    // Else the end of each answer waits for the acknowledgement of its beginning, up to 40 ms.
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let size = Size::of(&line).expect("a size is asked for");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await?;
        }
        answer(stream.get_mut(), size).await?;
    }
}

async fn answer(stream: &mut TcpStream, size: Size) -> io::Result<()> {
    let framing = if size.declared {
        format!("content-length: {}", size.bytes)
    } else {
        "transfer-encoding: chunked".to_owned()
    };
    let mut out = format!("HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\n{framing}\r\n\r\n").into_bytes();
    let mut left = size.bytes;
    while left > 0 {
        let piece = left.min(BLOCK);
        left -= piece;
        if !size.declared {
            out.extend(format!("{piece:x}\r\n").bytes());
        }
        out.resize(out.len() + piece, b'x');
        if !size.declared {
            out.extend(b"\r\n");
        }
        stream.write_all(&out).await?;
        out.clear();
    }
    if !size.declared {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}
