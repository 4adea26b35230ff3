//! A client's socket, and what it has not taken yet.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::leaving;
use super::wire::Wire;

/// Shared by the connection and by the outbox that sends for it.
pub(super) struct Socket {
    /// There is something that has to be written before anything else, or a failure to be told. INVARIANT: changes under
    /// the lock only.
    held: AtomicBool,
    wire: Arc<Wire>,
    state: Mutex<State>,
}

struct State {
    stream: TokioIo<TcpStream>,
    /// What has been sent or begun, and not been taken by the kernel yet.
    rest: Vec<u8>,
    written: usize,
    failed: Option<io::Error>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, wire: Arc<Wire>) -> Arc<Self> {
        let state = State { stream: TokioIo::new(stream), rest: Vec::new(), written: 0, failed: None };
        Arc::new(Self { held: AtomicBool::new(false), wire, state: Mutex::new(state) })
    }

    /// Whether [`poll_rest`](Self::poll_rest) has something to do.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Sends `bytes`, now as far as the kernel takes them. The connection is woken to see to the rest, and hears of a failure.
    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if self.is_held() {
            state.rest.extend_from_slice(bytes);
            return;
        }
        match state.stream.inner().try_write(bytes) {
            Ok(written) if written == bytes.len() => return,
            Ok(written) => state.rest.extend_from_slice(&bytes[written..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.rest.extend_from_slice(bytes),
            Err(error) => state.failed = Some(error),
        }
        self.held.store(true, Ordering::Relaxed);
        drop(state);
        self.wire.not_flushed();
        self.wire.wake();
    }

    /// Keeps `bytes` for [`poll_rest`](Self::poll_rest), behind what is there.
    pub(super) fn hold(&self, bytes: &[u8]) {
        self.state.lock().rest.extend_from_slice(bytes);
        self.held.store(true, Ordering::Relaxed);
    }

    /// Writes some of what has to be written before anything else. Returns how many bytes; it is done when the socket is
    /// not [held](Self::is_held) any more.
    pub(super) fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if let Some(error) = state.failed.take() {
            return Poll::Ready(Err(error));
        }
        let State { stream, rest, written, .. } = &mut *state;
        let taken = ready!(Pin::new(stream).poll_write(cx, &rest[*written..]))?;
        *written += taken;
        if *written >= rest.len() {
            *written = 0;
            *rest = Vec::new();
            self.held.store(false, Ordering::Relaxed);
        }
        Poll::Ready(Ok(taken))
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state.lock().stream).poll_read(cx, buf)
    }

    /// Reads and drops what has come. Returns how many bytes that is; none is the end.
    pub(super) fn poll_skip(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [mem::MaybeUninit::uninit(); 4096];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(self.state.lock().stream.inner_mut()).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes some of `bufs`, before which there must be nothing left to be written.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        leaving::poll_write(&mut self.state.lock().stream, cx, bufs)
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state.lock().stream).poll_shutdown(cx)
    }

    /// From now on it closes with a reset.
    pub(super) fn reset_at_close(&self) {
        let _ = SockRef::from(self.state.lock().stream.inner()).set_linger(Some(Duration::ZERO));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::future::{Future, poll_fn};

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// A socket that the kernel takes bytes for, and its client.
    pub(in crate::server) async fn connected() -> (Arc<Socket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        ours.writable().await.unwrap();
        (Socket::new(ours, Arc::default()), client)
    }

    /// Waits for longer than anything here takes, and no longer.
    pub(in crate::server) async fn within<F: Future>(future: F) -> F::Output {
        timeout(Duration::from_secs(10), future).await.expect("it does not come")
    }

    #[tokio::test]
    async fn what_is_held_goes_first() {
        let (socket, mut client) = connected().await;
        socket.hold(b"one");
        socket.send(b"two");
        socket.hold(b"three");
        while socket.is_held() {
            within(poll_fn(|cx| socket.poll_rest(cx))).await.unwrap();
        }
        socket.send(b"four");
        let mut came = [0; 15];
        within(client.read_exact(&mut came)).await.unwrap();
        assert_eq!(&came, b"onetwothreefour");
    }

    #[tokio::test]
    async fn what_is_held_is_written_piece_by_piece() {
        let (socket, mut client) = connected().await;
        // More than the kernel takes in a few pieces, none of which looks like another.
        let long: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_be_bytes).collect();
        socket.hold(&long);
        let writing = async {
            let mut pieces = 0;
            while socket.is_held() {
                poll_fn(|cx| socket.poll_rest(cx)).await.unwrap();
                pieces += 1;
            }
            pieces
        };
        let mut came = vec![0; long.len()];
        let (pieces, read) = within(async { tokio::join!(writing, client.read_exact(&mut came)) }).await;
        read.unwrap();
        assert!(pieces > 2 && came == long, "{pieces} pieces");
    }

    #[tokio::test]
    async fn a_failure_to_send_is_told_once() {
        let (socket, client) = connected().await;
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let held = async {
            while !socket.is_held() {
                socket.send(b"to nobody");
                tokio::task::yield_now().await;
            }
        };
        within(held).await;
        let told = within(poll_fn(|cx| socket.poll_rest(cx))).await.unwrap_err();
        // Another attempt to write would fail in another way.
        assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
    }
}
