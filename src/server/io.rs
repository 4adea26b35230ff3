//! The transport under hyper: a TCP stream that does not wait forever, slips early hints between messages, and
//! closes so that the client can read what was said last.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::leaving;
use super::outbox::Outbox;
use super::socket::Socket;
use super::wire::Wire;
use super::{ConnectionEvent, Observer};

/// How long, and for how many bytes, a closing connection listens to a client that is still sending.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// One client's connection.
pub(super) struct ClientIo {
    socket: Arc<Socket>,
    wire: Arc<Wire>,
    outbox: Option<Arc<Outbox>>,
    /// Something may still be in the outbox.
    put: bool,
    observer: Observer,
    stall_timeout: Duration,
    /// Runs while the client takes nothing; made only then.
    stall: Option<Pin<Box<Sleep>>>,
    /// The last of what the socket holds is an interim response.
    interim: bool,
    linger: Option<Linger>,
}

#[derive(Debug)]
struct Linger {
    timer: Pin<Box<Sleep>>,
    read: usize,
}

impl ClientIo {
    /// `stall_timeout` is how long the client may take nothing of what waits for it.
    pub(super) fn new(
        stream: TcpStream,
        wire: Arc<Wire>,
        outbox: Option<Arc<Outbox>>,
        observer: Observer,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            socket: Socket::new(stream, Arc::clone(&wire)),
            wire,
            outbox,
            put: false,
            observer,
            stall_timeout,
            stall: None,
            interim: false,
            linger: None,
        }
    }

    /// Gives up on a write that the client has not taken a byte of for `stall_timeout`. A fast client never meets the
    /// timer: it is made when a write first has to wait.
    fn impatient(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let timer = self.stall.get_or_insert_with(|| Box::pin(sleep(self.stall_timeout)));
        ready!(timer.as_mut().poll(cx));
        (self.observer)(ConnectionEvent::Stalled);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what is begun and must be finished before anything else is written.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.socket.is_held() {
            let written = self.socket.poll_rest(cx);
            if ready!(self.impatient(cx, written))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        if mem::take(&mut self.interim) {
            (self.observer)(ConnectionEvent::HintsSent);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what has been put aside, so that other things can follow it.
    fn empty_outbox(&mut self) {
        if mem::take(&mut self.put)
            && let Some(outbox) = &self.outbox
        {
            outbox.send();
        }
    }

    /// Reads and drops what the client still sends, until it stops, for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let linger =
            self.linger.get_or_insert_with(|| Linger { timer: Box::pin(sleep(LINGER_TIME)), read: 0 });
        while linger.read < LINGER_BYTES && linger.timer.as_mut().poll(cx).is_pending() {
            match ready!(self.socket.poll_skip(cx)) {
                Ok(read @ 1..) => linger.read += read,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = self.socket.poll_read(cx, buf);
        if read.is_ready() {
            self.wire.set_unanswered(true);
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// What is short is put aside, where there is an outbox, and is written as far as hyper is concerned.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        if let Some(outbox) = &self.outbox
            && leaving::is_short(bufs)
        {
            let put = outbox.put(&self.socket, bufs);
            self.put = true;
            return Poll::Ready(Ok(put));
        }
        self.empty_outbox();
        ready!(self.poll_rest(cx))?;
        let written = self.socket.poll_write(cx, bufs);
        self.impatient(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this at the end of every turn of a connection, and only once it has written all it has
    /// (`Buffered::poll_flush`). So if no response is under way we are between two messages, where an interim one may go.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.insists() {
            self.empty_outbox();
        }
        ready!(self.poll_rest(cx))?;
        if let Some(interim) = self.wire.take_queued() {
            self.empty_outbox();
            self.socket.hold(&interim);
            self.interim = true;
            ready!(self.poll_rest(cx))?;
        }
        self.wire.flushed();
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will come. If the client may still be sending (its request was refused half-way, or others
    /// have come behind the last one that is answered), it is listened to for a moment: closing with bytes unread would
    /// reset the connection, and the reset may overtake our answer (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            self.empty_outbox();
            ready!(self.poll_rest(cx))?;
            ready!(self.socket.poll_shutdown(cx))?;
            if !self.wire.is_unanswered() && !matches!(self.socket.poll_skip(cx), Poll::Ready(Ok(1..))) {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.wire.must_reset() {
            self.socket.reset_at_close();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::super::socket::tests::within;
    use super::*;

    /// A connection whose client has taken nothing, and the kernel takes no more on its behalf: with how much there is.
    async fn stuffed() -> (Pin<Box<ClientIo>>, TcpStream, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        let (outbox, observer): (_, Observer) = (Outbox::of_this_runtime(), Arc::new(|_| {}));
        let mut io = Box::pin(ClientIo::new(ours, Arc::default(), outbox, observer, Duration::from_secs(10)));
        let long = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while let Some(written) = poll_fn(|cx| io.as_mut().poll_write(cx, &long)).now_or_never() {
            sent += written.unwrap();
            // The kernel tells in the next turn that it takes more.
            tokio::task::yield_now().await;
        }
        (io, client, sent)
    }

    /// What has to be written for certain is not only put aside: hyper drops everything when a body fails.
    #[tokio::test]
    async fn who_insists_waits_until_what_was_put_aside_is_written() {
        let (mut io, mut client, sent) = stuffed().await;
        let tail = poll_fn(|cx| io.as_mut().poll_write(cx, b"tail")).await.unwrap();
        assert_eq!(tail, 4, "it is put aside");
        io.wire.insist();
        let flushed = poll_fn(|cx| io.as_mut().poll_flush(cx)).now_or_never();
        assert!(flushed.is_none(), "the kernel takes nothing, so it cannot be written");

        let mut came = vec![0; sent + tail];
        let both =
            async { tokio::join!(poll_fn(|cx| io.as_mut().poll_flush(cx)), client.read_exact(&mut came)) };
        let (flushed, read) = within(both).await;
        flushed.unwrap();
        read.unwrap();
        assert!(came.ends_with(b"xtail"));
    }

    #[tokio::test]
    async fn nothing_is_put_aside_for_who_has_not_taken_the_last() {
        let (mut io, _client, _) = stuffed().await;
        poll_fn(|cx| io.as_mut().poll_write(cx, b"first")).await.unwrap();
        io.empty_outbox();
        assert!(poll_fn(|cx| io.as_mut().poll_write(cx, b"second")).now_or_never().is_none());
    }
}
