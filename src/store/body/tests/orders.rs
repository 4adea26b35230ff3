//! Random orders of events against a plain vector.

use proptest::prelude::*;

use super::*;

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
