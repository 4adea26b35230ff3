//! The load generator: one thread, many connections, either as fast as the server answers (closed loop) or at a fixed
//! rate.
//!
//! At a fixed rate, latency counts from the moment at which the request was due, not from when a connection was free to
//! send it: a server that stops for a while is charged for everybody who would have asked meanwhile.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::client::{Client, Expected};
use crate::latency::{Latencies, Percentiles};
use crate::requests::{Numbers, Pick, Template};

/// What the generator waits at most before it looks at the clock again.
const TICK: Duration = Duration::from_millis(10);
/// At a fixed rate, percentiles are told of so much time each.
const SLICE: Duration = Duration::from_millis(100);
/// After the first probe, what was due meanwhile is sent late by no fault of the server: no latency counts so long.
const CATCH_UP: Duration = Duration::from_millis(20);
/// A server that answers nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whom to ask for what, and how.
pub(crate) struct Load<'a> {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    /// Requests per second; without, as many as it takes.
    pub(crate) rate: Option<u32>,
    pub(crate) template: &'a Template,
    pub(crate) pick: Pick,
    pub(crate) expected: &'a Expected,
}

/// What was found in the window.
pub(crate) struct Run<P> {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
    pub(crate) latency: Percentiles,
    /// What the probe said as the window opened and as it closed.
    pub(crate) before: P,
    pub(crate) after: P,
}

impl Load<'_> {
    /// Keeps asking through a warm-up and then through the window that counts.
    pub(crate) fn run<P>(
        &self,
        numbers: &mut Numbers,
        warm_up: Duration,
        window: Duration,
        mut probe: impl FnMut() -> io::Result<P>,
    ) -> io::Result<Run<P>> {
        let mut traffic = Traffic::start(self, numbers)?;
        traffic.until(|traffic| traffic.now >= traffic.began + warm_up)?;
        let before = probe()?;
        traffic.requests = 0;
        let opened = Instant::now();
        traffic.until(|traffic| traffic.now >= opened + CATCH_UP.min(window / 4))?;
        traffic.latencies.forget_slice();
        for end in self.slices(window) {
            traffic.until(|traffic| traffic.now >= opened + end)?;
            if end == window {
                traffic.count_overdue();
            }
            traffic.latencies.end_slice()?;
        }
        let time = opened.elapsed();
        let after = probe()?;
        Ok(Run { requests: traffic.requests, time, latency: traffic.latencies.percentiles(), before, after })
    }

    /// When the slices of a window end, counted from its beginning; as fast as it goes, the window is one.
    fn slices(&self, window: Duration) -> impl Iterator<Item = Duration> {
        let slice = if self.rate.is_some() { SLICE } else { window };
        let whole = (1..).map(move |n| slice * n).take_while(move |end| *end < window);
        whole.chain([window])
    }

    /// Asks so many times, as fast as it goes, and waits for all the answers.
    pub(crate) fn times(&self, numbers: &mut Numbers, requests: u64) -> io::Result<()> {
        let mut traffic = Traffic::start(self, numbers)?;
        traffic.most = requests;
        traffic.until(|traffic| traffic.requests >= requests)
    }
}

/// Requests under way.
struct Traffic<'a> {
    load: &'a Load<'a>,
    numbers: &'a mut Numbers,
    poll: Poll,
    clients: Vec<Client>,
    /// Connections without a request.
    idle: Vec<usize>,
    scratch: Vec<u8>,
    began: Instant,
    now: Instant,
    /// Requests sent; at a fixed rate this also says when the next is due.
    sent: u64,
    /// How many are sent at most.
    most: u64,
    requests: u64,
    latencies: Latencies,
}

impl<'a> Traffic<'a> {
    fn start(load: &'a Load<'_>, numbers: &'a mut Numbers) -> io::Result<Self> {
        let poll = Poll::new()?;
        let now = Instant::now();
        let mut clients = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let mut client = Client::connect(load.addr, load.template.bytes(), now)?;
            poll.registry().register(&mut client.stream, Token(index), Interest::READABLE)?;
            clients.push(client);
        }
        Ok(Self {
            load,
            numbers,
            poll,
            idle: (0..clients.len()).collect(),
            clients,
            scratch: vec![0; 256 * 1024],
            began: now,
            now,
            sent: 0,
            most: u64::MAX,
            requests: 0,
            latencies: Latencies::new()?,
        })
    }

    fn until(&mut self, is_over: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last_answer = (self.requests, Instant::now());
        loop {
            self.now = Instant::now();
            if is_over(self) {
                return Ok(());
            }
            self.send_what_is_due()?;
            // At a fixed rate it looks at the clock all the time: sleeping would make requests late.
            let patience = if self.load.rate.is_some() { Duration::ZERO } else { TICK };
            self.poll.poll(&mut events, Some(patience))?;
            for event in &events {
                self.receive(event.token().0)?;
            }
            if self.requests != last_answer.0 {
                last_answer = (self.requests, self.now);
            } else if self.now > last_answer.1 + PATIENCE {
                return Err(io::Error::other(format!("no answer for {PATIENCE:?}")));
            }
        }
    }

    fn send_what_is_due(&mut self) -> io::Result<()> {
        while self.sent < self.most && self.due() <= self.now {
            let Some(index) = self.idle.pop() else { break };
            self.send(index, self.due())?;
        }
        Ok(())
    }

    /// When the next request should go out. Without a rate: whenever there is a connection for it.
    fn due(&self) -> Instant {
        let Some(rate) = self.load.rate else { return self.now };
        self.began + Duration::from_nanos(self.sent * 1_000_000_000 / u64::from(rate))
    }

    fn send(&mut self, index: usize, due: Instant) -> io::Result<()> {
        self.sent += 1;
        let client = &mut self.clients[index];
        self.load.template.set(&mut client.request, self.numbers.next(self.load.pick));
        client.send(due)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        if !client.receive(&mut self.scratch, self.load.expected)? {
            return Ok(());
        }
        let now = Instant::now();
        self.requests += 1;
        self.latencies.record(now - client.began);
        if self.load.rate.is_some() || self.sent == self.most {
            self.idle.push(index);
            return Ok(());
        }
        self.send(index, now)
    }

    /// At a fixed rate: what was due by the end and never sent has waited until now.
    fn count_overdue(&mut self) {
        while self.load.rate.is_some() && self.due() < self.now {
            self.latencies.record(self.now - self.due());
            self.sent += 1;
        }
    }
}
