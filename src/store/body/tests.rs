//! The behaviour of fills, one sentence each; then random orders of events against a plain vector; then real threads.

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
use proptest::prelude::*;

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
    frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
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

#[tokio::test]
async fn readers_get_the_bytes_as_they_come_and_late_ones_from_the_start() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let mut early = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert_eq!(take_all(&mut early), content(10));
    writer.push(content(5)).await.unwrap();
    let mut late = body.reader().unwrap();
    let sealed = writer.finish(None).unwrap();
    let whole = [content(10), content(5)].concat();
    assert_eq!(take_all(&mut early), content(5));
    assert_eq!(take_all(&mut late), whole);
    let mut later = body.reader().unwrap();
    assert_eq!(take_all(&mut later), whole);
    assert_eq!(sealed.pieces().concat(), whole);
    assert!(early.is_end_stream() && late.is_end_stream());
}

#[tokio::test]
async fn what_is_stored_pins_nothing_and_is_charged_to_the_last_holder() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    push_all(&mut writer, &content(200 * KIB), 40 * KIB).await;
    let sealed = writer.finish(None).unwrap();
    drop(body);
    let overhead = budget.used() - 200 * KIB as u64;
    assert!(overhead < 8 * KIB as u64, "{overhead}");
    let slice = sealed.slice(0, 0);
    drop(sealed);
    assert!(budget.used() >= 40 * KIB as u64, "one byte keeps its chunk");
    drop(slice);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_stream_keeps_nothing_of_the_buffer_that_a_piece_was_read_into() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let mut reader = body.reader().unwrap();
    writer.stream_only("not wanted");
    let buffer = content(64 * KIB);
    writer.push(buffer.slice(..100)).await.unwrap();
    assert!(buffer.is_unique());
    assert!((100..400).contains(&budget.used()), "{}", budget.used());
    assert_eq!(take_all(&mut reader), buffer[..100]);
}

#[tokio::test]
async fn crumbs_are_gathered_while_they_come() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let content = content(100 * KIB);
    let mut reader = body.reader().unwrap();
    let mut read = Vec::new();
    for (i, piece) in content.chunks(7).enumerate() {
        writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
        if i % 11 == 0 {
            read.extend(take_all(&mut reader));
        }
        assert!(budget.used() < 2 * (i as u64 * 7) + 4096, "{} for {} bytes", budget.used(), i * 7);
    }
    let sealed = writer.finish(None).unwrap();
    read.extend(take_all(&mut reader));
    assert_eq!(read, content);
    assert_eq!(sealed.pieces().concat(), content);
    assert!(sealed.pieces().len() <= 8, "{:?}", sealed.pieces().iter().map(Bytes::len).collect::<Vec<_>>());
    assert!(sealed.pieces().iter().all(|piece| piece.len() <= 64 * KIB));
}

#[tokio::test]
async fn what_fits_into_one_chunk_is_stored_as_one() {
    for (len, pieces) in [(30 * KIB, 1), (64 * KIB, 1), (64 * KIB + 1, 2)] {
        let (mut writer, _body) = fill(Budget::new(ROOMY), limits());
        for piece in content(len).chunks(20 * KIB) {
            writer.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let sealed = writer.finish(None).unwrap();
        assert_eq!(sealed.pieces().concat(), content(len));
        assert_eq!(sealed.pieces().len(), pieces, "{len}");
    }
}

#[tokio::test]
async fn long_pieces_are_stored_in_chunks_that_can_be_let_go_one_by_one() {
    let (mut writer, _body) = fill(Budget::new(ROOMY), limits());
    writer.push(content(200 * KIB)).await.unwrap();
    let sealed = writer.finish(None).unwrap();
    assert_eq!(sealed.pieces().concat(), content(200 * KIB));
    assert!(sealed.pieces().iter().all(|piece| piece.len() <= 64 * KIB));
}

#[tokio::test]
async fn without_readers_it_goes_on_if_it_will_be_stored() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    drop(body.reader());
    push_all(&mut writer, &content(100 * KIB), 9 * KIB).await;
    assert_eq!(writer.finish(None).unwrap().len(), 100 * KIB as u64);
}

#[tokio::test]
async fn without_readers_a_stream_is_abandoned() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let reader = body.reader().unwrap();
    writer.stream_only("verdict");
    writer.push(content(1)).await.unwrap();
    drop(reader);
    assert_eq!(writer.push(content(1)).await, Err(Abandoned));
    assert_eq!(writer.not_stored_because(), Some("verdict"));
    assert!(!body.is_storing());
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_a_moment_for_its_first_reader() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    {
        let mut push = pin!(writer.push(content(1)));
        assert!(poll(push.as_mut()).is_pending(), "the window is full");
        let mut reader = body.reader().unwrap();
        assert_eq!(take_all(&mut reader).len(), 8 * KIB);
        push.await.unwrap();
    }
    let (mut writer, _body) = fill(Budget::new(0), limits());
    writer.push(content(1)).await.unwrap();
    assert_eq!(writer.push(content(1)).await, Err(Abandoned), "nobody came");
}

#[tokio::test]
async fn what_passes_max_object_becomes_a_stream() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { max_object: 1000, ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(600)).await.unwrap();
    assert!(writer.is_storing());
    writer.push(content(600)).await.unwrap();
    assert_eq!(writer.not_stored_because(), Some("max-object"));
    assert!(body.has_room(), "nothing is gone yet");
    assert_eq!(take_all(&mut reader).len(), 1200);
    assert!(!body.has_room());
    assert!(body.reader().is_none());
    assert_eq!(writer.finish(None).unwrap_err().reason(), "max-object");
    assert!(reader.is_end_stream());
}

#[tokio::test]
async fn a_fill_never_waits_for_memory_and_never_passes_the_budget() {
    let budget = Budget::new(10 * KIB as u64);
    let (mut writer, body) = fill(budget.clone(), limits());
    let mut reader = body.reader().unwrap();
    let content = content(64 * KIB);
    let mut read = Vec::new();
    for piece in content.chunks(KIB) {
        let mut push = pin!(writer.push(Bytes::copy_from_slice(piece)));
        while poll(push.as_mut()).is_pending() {
            read.extend(take_all(&mut reader));
        }
        assert!(budget.used() <= budget.limit());
    }
    assert_eq!(writer.not_stored_because(), Some("memory"));
    assert_eq!(writer.finish(None).unwrap_err().reason(), "memory");
    read.extend(take_all(&mut reader));
    assert_eq!(read, content);
    drop((body, reader));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn without_any_memory_pieces_are_handed_over_one_by_one() {
    let (mut writer, body) = fill(Budget::new(0), limits());
    let mut reader = body.reader().unwrap();
    writer.push(content(100)).await.unwrap();
    let mut push = pin!(writer.push(content(100)));
    assert!(poll(push.as_mut()).is_pending());
    assert_eq!(take_all(&mut reader).len(), 100);
    push.await.unwrap();
}

#[tokio::test]
async fn a_stream_is_paced_by_its_slowest_reader_within_the_window() {
    let budget = Budget::new(ROOMY);
    let (mut writer, body) = fill(budget.clone(), limits());
    let (mut fast, mut slow) = (body.reader().unwrap(), body.reader().unwrap());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    assert_eq!(take_all(&mut fast).len(), 8 * KIB);
    let mut push = pin!(writer.push(content(KIB)));
    assert!(poll(push.as_mut()).is_pending(), "the fast one is a whole window ahead");
    let Poll::Ready(Some(Ok(_))) = poll_reader(&mut slow, Waker::noop()) else { panic!("there is data") };
    push.await.unwrap();
    assert!(budget.used() < 8 * KIB as u64 + 8 * 128);
}

#[tokio::test]
async fn a_stalled_reader_that_is_cut_lets_the_others_go_on() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let (mut fast, stalled) = (body.reader().unwrap(), body.reader().unwrap());
    writer.stream_only("verdict");
    push_all(&mut writer, &content(8 * KIB), KIB).await;
    take_all(&mut fast);
    let flag = Arc::new(Flag::default());
    let mut push = pin!(writer.push(content(KIB)));
    let waker = Waker::from(flag.clone());
    assert!(push.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(stalled);
    assert!(flag.take(), "the writer is woken");
    push.await.unwrap();
    assert_eq!(take_all(&mut fast).len(), KIB);
}

#[tokio::test]
async fn a_waiting_writer_is_woken_by_the_last_reader_that_leaves() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { window: 1, ..limits() });
    let reader = body.reader().unwrap();
    writer.stream_only("verdict");
    writer.push(content(10)).await.unwrap();
    let flag = Arc::new(Flag::default());
    let mut push = pin!(writer.push(content(10)));
    assert!(push.as_mut().poll(&mut Context::from_waker(&Waker::from(flag.clone()))).is_pending());
    drop(reader);
    assert!(flag.take());
    assert_eq!(push.await, Err(Abandoned));
}

#[tokio::test]
async fn what_breaks_off_is_visibly_cut_after_what_came() {
    for fails in [true, false] {
        let (mut writer, body) = fill(Budget::new(ROOMY), limits());
        let mut reader = body.reader().unwrap();
        writer.push(content(10)).await.unwrap();
        if fails {
            writer.fail("reset")
        } else {
            drop(writer)
        }
        assert!(!reader.is_end_stream());
        let Poll::Ready(Some(Ok(data))) = poll_reader(&mut reader, Waker::noop()) else {
            panic!("data first")
        };
        assert_eq!(data, content(10));
        let reason = if fails { "reset" } else { "aborted" };
        assert_eq!(poll_reader(&mut reader, Waker::noop()), Poll::Ready(Some(Err(BodyError(reason)))));
        assert_eq!(poll_reader(&mut reader, Waker::noop()), Poll::Ready(None));
        assert!(!body.has_room(), "newcomers do not begin what is known to be cut");
        let mut late = body.reader().expect("one that was promised it before gets what came");
        assert_eq!(poll_reader(&mut late, Waker::noop()), Poll::Ready(Some(Ok(content(10)))));
        assert_eq!(poll_reader(&mut late, Waker::noop()), Poll::Ready(Some(Err(BodyError(reason)))));
    }
}

#[tokio::test]
async fn less_than_declared_fails() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(20), ..limits() });
    let reader = body.reader().unwrap();
    assert_eq!(reader.size_hint().exact(), Some(20));
    writer.push(content(10)).await.unwrap();
    assert_eq!(writer.finish(None).unwrap_err().reason(), "length-mismatch");
    assert_eq!(reader.collect().await.unwrap_err(), BodyError("length-mismatch"));
}

#[tokio::test]
async fn more_than_declared_fails_before_it_is_handed_on() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(20), ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(15)).await.unwrap();
    assert_eq!(writer.push(content(10)).await, Err(Abandoned));
    assert_eq!(take_all(&mut reader).len(), 15);
    assert_eq!(writer.finish(None).unwrap_err().reason(), "length-mismatch");
}

#[tokio::test]
async fn the_last_declared_byte_is_the_end() {
    let (mut writer, body) = fill(Budget::new(ROOMY), Limits { expected: Some(10), ..limits() });
    let mut reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert!(!reader.is_end_stream());
    take_all(&mut reader);
    assert!(reader.is_end_stream(), "though the writer has not finished");
    assert_eq!(reader.size_hint().exact(), Some(0));
}

#[tokio::test]
async fn the_length_is_known_when_it_is() {
    let (mut writer, body) = fill(Budget::new(ROOMY), limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert_eq!((reader.size_hint().lower(), reader.size_hint().exact()), (10, None));
    writer.finish(None).unwrap();
    assert_eq!(reader.size_hint().exact(), Some(10));
}

#[tokio::test]
async fn trailers_come_last_and_are_stored_and_charged() {
    let budget = Budget::new(ROOMY);
    let trailers: HeaderMap =
        [(http::header::ETAG, http::HeaderValue::from_static("\"x\""))].into_iter().collect();
    let (mut writer, body) = fill(budget.clone(), limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    let before = budget.used();
    let sealed = writer.finish(Some(trailers.clone())).unwrap();
    assert!(budget.used() > before);
    assert_eq!(sealed.trailers(), Some(&trailers));
    let collected = reader.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), content(10));
    drop((body, sealed));
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn trailers_that_do_not_fit_are_passed_on_and_not_stored() {
    let budget = Budget::new(250);
    let trailers: HeaderMap =
        [(http::header::ETAG, http::HeaderValue::from_static("\"x\""))].into_iter().collect();
    let (mut writer, body) = fill(budget, limits());
    let reader = body.reader().unwrap();
    writer.push(content(10)).await.unwrap();
    assert!(writer.is_storing());
    assert_eq!(writer.finish(Some(trailers.clone())).unwrap_err().reason(), "memory");
    assert_eq!(reader.collect().await.unwrap().trailers(), Some(&trailers));
}

#[test]
fn both_ends_can_go_to_other_threads() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Writer>();
    is_send::<Body>();
    is_send::<Reader>();
    let (mut writer, _body) = fill(Budget::new(0), limits());
    fn is_send_value<T: Send>(_: T) {}
    is_send_value(writer.push(Bytes::new()));
}

// ---- Random orders of events ----

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Join,
    Read(usize),
    Leave(usize),
    StreamOnly,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![1..40_usize, 1..3000_usize, 20_000..90_000_usize].prop_map(Step::Push),
        2 => Just(Step::Join),
        6 => (0..8_usize).prop_map(Step::Read),
        1 => (0..8_usize).prop_map(Step::Leave),
        1 => Just(Step::StreamOnly),
    ];
    proptest::collection::vec(step, 1..120)
}

type Push = Pin<Box<dyn Future<Output = (Writer, Result<(), Abandoned>)>>>;

struct Reading {
    reader: Reader,
    flag: Arc<Flag>,
    read: Vec<u8>,
    ended: bool,
}

/// A fill and what it should hold. Nothing is polled unless its waker was woken, so a lost wakeup shows as a stop.
struct Model {
    budget: Arc<Budget>,
    body: Body,
    idle: Option<Writer>,
    pushing: Option<Push>,
    push_flag: Arc<Flag>,
    content: Vec<u8>,
    readers: Vec<Reading>,
    had_readers: bool,
}

impl Model {
    fn new(limit: u64, limits: Limits) -> Self {
        let budget = Budget::new(limit);
        let (writer, body) = fill(budget.clone(), limits);
        let push_flag = Flag::raised();
        let (readers, content) = (Vec::new(), Vec::new());
        Self {
            budget,
            body,
            idle: Some(writer),
            pushing: None,
            push_flag,
            content,
            readers,
            had_readers: false,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Push(len) => self.push(*len),
            Step::Join => {
                let has_room = self.body.has_room();
                let reader = self.body.reader();
                assert!(reader.is_some() || !has_room);
                // One that comes to broken content would read that, which is not what the model follows.
                if let Some(reader) = reader.filter(|_| has_room) {
                    self.had_readers = true;
                    let flag = Flag::raised();
                    self.readers.push(Reading { reader, flag, read: Vec::new(), ended: false });
                }
            }
            Step::Read(index) if !self.readers.is_empty() => {
                let index = index % self.readers.len();
                self.read(index);
            }
            Step::Leave(index) if !self.readers.is_empty() => {
                let index = index % self.readers.len();
                self.readers.swap_remove(index);
            }
            Step::StreamOnly => {
                if let Some(writer) = &mut self.idle {
                    writer.stream_only("verdict");
                }
            }
            Step::Read(_) | Step::Leave(_) => {}
        }
        self.advance_push();
        assert!(self.budget.used() <= self.budget.limit());
    }

    fn push(&mut self, len: usize) {
        let Some(mut writer) = self.idle.take() else { return };
        let start = self.content.len();
        self.content.extend((start..start + len).map(|i| (i % 251) as u8));
        let data = Bytes::copy_from_slice(&self.content[start..]);
        self.push_flag.0.store(true, Ordering::SeqCst);
        self.pushing = Some(Box::pin(async move {
            let pushed = writer.push(data).await;
            (writer, pushed)
        }));
    }

    fn advance_push(&mut self) -> bool {
        let Some(push) = &mut self.pushing else { return false };
        if !self.push_flag.take() {
            return false;
        }
        let waker = Waker::from(self.push_flag.clone());
        if let Poll::Ready((writer, pushed)) = push.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.pushing = None;
            match pushed {
                Ok(()) => self.idle = Some(writer),
                Err(Abandoned) => {
                    assert!(self.had_readers && self.readers.is_empty() && !writer.is_storing());
                }
            }
        }
        true
    }

    /// Reads once, if there is reason to.
    fn read(&mut self, index: usize) -> bool {
        let Reading { reader, flag, read, ended } = &mut self.readers[index];
        if *ended || !flag.take() {
            return false;
        }
        match poll_reader(reader, &Waker::from(flag.clone())) {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(data))) => {
                read.extend_from_slice(&data);
                assert_eq!(*read, self.content[..read.len()]);
                flag.0.store(true, Ordering::SeqCst);
            }
            Poll::Ready(None) => *ended = true,
            Poll::Ready(Some(Err(error))) => panic!("{error}"),
        }
        true
    }

    /// Lets everybody who was woken go on, until nobody was.
    fn settle(&mut self) {
        loop {
            let read = (0..self.readers.len()).fold(false, |any, index| self.read(index) | any);
            if !(self.advance_push() | read) {
                return;
            }
        }
    }

    fn end(mut self) {
        self.settle();
        if self.pushing.is_some() && !self.had_readers {
            self.step(&Step::Join);
            self.settle();
        }
        assert!(self.pushing.is_none(), "the writer waits for nothing");
        let Some(writer) = self.idle.take() else { return };
        let storing = writer.is_storing();
        match writer.finish(None) {
            Ok(sealed) => {
                assert!(storing);
                assert_eq!(sealed.pieces().concat(), self.content);
            }
            Err(_) => assert!(!storing),
        }
        self.settle();
        for reading in &self.readers {
            assert!(reading.ended, "a reader waits for nothing");
            assert_eq!(reading.read, self.content);
        }
        self.readers.clear();
        let budget = self.budget.clone();
        drop(self);
        assert_eq!(budget.used(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_everybody_reads_what_was_written(
        steps in steps(),
        limit in prop_oneof![Just(ROOMY), 0..300_000_u64],
        max_object in prop_oneof![Just(ROOMY), 0..300_000_u64],
        window in 1..100_000_usize,
    ) {
        // Streams without a reader set a timer; it never fires here, as nobody turns the runtime's crank.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let mut model = Model::new(limit, Limits { max_object, window, expected: None });
        steps.iter().for_each(|step| model.step(step));
        model.end();
    }
}

// ---- Real threads ----

async fn read_some(mut reader: Reader, content: Bytes, give_up_after: usize) {
    let mut read = 0;
    while let Some(frame) = reader.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert_eq!(data, content[read..read + data.len()]);
        read += data.len();
        if read > give_up_after {
            return;
        }
        if read % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(read, content.len());
}

#[test]
fn readers_on_other_threads_miss_nothing() {
    const ROUNDS: usize = 60;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let content = content(300 * KIB);
    runtime.block_on(async {
        for round in 0..ROUNDS {
            let limit = if round % 2 == 0 { ROOMY } else { 100 * KIB as u64 };
            let budget = Budget::new(limit);
            let (mut writer, body) = fill(budget.clone(), limits());
            let readers: Vec<_> = (0..8)
                .map(|i| {
                    let give_up_after = if i % 3 == 0 { i * 20 * KIB } else { usize::MAX };
                    tokio::spawn(read_some(body.reader().unwrap(), content.clone(), give_up_after))
                })
                .collect();
            let filled = tokio::spawn({
                let content = content.clone();
                async move {
                    push_all(&mut writer, &content, 100 + 977 * (round % 17)).await;
                    writer.finish(None).is_ok()
                }
            });
            let all = async {
                for reader in readers {
                    reader.await.unwrap();
                }
                filled.await.unwrap()
            };
            let stored = tokio::time::timeout(Duration::from_secs(20), all).await.expect("somebody hangs");
            assert_eq!(stored, limit == ROOMY);
            drop(body);
            assert_eq!(budget.used(), 0);
        }
    });
}
