//! One interleaving: a few clients, three resources and an origin that holds every answer back, driven by random
//! numbers, one step at a time. Whatever a client receives is put before the reference model at once.

mod judging;

use std::time::Instant;

use super::doors::{self, Door};
use super::origin::{self, GROUP, MOST_FETCHES, Message, Reply, Resource, Style};
use super::reference::{FetchId, Labels, Model, Purge, Step, Target};
use super::tally::Tally;
use super::world::{Asking, Received, World};
use crate::random::Random;
use crate::support::PATIENCE;

/// Steps before everything that is held back is let go.
const STEPS: usize = 24;
const MOST_CLIENTS: usize = 6;

pub(crate) struct Script<'a> {
    world: &'a mut World,
    random: Random,
    model: Model,
    step: Step,
    host: String,
    resources: Vec<Resource>,
    clients: Vec<Client>,
    pending: Vec<Pending>,
    tally: Tally,
    /// What happened, for those who have to understand a fault.
    trace: Vec<String>,
}

/// A request that somebody waits for.
struct Client {
    name: usize,
    asked: Step,
    resource: usize,
    kind: &'static str,
    method: &'static str,
    asking: Asking,
    judged: bool,
}

/// A request that the origin has not answered in full.
struct Pending {
    fetch: FetchId,
    resource: usize,
    request: Received,
    /// What is left to be sent once the head is.
    rest: Option<Vec<u8>>,
}

/// What went wrong, and what had happened until then.
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(world: &'a mut World, seed: u64) -> Self {
        let mut random = Random::new(seed);
        // Scripts that share a world share nothing in it.
        let host = format!("s{seed}.test");
        let style = |random: &mut Random| *random.one_of(&Style::ALL);
        let mut resource = |authority: &str, path, tags: &[&str], varies| Resource {
            authority: authority.to_owned(),
            path,
            tags: tags.iter().map(|tag| format!("{tag}-{seed}")).collect(),
            varies,
            style: style(&mut random),
            edition: random.below(4),
        };
        let resources = vec![
            resource(&host, "/a", &["red"], false),
            resource(&host, "/a/b", &["red", "blue"], true),
            resource(&format!("{host}:81"), "/a", &["blue"], false),
        ];
        Self {
            world,
            random,
            model: Model::default(),
            step: 0,
            host,
            resources,
            clients: Vec::new(),
            pending: Vec::new(),
            tally: Tally::default(),
            trace: Vec::new(),
        }
    }

    /// Plays it to its end.
    pub(crate) fn play(mut self) -> Result<(Tally, Vec<String>), Fault> {
        match self.play_all() {
            Ok(()) => Ok((self.tally, self.trace)),
            Err(what) => Err(Fault { what, trace: self.trace }),
        }
    }

    fn play_all(&mut self) -> Result<(), String> {
        self.warm_up()?;
        (0..STEPS).try_for_each(|_| self.go_on())?;
        self.let_go()
    }

    fn go_on(&mut self) -> Result<(), String> {
        self.step += 1;
        self.act()?;
        self.observe()
    }

    /// Has something stored, most times.
    fn warm_up(&mut self) -> Result<(), String> {
        for index in 0..self.resources.len() {
            if self.random.percent(70) {
                self.step += 1;
                self.send(index, "GET", "1", "");
                self.observe()?;
                self.answer_all();
                self.observe()?;
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..36 if self.clients.len() < MOST_CLIENTS && self.model.fetches.len() < MOST_FETCHES / 2 => {
                self.ask();
            }
            0..68 if !self.pending.is_empty() => {
                let index = self.random.below(self.pending.len());
                self.answer(index);
            }
            68..82 => self.purge(),
            82..92 => {
                let seconds = *self.random.one_of(&[1, 6, 6, 20, 70]);
                // What came of earlier steps must not be judged by the new time.
                self.world.settle_surely();
                self.observe()?;
                self.note(format!("{seconds} seconds pass"));
                self.world.advance(seconds);
            }
            92..96 => {
                // What is purged now is forgotten by the second sweep from now.
                let sweeps = 1 + self.random.below(2);
                self.note(format!("the log forgets, {sweeps} times"));
                (0..sweeps).try_for_each(|_| self.sweep())?;
                self.tally.swept();
            }
            96..98 if !self.clients.is_empty() => {
                let gone = self.random.below(self.clients.len());
                let client = self.clients.swap_remove(gone);
                self.note(format!("client {} hangs up", client.name));
            }
            98..100 if !self.pending.is_empty() => {
                let cut = self.random.below(self.pending.len());
                let pending = self.pending.swap_remove(cut);
                self.note(format!("the origin hangs up on fetch {}", pending.fetch));
                self.world.hang_up(pending.request.connection);
            }
            _ => self.ask(),
        }
        Ok(())
    }

    /// A sweep, between whose steps anything may happen, even another.
    fn sweep(&mut self) -> Result<(), String> {
        let log = self.world.log().clone();
        let mut sweeping = log.sweep_in_steps();
        while sweeping.step() {
            if self.random.percent(6) {
                self.note("the log is half swept".into());
                self.tally.interrupted();
                self.go_on()?;
            }
        }
        self.note("the log is swept".into());
        Ok(())
    }

    fn ask(&mut self) {
        let index = *self.random.one_of(&[0, 0, 1, 1, 1, 2]);
        let resource = self.resources[index].clone();
        let kind = *self.random.one_of(&["1", "1", "2"]);
        let (mut method, mut extra) = ("GET", String::new());
        match self.random.below(100) {
            0..7 => method = "HEAD",
            7..14 => method = "POST",
            14..32 => {
                let range = self.random.one_of(&["0-5", "6-11", "4-8", "-4", "0-11"]);
                extra = format!("Range: bytes={range}\r\n");
            }
            32..40 => {
                if let Some(etag) = resource.etag(kind) {
                    extra = format!("If-None-Match: {etag}\r\n");
                }
            }
            40..43 => extra = "Cache-Control: only-if-cached\r\n".into(),
            43..45 => extra = "Authorization: Basic eDp5\r\n".into(),
            _ => {}
        }
        self.send(index, method, kind, &extra);
    }

    fn send(&mut self, index: usize, method: &'static str, kind: &'static str, extra: &str) {
        let Resource { authority, path, .. } = &self.resources[index];
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let bytes =
            format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nX-Kind: {kind}\r\n{length}{extra}\r\n");
        let name = self.step;
        let what = format!("client {name} asks: {method} {authority}{path} as {kind} {}", extra.trim_end());
        self.note(what);
        self.tally.asked(method, extra);
        let asking = self.world.ask(method, bytes.as_bytes());
        let client = Client { name, asked: self.step, resource: index, kind, method, asking, judged: false };
        self.clients.push(client);
    }

    /// Sends the head of an answer and perhaps some of its content, or the rest.
    fn answer(&mut self, index: usize) {
        let pending = &self.pending[index];
        let (fetch, connection) = (pending.fetch, pending.request.connection);
        if let Some(rest) = &pending.rest {
            let rest = rest.clone();
            self.note(format!("the origin ends the answer to fetch {fetch}"));
            self.world.answer(connection, &rest);
            self.pending.swap_remove(index);
            return;
        }
        let resource = &mut self.resources[pending.resource];
        if resource.edition > 0 && self.random.percent(15) {
            resource.edition += 1;
        }
        if self.random.percent(8) {
            resource.style = *self.random.one_of(&Style::ALL);
        }
        let paths = ["/a", "/a/b"];
        let reply = Reply::choose(&mut self.random, &pending.request, resource, &paths);
        self.reply(index, reply);
    }

    fn reply(&mut self, index: usize, reply: Reply) {
        let pending = &self.pending[index];
        let (id, connection) = (pending.fetch, pending.request.connection);
        self.note(format!("the origin answers fetch {id}: {reply:?}"));
        self.tally.replied(&reply);
        let pending = &self.pending[index];
        if reply == Reply::Nothing {
            self.world.hang_up(connection);
            self.pending.swap_remove(index);
            return;
        }
        let resource = &self.resources[pending.resource];
        let mut tags = resource.tags.clone();
        tags.retain(|_| self.random.percent(80));
        let groups: Vec<String> = if self.random.percent(60) { vec![GROUP.to_owned()] } else { Vec::new() };
        let labels = Labels { tags, groups };
        let chunked = self.random.percent(30);
        let Message { head, pieces: [first, second] } =
            origin::message(&reply, id, &pending.request, resource, &labels, chunked);
        let fetch = &mut self.model.fetches[id];
        (fetch.answered_at, fetch.answered) = (self.step, self.world.seconds());
        fetch.terms = if reply == Reply::Error { Default::default() } else { resource.style.terms() };
        fetch.labels = labels;
        let (now, rest) = match self.random.below(4) {
            0 | 1 => ([head, first, second].concat(), Vec::new()),
            2 => ([head, first].concat(), second),
            _ => (head, [first, second].concat()),
        };
        self.world.answer(connection, &now);
        if rest.is_empty() {
            self.pending.swap_remove(index);
        } else {
            self.pending[index].rest = Some(rest);
        }
    }

    fn purge(&mut self) {
        let count = if self.random.percent(20) { 2 } else { 1 };
        let targets: Vec<Target> = (0..count).map(|_| self.target()).collect();
        let soft = self.random.percent(35);
        let door = match self.random.below(10) {
            0..4 => Door::Log,
            4..7 => Door::Post { refresh: self.random.percent(40) },
            _ => Door::Method,
        };
        let door = door.for_targets(&targets);
        self.note(format!("purge {} {targets:?} by {door:?}", if soft { "soft" } else { "hard" }));
        doors::purge(self.world, door, &targets, soft);
        self.tally.purged(door, soft, &targets);
        let flying = |pending: &Pending| {
            let fetch = &self.model.fetches[pending.fetch];
            targets.iter().any(|target| target.names(fetch))
        };
        self.tally.in_flight += self.pending.iter().filter(|pending| flying(pending)).count();
        let (began, returned, time) = (self.step, self.step, self.world.seconds());
        self.model.purges.push(Purge { began, returned, time, targets, soft, cause: None });
    }

    fn target(&mut self) -> Target {
        let resource = self.random.one_of(&self.resources).clone();
        let host = self.host.clone();
        match self.random.below(100) {
            0..4 => Target::Everything,
            4..10 => Target::Host(host),
            10..15 => Target::Host(resource.authority),
            15..20 => Target::Prefix(format!("{host}{}", self.random.one_of(&["/", "/a", "/a/"]))),
            20..25 => Target::Prefix(format!("{}/a", resource.authority)),
            25..32 => Target::Url(format!("{host}{}", resource.path)),
            32..58 => Target::Url(format!("{}{}", resource.authority, resource.path)),
            58..64 => {
                Target::Group { origin: format!("http://{}", resource.authority), name: GROUP.to_owned() }
            }
            _ => Target::Tag(self.random.one_of(&resource.tags).clone()),
        }
    }

    fn note(&mut self, what: String) {
        self.trace.push(format!("{:>3}  {what}", self.step));
    }

    /// The origin answers everything, as well as it can.
    fn answer_all(&mut self) {
        while let Some(pending) = self.pending.first() {
            match &pending.rest {
                Some(_) => self.answer(0),
                None if pending.request.method == "POST" => {
                    self.reply(0, Reply::Written { location: None, groups: false })
                }
                None => self.reply(0, Reply::Whole),
            }
        }
    }

    /// The origin answers everything; whoever still waits must get something.
    #[allow(clippy::disallowed_methods, reason = "a refresh has a thread of its own, and takes its time")]
    fn let_go(&mut self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.clients.is_empty() && self.pending.is_empty() {
                return Ok(());
            }
            self.step += 1;
            if self.pending.is_empty() {
                self.world.settle_surely();
            }
            self.answer_all();
            self.observe()?;
        }
        let waiting: Vec<usize> = self.clients.iter().map(|client| client.name).collect();
        Err(format!("clients {waiting:?} get no answer although the origin holds nothing back"))
    }
}
