//! Short answers leave together: they are put aside until every connection that had something to read has been served, and
//! then sent one after another.
//!
//! To answer a request and to send something through the kernel are both long ways, and a processor that takes turns
//! between them has the code of neither at hand.
//!
//! The sender is a task like the connections' own. What it is woken by is the first answer of a turn, so it comes after
//! all tasks that were ready by then: tokio's runtime of a single thread takes them in order. One of several threads
//! does not, and has no outbox.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::socket::Socket;

/// So many answers are not kept waiting for more: the first of them has waited for as long as it takes to make the others.
const MOST_ANSWERS: usize = 64;
/// Nor so many bytes.
const MOST_BYTES: usize = 128 * 1024;

/// Of the connections that one thread accepts from one listener.
pub(super) struct Outbox {
    /// Never held while anything waits. Whoever has it may lock a socket, but not the other way round.
    waiting: Mutex<Waiting>,
    /// The task that sends. INVARIANT: it is polled with the same waker all its life, as tokio's tasks are.
    sender: OnceLock<Waker>,
}

#[derive(Default)]
struct Waiting {
    /// For whom, and how many bytes. INVARIANT: in the order of `bytes`, of which each has its part.
    answers: Vec<(Arc<Socket>, usize)>,
    bytes: Vec<u8>,
}

impl Outbox {
    /// For the runtime of the caller. `None`: it would not help there.
    pub(super) fn of_this_runtime() -> Option<Arc<Self>> {
        let is_single = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        is_single.then(|| Arc::new(Self { waiting: Mutex::default(), sender: OnceLock::new() }))
    }

    /// Sends what has been put aside, turn by turn. It never ends.
    pub(super) fn attend(self: Arc<Self>) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            self.sender.get_or_init(|| cx.waker().clone());
            self.send();
            Poll::Pending
        })
    }

    /// Puts `pieces`, which are one answer or a part of one, aside for `socket`, which must not be
    /// [held](Socket::is_held). Returns how many bytes that is.
    pub(super) fn put(&self, socket: &Arc<Socket>, pieces: &[IoSlice<'_>]) -> usize {
        let mut waiting = self.waiting.lock();
        let before = waiting.bytes.len();
        pieces.iter().for_each(|piece| waiting.bytes.extend_from_slice(piece));
        let len = waiting.bytes.len() - before;
        waiting.answers.push((Arc::clone(socket), len));
        let is_first = waiting.answers.len() == 1;
        if waiting.answers.len() >= MOST_ANSWERS || waiting.bytes.len() >= MOST_BYTES {
            waiting.send();
        }
        drop(waiting);
        if is_first && let Some(sender) = self.sender.get() {
            sender.wake_by_ref();
        }
        len
    }

    /// Sends all that has been put aside.
    pub(super) fn send(&self) {
        self.waiting.lock().send();
    }
}

impl Waiting {
    fn send(&mut self) {
        let mut rest = &self.bytes[..];
        for (socket, len) in self.answers.drain(..) {
            let Some((answer, after)) = rest.split_at_checked(len) else { break };
            socket.send(answer);
            rest = after;
        }
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

    use super::super::socket::tests::{connected, within};
    use super::*;

    fn put(outbox: &Outbox, socket: &Arc<Socket>, text: &str) {
        assert_eq!(outbox.put(socket, &[IoSlice::new(text.as_bytes())]), text.len());
    }

    fn nothing_came(client: &TcpStream) -> bool {
        client.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn next(client: &mut TcpStream, len: usize) -> String {
        let mut came = vec![0; len];
        within(client.read_exact(&mut came)).await.unwrap();
        String::from_utf8(came).unwrap()
    }

    #[tokio::test]
    async fn each_gets_his_own_in_order() {
        let outbox = Outbox::of_this_runtime().unwrap();
        let ((a, mut client_a), (b, mut client_b)) = (connected().await, connected().await);
        for (socket, text) in [(&a, "one"), (&b, "two"), (&a, "three")] {
            put(&outbox, socket, text);
        }
        assert!(nothing_came(&client_a));
        outbox.send();
        assert_eq!(
            (next(&mut client_a, 8).await, next(&mut client_b, 3).await),
            ("onethree".into(), "two".into())
        );
        outbox.send();
        assert!(nothing_came(&client_a));
    }

    #[tokio::test]
    async fn the_sender_is_woken_by_the_first_of_a_turn() {
        let outbox = Outbox::of_this_runtime().unwrap();
        let sending = tokio::spawn(Arc::clone(&outbox).attend());
        let (socket, mut client) = connected().await;
        for text in ["first", "again"] {
            put(&outbox, &socket, text);
            put(&outbox, &socket, "!");
            assert_eq!(next(&mut client, 6).await, format!("{text}!"));
        }
        sending.abort();
    }

    #[tokio::test]
    async fn enough_of_them_wait_for_no_sender() {
        let outbox = Outbox::of_this_runtime().unwrap();
        let (socket, mut client) = connected().await;
        (0..MOST_ANSWERS).for_each(|_| put(&outbox, &socket, "x"));
        next(&mut client, MOST_ANSWERS).await;
        let long = "x".repeat(MOST_BYTES / 4);
        (0..4).for_each(|_| put(&outbox, &socket, &long));
        next(&mut client, MOST_BYTES).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn threads_that_take_each_others_tasks_have_none() {
        assert!(Outbox::of_this_runtime().is_none());
    }
}
