//! The transport under hyper: a TCP stream that does not wait forever, slips early hints between messages, and
//! closes so that the client can read what was said last.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::wire::Wire;
use super::{ConnectionEvent, Observer};

/// How long, and for how many bytes, a closing connection listens to a client that is still sending.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What is no longer than this leaves in one piece: to the kernel a list of pieces costs more than a copy of so few bytes does to
/// us.
const GATHERED: usize = 4096;

thread_local! {
    /// Where the pieces of a short answer are put together. Empty between two writes.
    static TOGETHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One client's connection.
pub(super) struct ClientIo {
    stream: TokioIo<TcpStream>,
    wire: Arc<Wire>,
    observer: Observer,
    stall_timeout: Duration,
    /// Runs while the client takes nothing; made only then.
    stall: Option<Pin<Box<Sleep>>>,
    interim: Interim,
    linger: Option<Linger>,
}

/// An interim response that has been begun: it must be finished before anything else is written.
#[derive(Debug, Default)]
struct Interim {
    bytes: Vec<u8>,
    written: usize,
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
        observer: Observer,
        stall_timeout: Duration,
    ) -> Self {
        Self {
            stream: TokioIo::new(stream),
            wire,
            observer,
            stall_timeout,
            stall: None,
            interim: Interim::default(),
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

    /// Writes the rest of an interim response that has been begun.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.interim.written < self.interim.bytes.len() {
            let rest = &self.interim.bytes[self.interim.written..];
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            match ready!(self.impatient(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.interim.written += n,
            }
        }
        if !self.interim.bytes.is_empty() {
            self.interim = Interim::default();
            (self.observer)(ConnectionEvent::HintsSent);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the client still sends, until it stops, for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let linger =
            self.linger.get_or_insert_with(|| Linger { timer: Box::pin(sleep(LINGER_TIME)), read: 0 });
        let mut space = [MaybeUninit::uninit(); 4096];
        while linger.read < LINGER_BYTES && linger.timer.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => linger.read += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.wire.set_unanswered(true);
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.impatient(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let stream = Pin::new(&mut self.stream);
        let written = match bufs {
            [all] => stream.poll_write(cx, all),
            _ if is_short(bufs) => gathered(bufs, |bytes| stream.poll_write(cx, bytes)),
            _ => stream.poll_write_vectored(cx, bufs),
        };
        self.impatient(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper calls this at the end of every turn of a connection, and only once it has written all it has (`Buffered::
    /// poll_flush`). So if no response is under way we are between two messages, where an interim one may go.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_interim(cx))?;
        if let Some(bytes) = self.wire.take_queued() {
            self.interim = Interim { bytes, written: 0 };
            ready!(self.poll_interim(cx))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.wire.flushed();
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will come. If the client may still be sending (its request was refused half-way), it
    /// is listened to for a moment: closing with bytes unread would reset the connection, and the reset may
    /// overtake our answer (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.wire.is_unanswered() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }
}

fn is_short(bufs: &[IoSlice<'_>]) -> bool {
    bufs.iter().map(|buf| buf.len()).sum::<usize>() <= GATHERED
}

/// Does with all bytes in one piece what `write` does.
fn gathered<T>(bufs: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> T) -> T {
    TOGETHER.with_borrow_mut(|together| {
        bufs.iter().for_each(|buf| together.extend_from_slice(buf));
        let written = write(together);
        together.clear();
        written
    })
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.wire.must_reset() {
            let _ = SockRef::from(self.stream.inner()).set_linger(Some(Duration::ZERO));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices<'a>(pieces: &[&'a [u8]]) -> Vec<IoSlice<'a>> {
        pieces.iter().map(|piece| IoSlice::new(piece)).collect()
    }

    #[test]
    fn what_is_gathered_is_all_there_is_and_nothing_from_before() {
        let longer = gathered(&slices(&[b"head", b"", b"content"]), <[u8]>::to_vec);
        let shorter = gathered(&slices(&[b"h", b"c"]), <[u8]>::to_vec);
        assert_eq!([longer, shorter], [b"headcontent".to_vec(), b"hc".to_vec()]);
    }

    #[test]
    fn only_short_answers_are_gathered() {
        let longest = [b'x'; GATHERED - 1];
        assert!(is_short(&slices(&[b"h", &longest])));
        assert!(!is_short(&slices(&[b"he", &longest])));
    }
}
