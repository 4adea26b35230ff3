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
use crate::workloads::{Ask, Floor, Workload};

const WARM_UP: Duration = Duration::from_millis(250);
/// How many of the answers in a workload of hits may come from the origin after all, before it is called something else.
const TOLERANCE: f64 = 0.002;

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

/// A server that is ready for a workload.
struct Contestant {
    row: usize,
    addr: SocketAddr,
    pid: u32,
    /// A floor lives for its workload only.
    _floor: Option<Server>,
}

/// A workload with its contestants.
struct Event {
    template: Template,
    expected: Expected,
    contestants: Vec<Contestant>,
    results: Results,
}

/// Runs everything.
pub(crate) fn run(arguments: &Arguments, workloads: Vec<Workload>) -> io::Result<Vec<Results>> {
    let sizes: Vec<usize> = workloads.iter().map(|workload| workload.size).collect();
    let mut field = Field::open(arguments, &sizes)?;
    let mut numbers = Numbers::new();
    let mut events = Vec::new();
    for workload in workloads {
        eprintln!("preparing {}", workload.name);
        events.push(prepare(&mut field, arguments, workload, &mut numbers)?);
    }
    for round in 1..=arguments.rounds {
        for event in &mut events {
            eprint!("\rround {round} of {}: {:<12}", arguments.rounds, event.results.workload.name);
            event.round(arguments, field.origin(), &mut numbers);
        }
    }
    eprintln!();
    Ok(events.into_iter().map(|event| event.results).collect())
}

fn prepare(
    field: &mut Field<'_>,
    arguments: &Arguments,
    workload: Workload,
    numbers: &mut Numbers,
) -> io::Result<Event> {
    let etag = etag(field.origin(), &workload)?;
    let (path, fields) = workload.request(&etag);
    let template = Template::new(&server::request(&path, &fields));
    let (status, part) = workload.answer();
    let content = content(workload.size)[part].to_vec();
    let expected = Expected { status, length: content.len(), content: Some(content) };

    let mut contestants = Vec::new();
    let mut rows = Vec::new();
    let mut sample_answer = None;
    for name in field.peers(workload.house) {
        let origin = field.origin();
        let ready = field.server(&name, workload.house).and_then(|server| {
            fill(server.addr(), &workload, &template, &expected, numbers)?;
            check_source(server.addr(), origin, &workload, &template, &expected, numbers)?;
            sample_answer.get_or_insert(server.addr());
            Ok(Contestant { row: rows.len(), addr: server.addr(), pid: server.pid(), _floor: None })
        });
        let fault = ready.as_ref().err().map(ToString::to_string);
        contestants.extend(ready);
        rows.push(Row { name, samples: Vec::new(), fault });
    }
    if !arguments.no_floors {
        let (path, fields) = workload.request(&etag);
        let text =
            server::request(&path, &format!("{fields}Connection: close\r\n")).replace('#', "0000000000");
        for (name, floor) in floors(field, &workload, sample_answer, &text)? {
            let (addr, pid) = (floor.addr(), floor.pid());
            contestants.push(Contestant { row: rows.len(), addr, pid, _floor: Some(floor) });
            rows.push(Row { name, samples: Vec::new(), fault: None });
        }
    }
    let content = expected.content.filter(|_| arguments.verify);
    let expected = Expected { content, ..expected };
    Ok(Event { template, expected, contestants, results: Results { workload, rows } })
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
    request: &str,
) -> io::Result<Vec<(String, Server)>> {
    Ok(match workload.floor {
        Floor::None => Vec::new(),
        Floor::Proxy => vec![("hyper".to_owned(), field.proxy()?)],
        Floor::Answer => {
            let answer = server::ask(like.unwrap_or(field.origin()), request)?;
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

/// Asks for everything that is to be stored, and compares what comes.
fn fill(
    addr: SocketAddr,
    workload: &Workload,
    template: &Template,
    expected: &Expected,
    numbers: &mut Numbers,
) -> io::Result<()> {
    // Nothing is asked for twice at once: not every cache stores what is being fetched already.
    let connections = workload.fill.known.clamp(1, 16) as usize;
    let load = |pick| Load { addr, connections, rate: None, template, pick, expected };
    if workload.ask != Ask::Plain && workload.ask != Ask::Variant {
        // What is asked for with conditions or in part must have been fetched whole before.
        let template = Template::new(&server::request(workload.path, ""));
        let whole = content(workload.size);
        let expected = Expected { status: 200, length: whole.len(), content: Some(whole) };
        let whole =
            Load { template: &template, expected: &expected, ..load(Pick::Cycle(workload.fill.known)) };
        whole.times(numbers, workload.fill.known)?;
    }
    if workload.fill.known > 0 {
        load(Pick::Cycle(workload.fill.known)).times(numbers, workload.fill.known)?;
    }
    if workload.fill.fresh > 0 {
        load(Pick::Fresh).times(numbers, workload.fill.fresh)?;
    }
    Ok(())
}

/// A cache that asks the origin for what it should have is no contestant: a miss is no hit.
fn check_source(
    addr: SocketAddr,
    origin: SocketAddr,
    workload: &Workload,
    template: &Template,
    expected: &Expected,
    numbers: &mut Numbers,
) -> io::Result<()> {
    let requests = (CHECKED / workload.size as u64).clamp(50, 2000);
    let before = count(origin)?;
    let load = Load { addr, connections: 16, rate: None, template, pick: workload.pick, expected };
    load.times(numbers, requests)?;
    // The last count counted itself.
    judge_source(workload, (count(origin)? - before - 1) as f64 / requests as f64)
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
        let Self { template, expected, contestants, results } = self;
        let Results { workload, rows } = results;
        contestants.retain(|contestant| {
            let load = Load {
                addr: contestant.addr,
                connections: workload.connections,
                rate: workload.paced.then_some(arguments.rate),
                template,
                pick: workload.pick,
                expected,
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
