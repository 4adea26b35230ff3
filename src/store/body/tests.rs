//! The behaviour of fills, one sentence each; then random orders of events against a plain vector; then real threads.

mod ending;
mod orders;
mod storing;
mod streaming;
mod threads;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::*;

const KIB: usize = 1024;
const ROOMY: u64 = 1 << 30;

fn limits() -> Limits {
    Limits { max_object: 1 << 20, window: 8 * KIB, expected: None }
}

fn content(len: usize) -> Bytes {
    (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>().into()
}

/// A waker that shows whether it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Flag {
    /// One that says that there is something to do, as for any task that was never polled.
    fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_reader(reader: &mut Reader, waker: &Waker) -> Poll<Option<Result<Bytes, BodyError>>> {
    let frame = Pin::new(reader).poll_frame(&mut Context::from_waker(waker));
    frame.map(|frame| {
        frame.map(|frame| {
            frame.map(|frame| frame.into_data().map_or(Bytes::new(), |data| Bytes::copy_from_slice(&data)))
        })
    })
}

/// All that is there for a reader now.
fn take_all(reader: &mut Reader) -> Vec<u8> {
    let mut taken = Vec::new();
    while let Poll::Ready(Some(Ok(data))) = poll_reader(reader, Waker::noop()) {
        taken.extend_from_slice(&data);
    }
    taken
}

async fn push_all(writer: &mut Writer, content: &Bytes, piece: usize) {
    for start in (0..content.len()).step_by(piece) {
        let piece = content.slice(start..content.len().min(start + piece));
        writer.push(piece).await.unwrap();
    }
}
