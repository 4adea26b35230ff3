//! `scripts/bench --memory`: what an object costs in memory, all told; what an idle server holds; how long it takes
//! from exec to the first answer.

use std::io;
use std::thread;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::client::Expected;
use crate::field::{Field, content, count};
use crate::load::Load;
use crate::report::{median, table};
use crate::requests::{Numbers, Pick, Template};
use crate::server;
use crate::tree;
use crate::workloads::House;

/// Contents, in bytes.
const SIZES: [usize; 2] = [256, 1000];
/// More than a million objects need anywhere but in Squid; the most that HAProxy takes.
const HOUSE: House = House { name: "memory", memory_mib: 4000, log: false };
const STARTS: usize = 11;
/// How long a server is left alone before it is called idle.
const CALM: Duration = Duration::from_secs(1);
/// How many of the objects are asked for again, to know how many are still there.
const ASKED_AGAIN: u64 = 20_000;

/// Measures and prints. Without `--peers`: Larder and Varnish.
pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let field = Field::open(arguments, &SIZES)?;
    let mut idle =
        vec![["server", "first answer ms", "idle RSS MiB", "idle PSS MiB"].map(str::to_owned).to_vec()];
    let mut objects =
        vec![["server", "content", "bytes per object", "stored", "PSS MiB"].map(str::to_owned).to_vec()];
    for name in field.peers(HOUSE) {
        eprintln!("{name}: starting");
        idle.push(start(&field, &name)?);
        for size in SIZES {
            eprintln!("{name}: storing {} objects of {size} bytes", arguments.objects);
            objects.push(store(&field, &name, size, arguments.objects)?);
        }
    }
    println!("From exec to the first answered request (median of {STARTS}); memory {CALM:?} later\n");
    table(&idle);
    println!(
        "\nMemory for {} objects, over what the server held before, per object still stored\n",
        arguments.objects
    );
    table(&objects);
    Ok(())
}

fn start(field: &Field<'_>, name: &str) -> io::Result<Vec<String>> {
    let mut times = Vec::new();
    let mut memory = None;
    for _ in 0..STARTS {
        let mut server = field.spawn(name, House { memory_mib: 256, ..HOUSE })?;
        server.wait(Duration::from_micros(200))?;
        times.push(server.age().as_secs_f64() * 1e3);
        if memory.is_none() {
            thread::sleep(CALM);
            memory = Some(tree::memory(server.pid())?);
        }
    }
    let (resident, proportional) = memory.map_or((0, 0), |memory| (memory.resident, memory.proportional));
    Ok(vec![name.to_owned(), format!("{:.1}", median(times)), mib(resident), mib(proportional)])
}

fn store(field: &Field<'_>, name: &str, size: usize, objects: u64) -> io::Result<Vec<String>> {
    let mut server = field.spawn(name, HOUSE)?;
    server.wait(Duration::from_millis(20))?;
    thread::sleep(CALM);
    let before = tree::memory(server.pid())?.proportional;

    let template = Template::new(&server::request(&format!("/plain/{size}/#"), ""));
    let expected = Expected { status: 200, length: size, content: Some(content(size)) };
    let load = |connections, pick| Load {
        addr: server.addr(),
        connections,
        rate: None,
        template: &template,
        pick,
        expected: &expected,
    };
    let mut numbers = Numbers::new();
    load(64, Pick::Cycle(objects)).times(&mut numbers, objects)?;
    thread::sleep(CALM);
    let after = tree::memory(server.pid())?.proportional;

    let fetched = count(field.origin())?;
    load(1, Pick::Uniform(objects)).times(&mut numbers, ASKED_AGAIN)?;
    let missing = (count(field.origin())? - fetched - 1) as f64 / ASKED_AGAIN as f64;
    let stored = 1.0 - missing.min(1.0);
    let bytes = after.saturating_sub(before) as f64 / (objects as f64 * stored);
    Ok(vec![
        name.to_owned(),
        size.to_string(),
        format!("{bytes:.0}"),
        format!("{:.1}%", stored * 100.0),
        mib(after),
    ])
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
