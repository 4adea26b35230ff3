//! How bytes leave: short answers in one piece, long content without a copy.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::memfile;

/// What is no longer than this leaves in one piece: to the kernel a list of pieces costs more than a copy of so few bytes does to
/// us.
const GATHERED: usize = 4096;

thread_local! {
    /// Where the pieces of a short answer are put together. Empty between two writes.
    static TOGETHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes some of `bufs`.
pub(super) fn poll_write(
    stream: &mut TokioIo<TcpStream>,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if bufs.iter().any(|buf| memfile::is_worth(buf)) {
        return poll_send(stream.inner(), cx, bufs);
    }
    let stream = Pin::new(stream);
    match bufs {
        [all] => stream.poll_write(cx, all),
        _ if is_short(bufs) => gathered(bufs, |bytes| stream.poll_write(cx, bytes)),
        _ => stream.poll_write_vectored(cx, bufs),
    }
}

/// Whether they leave in one piece.
pub(super) fn is_short(bufs: &[IoSlice<'_>]) -> bool {
    total(bufs) <= GATHERED
}

fn total(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
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

/// Sends some of `bufs`, what is long and lies in the file without a copy.
fn poll_send(stream: &TcpStream, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, || in_order(bufs, |bufs, more| send(stream, bufs, more))) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// Does `send` with each of `bufs` that is worth to be sent from the file, and with those between two of these, and tells it
/// whether there are more; until one is not taken whole. A failure after the first is left to the next call.
fn in_order(
    bufs: &[IoSlice<'_>],
    mut send: impl FnMut(&[IoSlice<'_>], bool) -> io::Result<usize>,
) -> io::Result<usize> {
    let (mut sent, mut left) = (0, bufs);
    while !left.is_empty() {
        let copied = left.iter().take_while(|buf| !memfile::is_worth(buf)).count();
        let (now, rest) = left.split_at(copied.max(1));
        match send(now, !rest.is_empty()) {
            Ok(taken) => sent += taken,
            Err(error) if sent == 0 => return Err(error),
            Err(_) => break,
        }
        left = rest;
        let offered = total(bufs) - total(left);
        if sent < offered {
            break;
        }
    }
    Ok(sent)
}

/// If there is `more`, what does not fill a packet waits for it.
fn send(stream: &TcpStream, bufs: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    if let [only] = bufs
        && let Some(sent) = memfile::send(stream, only)
    {
        return sent;
    }
    Ok(sendmsg(stream, bufs, &mut SendAncillaryBuffer::default(), flags(more))?)
}

#[cfg(target_os = "linux")]
fn flags(more: bool) -> SendFlags {
    if more { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL }
}

#[cfg(not(target_os = "linux"))]
fn flags(_: bool) -> SendFlags {
    SendFlags::empty()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read as _;

    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TokioIo<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        (TokioIo::new(ours), client)
    }

    /// However much the kernel takes at a time, and while the client makes room.
    #[tokio::test]
    #[cfg_attr(
        not(all(target_os = "linux", target_pointer_width = "64")),
        ignore = "there is no such file elsewhere"
    )]
    async fn what_lies_in_the_file_leaves_between_what_does_not() {
        let (mut ours, client) = connected().await;
        SockRef::from(ours.inner()).set_send_buffer_size(40_000).unwrap();
        let content: Vec<u8> = (0..memfile::LONGEST as u32).map(|i| (i >> 3) as u8).collect();
        let [one, other] = [(); 2].map(|()| memfile::Extent::of(&[&content]).unwrap());
        let pieces =
            [b"head", one.bytes(), b"\r\n", b"head", &other.bytes()[..9], &other.bytes()[9..], b"tail"];
        let (answer, answers) = (pieces.concat(), 300);

        let mut client = client.into_std().unwrap();
        client.set_nonblocking(false).unwrap();
        let receiving = std::thread::spawn(move || {
            let mut came = vec![0; answer.len()];
            (0..answers).all(|_| client.read_exact(&mut came).is_ok_and(|()| came == answer))
        });
        for _ in 0..answers {
            let mut slices = slices(&pieces);
            let mut left = &mut slices[..];
            while !left.is_empty() {
                let written = poll_fn(|cx| poll_write(&mut ours, cx, left)).await.unwrap();
                IoSlice::advance_slices(&mut left, written);
            }
        }
        drop(ours);
        assert!(receiving.join().unwrap());
    }

    #[test]
    #[cfg_attr(
        not(all(target_os = "linux", target_pointer_width = "64")),
        ignore = "there is no such file elsewhere"
    )]
    fn nothing_is_sent_behind_what_was_not_taken() {
        let extent = memfile::Extent::of(&[&[7; memfile::LONGEST]]).unwrap();
        let bufs = slices(&[b"head", b"s", extent.bytes(), b"tail"]);
        let lengths = [5, memfile::LONGEST, 4];
        let all = lengths.iter().sum::<usize>();
        // What the kernel says to each: so many bytes, or nothing now.
        let full = || io::Error::from(io::ErrorKind::WouldBlock);
        for (says, expected) in [
            (vec![Some(lengths[0]), Some(lengths[1]), Some(lengths[2])], Some(all)),
            (vec![Some(4)], Some(4)),
            (vec![Some(5), Some(1000)], Some(1005)),
            (vec![Some(5), Some(lengths[1]), None], Some(all - 4)),
            (vec![Some(5), None], Some(5)),
            (vec![None], None),
        ] {
            let mut asked = Vec::new();
            let sent = in_order(&bufs, |bufs, more| {
                asked.push((total(bufs), more));
                says[asked.len() - 1].ok_or_else(full)
            });
            assert_eq!(sent.ok(), expected);
            let order = [(lengths[0], true), (lengths[1], true), (lengths[2], false)];
            assert_eq!(asked, order[..says.len()]);
        }
    }

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
