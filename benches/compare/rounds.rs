//! Every server has every workload once in every round: what else the machine does meanwhile hits all alike.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::client::Expected;
use crate::field::{Field, content, count};
use crate::latency::Percentiles;
use crate::load::Load;
use crate::report::FLOORS;
use crate::requests::{Numbers, Pick, Template};
use crate::server::{self, Server};
use crate::tree;
use crate::workloads::{self, Ask, Floor, Workload};

const WARM_UP: Duration = Duration::from_millis(250);
/// How many of the answers in a workload of hits may come from the origin after all, before it is called something else.
const TOLERANCE: f64 = 0.002;

/// Whose figure for a workload is held against another one of it.
const LARDER: &str = "larder";

/// Content that it could be of use to send from a file, in bytes.
const LONG: usize = 64 * 1024;

/// How much content is asked for to find that out, in bytes.
const CHECKED: u64 = 64 << 20;

/// One server's figures for one workload in one round.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Requests per second.
    pub(crate) rate: f64,
    /// CPU time of the whole process tree per request, in microseconds.
    pub(crate) cpu: f64,
    pub(crate) latency: Percentiles,
    /// Requests that reached the origin, per request.
    pub(crate) to_origin: f64,
    /// Of the whole process tree, in bytes, shared pages counted once.
    pub(crate) memory: f64,
}

/// All that was found for one workload.
pub(crate) struct Results {
    pub(crate) workload: Workload,
    pub(crate) rows: Vec<Row>,
}

/// All that was found for one server in one workload.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
    /// Why it has no part in this workload, or no longer.
    pub(crate) fault: Option<String>,
}

/// A workload, ready to be asked for.
struct Task {
    workload: Workload,
    template: Template,
    expected: Expected,
}

/// A server that is ready for a workload.
struct Contestant {
    row: usize,
    /// Has to do what the workload is held against, instead of the workload.
    is_beside: bool,
    addr: SocketAddr,
    pid: u32,
    /// A floor lives for its workload only.
    _floor: Option<Server>,
}

/// A workload with its contestants.
struct Event {
    task: Task,
    /// What it is held against, if that is another workload.
    beside: Option<Task>,
    contestants: Vec<Contestant>,
    rows: Vec<Row>,
}

/// Runs everything, from the start as often as is asked for.
pub(crate) fn run(arguments: &Arguments, workloads: &[Workload]) -> io::Result<Vec<Results>> {
    let mut numbers = Numbers::new();
    let mut all = from_the_start(arguments, workloads, &mut numbers)?;
    for start in 2..=arguments.starts {
        eprintln!("start {start} of {}", arguments.starts);
        let further = from_the_start(arguments, workloads, &mut numbers)?;
        for (results, further) in all.iter_mut().zip(further) {
            results.rows.iter_mut().zip(further.rows).for_each(|(row, further)| row.extend(further));
        }
    }
    Ok(all)
}

fn from_the_start(
    arguments: &Arguments,
    workloads: &[Workload],
    numbers: &mut Numbers,
) -> io::Result<Vec<Results>> {
    let sizes: Vec<usize> = workloads.iter().map(|workload| workload.size).collect();
    let mut field = Field::open(arguments, &sizes)?;
    let mut events = Vec::new();
    for workload in workloads {
        eprintln!("preparing {}", workload.name);
        events.push(prepare(&mut field, arguments, workload.clone(), numbers)?);
    }
    for round in 1..=arguments.rounds {
        for event in &mut events {
            eprint!("\rround {round} of {}: {:<12}", arguments.rounds, event.task.workload.name);
            event.round(arguments, field.origin(), numbers);
        }
    }
    eprintln!();
    Ok(events.into_iter().map(|event| Results { workload: event.task.workload, rows: event.rows }).collect())
}

impl Row {
    /// Adds the same row's of a later start. After a fault nothing counts: rounds of rows would no longer be the same ones.
    fn extend(&mut self, later: Self) {
        if self.fault.is_none() {
            self.samples.extend(later.samples);
            self.fault = later.fault;
        }
    }
}

fn prepare(
    field: &mut Field<'_>,
    arguments: &Arguments,
    workload: Workload,
    numbers: &mut Numbers,
) -> io::Result<Event> {
    let mut task = Task::new(field.origin(), workload)?;
    let house = task.workload.house;
    let beside = task.workload.beside.and_then(workloads::named);
    let mut beside = beside.map(|workload| Task::new(field.origin(), workload)).transpose()?;

    let mut contestants = Vec::new();
    let mut rows = Vec::new();
    let mut sample_answer = None;
    let turns = field.peers(house).into_iter().flat_map(|name| {
        let again = (name == LARDER && beside.is_some()).then(|| (name.clone(), true));
        [Some((name, false)), again].into_iter().flatten()
    });
    for (name, is_beside) in turns {
        let task = beside.as_ref().filter(|_| is_beside).unwrap_or(&task);
        let origin = field.origin();
        let ready = field.server(&name, task.workload.house).and_then(|server| {
            task.fill(server.addr(), numbers)?;
            task.check_source(server.addr(), origin, numbers)?;
            sample_answer.get_or_insert(server.addr());
            let (row, addr, pid) = (rows.len(), server.addr(), server.pid());
            Ok(Contestant { row, is_beside, addr, pid, _floor: None })
        });
        let fault = ready.as_ref().err().map(ToString::to_string);
        contestants.extend(ready);
        let name = if is_beside { name_beside(task.workload.name) } else { name };
        rows.push(Row { name, samples: Vec::new(), fault });
    }
    if !arguments.no_floors {
        for (name, floor) in floors(field, &task.workload, sample_answer)? {
            let (row, addr, pid) = (rows.len(), floor.addr(), floor.pid());
            contestants.push(Contestant { row, is_beside: false, addr, pid, _floor: Some(floor) });
            rows.push(Row { name, samples: Vec::new(), fault: None });
        }
    }
    for task in [Some(&mut task), beside.as_mut()].into_iter().flatten() {
        task.expected.content.take_if(|_| !arguments.verify);
    }
    Ok(Event { task, beside, contestants, rows })
}

/// The name of Larder's row for what a workload is held against.
pub(crate) fn name_beside(workload: &str) -> String {
    format!("{LARDER}, {workload}")
}

/// The validator that the origin gives, and all caches pass on.
fn etag(origin: SocketAddr, workload: &Workload) -> io::Result<String> {
    let path = workload.path.replace('#', "0000000000");
    let answer = server::ask(origin, &server::request(&path, "Connection: close\r\n"))?;
    let answer = String::from_utf8_lossy(&answer);
    let etag = answer.lines().find_map(|line| line.strip_prefix("ETag: "));
    etag.map(str::to_owned).ok_or_else(|| io::Error::other(format!("the origin gives no ETag for {path}")))
}

/// The servers that it can be compared with at the least, answering as a cache has just answered.
fn floors(
    field: &Field<'_>,
    workload: &Workload,
    like: Option<SocketAddr>,
) -> io::Result<Vec<(String, Server)>> {
    Ok(match workload.floor {
        Floor::None => Vec::new(),
        Floor::Proxy => vec![("hyper".to_owned(), field.proxy()?)],
        Floor::Answer => {
            let (path, fields) = workload.request(&etag(field.origin(), workload)?);
            let request = server::request(&path, &format!("{fields}Connection: close\r\n"));
            let answer = server::ask(like.unwrap_or(field.origin()), &request.replace('#', "0000000000"))?;
            let copies = workload.fill.known.max(1);
            // The answer on a connection that goes on differs by this one field.
            let answer = without_field(&answer, b"connection: close\r\n");
            let names = FLOORS.into_iter().filter(|name| *name != "sendfile" || workload.size >= LONG);
            let floor = |name: &str| Ok((name.to_owned(), field.floor(name, answer.clone(), copies)?));
            names.map(floor).collect::<io::Result<_>>()?
        }
    })
}

fn without_field(answer: &[u8], field: &[u8]) -> Vec<u8> {
    let at = answer.windows(field.len()).position(|bytes| bytes.eq_ignore_ascii_case(field));
    at.map_or(answer.to_vec(), |at| [&answer[..at], &answer[at + field.len()..]].concat())
}

impl Task {
    fn new(origin: SocketAddr, workload: Workload) -> io::Result<Self> {
        let (path, fields) = workload.request(&etag(origin, &workload)?);
        let template = Template::new(&server::request(&path, &fields));
        let (status, part) = workload.answer();
        let content = content(workload.size)[part].to_vec();
        let expected = Expected { status, length: content.len(), content: Some(content) };
        Ok(Self { workload, template, expected })
    }

    fn load(&self, addr: SocketAddr, connections: usize, pick: Pick) -> Load<'_> {
        Load { addr, connections, rate: None, template: &self.template, pick, expected: &self.expected }
    }

    /// Asks for everything that is to be stored, and compares what comes.
    fn fill(&self, addr: SocketAddr, numbers: &mut Numbers) -> io::Result<()> {
        let Self { workload, .. } = self;
        // Nothing is asked for twice at once: not every cache stores what is being fetched already.
        let connections = workload.fill.known.clamp(1, 16) as usize;
        let known = self.load(addr, connections, Pick::Cycle(workload.fill.known));
        if workload.ask != Ask::Plain && workload.ask != Ask::Variant {
            // What is asked for with conditions or in part must have been fetched whole before.
            let template = Template::new(&server::request(workload.path, ""));
            let whole = content(workload.size);
            let expected = Expected { status: 200, length: whole.len(), content: Some(whole) };
            let whole = Load { template: &template, expected: &expected, ..known };
            whole.times(numbers, workload.fill.known)?;
        }
        if workload.fill.known > 0 {
            known.times(numbers, workload.fill.known)?;
        }
        if workload.fill.fresh > 0 {
            self.load(addr, connections, Pick::Fresh).times(numbers, workload.fill.fresh)?;
        }
        Ok(())
    }

    /// A cache that asks the origin for what it should have is no contestant: a miss is no hit.
    fn check_source(&self, addr: SocketAddr, origin: SocketAddr, numbers: &mut Numbers) -> io::Result<()> {
        let requests = (CHECKED / self.workload.size as u64).clamp(50, 2000);
        let before = count(origin)?;
        self.load(addr, 16, self.workload.pick).times(numbers, requests)?;
        // The last count counted itself.
        judge_source(&self.workload, (count(origin)? - before - 1) as f64 / requests as f64)
    }
}

fn judge_source(workload: &Workload, share: f64) -> io::Result<()> {
    if workload.to_origin == 0.0 && share > TOLERANCE {
        return Err(io::Error::other(format!("{:.1}% of its answers come from the origin", share * 100.0)));
    }
    Ok(())
}

impl Event {
    /// One round; whoever fails has had its last.
    fn round(&mut self, arguments: &Arguments, origin: SocketAddr, numbers: &mut Numbers) {
        let Self { task, beside, contestants, rows } = self;
        contestants.retain(|contestant| {
            let task = beside.as_ref().filter(|_| contestant.is_beside).unwrap_or(task);
            let workload = &task.workload;
            let load = Load {
                rate: workload.paced.then_some(arguments.rate),
                ..task.load(contestant.addr, workload.connections, workload.pick)
            };
            let row = &mut rows[contestant.row];
            let sample = sample(&load, contestant.pid, origin, arguments.seconds, numbers);
            match sample.and_then(|sample| judge_source(workload, sample.to_origin).map(|()| sample)) {
                Ok(sample) => row.samples.push(sample),
                Err(error) => row.fault = Some(error.to_string()),
            }
            row.fault.is_none()
        });
        // Each comes first, and last, in as many rounds as the others.
        let next = contestants.len().min(1);
        contestants.rotate_left(next);
    }
}

fn sample(
    load: &Load<'_>,
    pid: u32,
    origin: SocketAddr,
    time: Duration,
    numbers: &mut Numbers,
) -> io::Result<Sample> {
    let run = load.run(numbers, WARM_UP, time, || Ok((tree::cpu(pid), count(origin)?)))?;
    if run.requests == 0 {
        return Err(io::Error::other("nothing was answered in a round's time"));
    }
    let requests = run.requests as f64;
    Ok(Sample {
        rate: requests / run.time.as_secs_f64(),
        cpu: run.after.0.saturating_sub(run.before.0).as_secs_f64() * 1e6 / requests,
        latency: run.latency,
        to_origin: (run.after.1 - run.before.1 - 1) as f64 / requests,
        memory: tree::memory(pid)?.proportional as f64,
    })
}
