//! The process as a whole: started by a shell, typed at, and ended by a signal.

// Clippy lets these pass in test functions, but not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unreachable_pub)] // Public to the tests.
pub mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use support::*;

/// How long a process may take to say something, or to end: less than the default of `drain_timeout`.
const LONG: Duration = Duration::from_secs(20);

/// Killed when dropped, should it still run.
struct Larder {
    process: Child,
    output: BufReader<ChildStdout>,
    log: Receiver<String>,
}

impl Larder {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With variables in its environment.
    fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(arguments)
            .env_remove("LARDER_TOKEN")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let log = lines(process.stderr.take().unwrap());
        Self { process, output, log }
    }

    /// Waits for a line of the process log that has all of this.
    fn logs(&self, parts: &[&str]) -> String {
        loop {
            let line = self.log.recv_timeout(LONG).unwrap_or_else(|_| panic!("no line has {parts:?}"));
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// The address that such a line tells.
    fn address(&self, what: &str) -> SocketAddr {
        let line = self.logs(&[what, "addr="]);
        line.rsplit_once("addr=").unwrap().1.trim().parse().unwrap()
    }

    /// The same from a process log in JSON.
    fn json_address(&self, what: &str) -> SocketAddr {
        let line = self.logs(&[what, "\"addr\""]);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["addr"].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for the end, and kills what does not end; how it ended, and what it wrote to standard output since.
    fn end(mut self) -> (ExitStatus, String) {
        let overdue = self.kill_later();
        let mut output = String::new();
        self.output.read_to_string(&mut output).unwrap();
        let status = self.process.wait().unwrap();
        drop(overdue);
        (status, output)
    }

    /// The same without reading its output.
    fn end_unread(mut self) -> ExitStatus {
        let _overdue = self.kill_later();
        self.process.wait().unwrap()
    }

    /// Kills the process if what is returned is not dropped in time.
    fn kill_later(&self) -> Sender<()> {
        let process = Pid::from_child(&self.process);
        let (ended, ending) = channel();
        thread::spawn(move || {
            if ending.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(process, Signal::KILL);
            }
        });
        ended
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lines that are read ahead of a test; then nobody reads.
const AHEAD: usize = 64;

/// Reads in a thread, so that a test can wait for a line, but not for ever.
fn lines(stream: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = sync_channel(AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// `[server]` and `[log]` as given, free ports, one origin.
fn configured(directory: &Path, origin: &Origin, server: &str, log: &str) -> String {
    let file = directory.join("larder.toml");
    let text = format!(
        "[server]\nlisten = '127.0.0.1:0'\n{server}\n[admin]\nlisten = '127.0.0.1:0'\n[log]\n{log}\n\
         [[upstream]]\nservers = 'http://{}'\n",
        origin.addr()
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn two_flags_are_enough() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let origin_url = format!("http://{}", origin.addr());
    let larder = Larder::start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        &origin_url,
        "--admin",
        "127.0.0.1:0",
    ]);
    let client = Client::to(larder.address("serving"));
    assert_eq!((client.get("/a").text(), client.get("/a").text()), ("hello".to_owned(), "hello".to_owned()));
    origin.was_asked("/a", 1);
    larder.signal(Signal::INT);
    assert!(larder.end().0.success());
}

#[test]
fn the_allocator_takes_what_it_is_told() {
    let mut larder = Command::new(env!("CARGO_BIN_EXE_larder"));
    let told =
        larder.arg("--version").env("_RJEM_MALLOC_CONF", "stats_print:true,stats_print_opts:J").output();
    let told: Value = serde_json::from_slice(&told.unwrap().stderr).unwrap();
    let options = &told["jemalloc"]["opt"];
    assert_eq!((&options["dirty_decay_ms"], &options["tcache_nslots_small_min"]), (&json!(50), &json!(128)));
    let arenas = &told["jemalloc"]["arenas"];
    let pages = |size: u64| {
        let bin = arenas["bin"].as_array().unwrap().iter().find(|bin| bin["size"] == size).unwrap();
        bin["slab_size"].as_u64().unwrap() / arenas["page"].as_u64().unwrap()
    };
    assert_eq!([512, 1024, 2048, 4096].map(pages), [4; 4]);
}

#[test]
fn sigterm_lets_open_requests_end_and_writes_the_log_to_its_end() {
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/a").respond(pieces("one,", [(&gate, "two")]).cache("no-store"));
    origin.on("/b").respond(ok("b").cache("max-age=60"));
    let directory = tempfile::tempdir().unwrap();
    let file = configured(directory.path(), &origin, "", "access = 'json'");
    let larder = Larder::start(&["serve", "--config", &file]);
    let client = Client::to(larder.address("serving"));
    let admin = Client::to(larder.address("admin"));
    for _ in 0..200 {
        client.get("/b");
    }
    let mut open = client.asks("/a").begin();
    open.wait_for_content("one,");

    larder.signal(Signal::TERM);
    larder.logs(&["draining"]);
    let mut asked = (0..1000).map(|_| admin.asks("/readyz").host("localhost").send().status);
    assert!(asked.any(|status| status == 503), "it stays ready");
    gate.open();
    assert_eq!(open.finish().text(), "one,two");
    let (status, output) = larder.end();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect();
    assert_eq!(lines.len(), 201);
    let last = lines.iter().find(|line| line["target"] == "/a").expect("the last one to end");
    assert_eq!(last["bytes"], 7);
}

#[test]
fn sigterm_ends_within_its_bound_and_says_what_it_cut() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("some").chunked().then_hangs());
    let directory = tempfile::tempdir().unwrap();
    let file = configured(directory.path(), &origin, "drain_timeout = '200ms'", "access = 'text'");
    let larder = Larder::start(&["serve", "--config", &file]);
    let client = Client::to(larder.address("serving"));
    let mut open = client.asks("/a").begin();
    open.wait_for_content("some");
    larder.signal(Signal::TERM);
    larder.logs(&["cut", "drain_timeout"]);
    assert!(open.finish().end.is_err());
    let (status, output) = larder.end();
    assert_eq!(status.code(), Some(0), "it was killed for waiting too long");
    assert!(output.contains("\"GET /a HTTP/1.1\" 200 4 ") && output.contains(" aborted "), "{output}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("some").chunked().then_hangs());
    let directory = tempfile::tempdir().unwrap();
    let mut larder = Larder::start(&["serve", "--config", &configured(directory.path(), &origin, "", "")]);
    let mut open = Client::to(larder.address("serving")).asks("/a").begin();
    open.wait_for_content("some");
    larder.signal(Signal::TERM);
    larder.logs(&["draining"]);
    let pause = Duration::from_millis(5);
    let ended = (0..1000).find_map(|_| {
        larder.signal(Signal::TERM);
        thread::sleep(pause);
        larder.process.try_wait().unwrap()
    });
    assert_eq!(ended.expect("it goes on draining").code(), Some(1));
}

/// Nobody reads the pipe that the access log goes to: requests do not wait for it, nor does the end.
#[test]
fn a_stuck_access_log_loses_lines_and_nothing_else() {
    let origin = Origin::start();
    origin.on("/a").respond(ok("hello").cache("max-age=60"));
    let directory = tempfile::tempdir().unwrap();
    let log = "access = 'json'\nformat = 'json'\nfilter = 'larder=info'";
    let larder = Larder::start(&["serve", "--config", &configured(directory.path(), &origin, "", log)]);
    let client = Client::to(larder.json_address("serving"));
    let admin = Client::to(larder.json_address("admin"));
    let agent = "a".repeat(500);
    let mut connection = client.connect();
    // More than the pipe, the batch under way and the queue hold.
    for _ in 0..3500 {
        let (answered, kept) =
            client.asks("/a").field("User-Agent", &agent).begin_on(connection).finish_and_keep();
        assert_eq!(answered.text(), "hello");
        connection = kept;
    }
    let metrics = admin.asks("/metrics").host("localhost").send().text();
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("larder_dropped_log_lines_total "));
    assert!(dropped.unwrap().parse::<f64>().unwrap() > 0.0, "{dropped:?}");
    larder.signal(Signal::TERM);
    larder.logs(&["stuck"]);
    assert_eq!(larder.end_unread().code(), Some(0));
}

/// The process log waits for its reader, and nobody else does.
#[test]
fn a_process_log_that_nobody_reads_stops_no_purge() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let larder = Larder::start(&[
        "serve",
        "--config",
        &configured(directory.path(), &origin, "[purge]\nallow = ['127.0.0.1']", ""),
    ]);
    let client = Client::to(larder.address("serving"));
    let mut connection = client.connect();
    // Several times what the pipe holds.
    for _ in 0..2000 {
        let (answered, kept) = client.ask("PURGE", "/a").begin_on(connection).finish_and_keep();
        assert_eq!(answered.status, 200);
        connection = kept;
    }
    larder.signal(Signal::TERM);
    larder.logs(&["draining"]);
    assert_eq!(larder.end_unread().code(), Some(0));
}

/// What listens has been told what a signal means.
#[test]
fn sigterm_is_obeyed_from_the_first_connection_on() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let larder = Larder::start(&["serve", "--config", &configured(directory.path(), &origin, "", "")]);
        larder.address("serving");
        larder.signal(Signal::TERM);
        assert_eq!(larder.end_unread().code(), Some(0));
    }
}

/// Who, what, how many, and under which number; and what was tried in vain.
#[test]
fn every_purge_leaves_a_line_in_the_log() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Cache-Tag", "t"));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tokens"), format!("deploy {TOKEN}\n")).unwrap();
    let purge = "[purge]\nallow = ['127.0.0.1']\ntoken_file = 'tokens'";
    let file = configured(directory.path(), &origin, purge, "format = 'json'");
    let larder = Larder::start(&["serve", "--config", &file]);
    let (client, admin) =
        (Client::to(larder.json_address("serving")), Client::to(larder.json_address("admin")));
    let line = |parts: &[&str]| -> serde_json::Value {
        let line = larder.logs(parts);
        assert!(!line.contains(TOKEN), "the token shows: {line}");
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(client.ask("PURGE", "/a").send().status, 200);
    let by_address = line(&["larder::purge", "\"purged\""]);
    assert_eq!((&by_address["sequence"], &by_address["soft"]), (&1.into(), &false.into()));
    assert_eq!((&by_address["by"], &by_address["entries"]), (&"127.0.0.1".into(), &1.into()));
    assert_eq!(by_address["targets"], "url \"example.com/a\"");

    let post = |token: &str| {
        let ask = admin.ask("POST", "/purge").host("localhost").field("Content-Type", "application/json");
        let ask = ask.field("Authorization", format!("Bearer {token}"));
        let tags: Vec<String> = (0..12).map(|number| format!("\"t{number}\\nx\"")).collect();
        ask.content(format!("{{\"tags\":[{}],\"soft\":true}}", tags.join(","))).send().status
    };
    assert_eq!((post("fedcba9876543210"), post(TOKEN)), (401, 200));
    assert_eq!(line(&["larder::purge", "a wrong token"])["peer"], "127.0.0.1");
    let by_token = line(&["larder::purge", "\"purged\""]);
    assert_eq!((&by_token["by"], &by_token["soft"]), (&"deploy at 127.0.0.1".into(), &true.into()));
    let targets = by_token["targets"].as_str().unwrap();
    assert!(
        targets.starts_with(r#"tag "t0\nx", tag "t1\nx""#) && targets.ends_with(" and 2 more"),
        "{targets}"
    );
}

#[test]
fn an_admin_listener_in_the_open_needs_a_token() {
    let open = ["serve", "--listen", "127.0.0.1:0", "--origin", "http://127.0.0.1:1", "--admin", "0.0.0.0:0"];
    let refused = Larder::start(&open);
    refused.logs(&["--admin: 0.0.0.0:0 can be reached from outside"]);
    refused.logs(&["LARDER_TOKEN"]);
    assert_eq!(refused.end().0.code(), Some(1));
    let short = Larder::start_with(&open, &[("LARDER_TOKEN", "short")]);
    short.logs(&["LARDER_TOKEN: a token of 5 characters can be guessed"]);
    assert_eq!(short.end().0.code(), Some(1));
    let larder = Larder::start_with(&open, &[("LARDER_TOKEN", "0123456789abcdef")]);
    let admin = Client::to(([127, 0, 0, 1], larder.address("admin").port()).into());
    let stats = || admin.asks("/api/stats").host("localhost");
    assert_eq!(stats().send().status, 401);
    assert_eq!(stats().field("Authorization", "Bearer 0123456789abcdef").send().status, 200);
    larder.signal(Signal::TERM);
    assert!(larder.end().0.success());
}

/// Types what the demo prints, as a reader would.
#[test]
fn the_demo_keeps_what_it_promises() {
    let mut larder = Larder::start(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let (mut commands, mut change) = (Vec::new(), String::new());
    let mut line = String::new();
    while larder.output.read_line(&mut line).unwrap() > 0 && !line.contains("Ctrl-C") {
        if let Some((_, command)) =
            line.trim_end().split_at_checked(4).filter(|(number, _)| is_number(number))
        {
            commands.push(command.to_owned());
        }
        if let Some((_, command)) = line.split_once(": curl -X PUT") {
            change = format!("curl -X PUT{command}");
        }
        line.clear();
    }
    assert_eq!(commands.len(), 5, "{commands:?}");

    let first = typed(&commands[0]);
    assert!(first.contains("fwd=uri-miss") && first.contains("; stored"), "{first}");
    let second = typed(&commands[0]);
    assert!(second.contains("cache-status: larder; hit; ttl="), "{second}");
    let crowd = typed(&commands[1]);
    assert!(crowd.trim().starts_with("50 ") && crowd.lines().count() == 1, "one number for all: {crowd}");
    let failing = typed(&commands[2]);
    assert!(failing.contains("fwd=stale; fwd-status=503; ttl=-"), "{failing}");
    assert!(failing.contains("HTTP/1.1 200") && failing.trim().ends_with("{\"mood\":\"fine\"}"), "{failing}");
    let purged = typed(&commands[3]);
    // What made /flaky fail was a change, and has a number as well.
    assert!(purged.contains("\"sequence\":2") && purged.contains("\"entries\":1"), "{purged}");
    assert!(typed(&commands[0]).contains("fwd=uri-miss"));
    assert!(typed(&change).contains("\"price_cents\":990"));
    let changed = typed(&commands[0]);
    assert!(changed.contains("\"price_cents\":990") && changed.contains("etag: \"42-1\""), "{changed}");
    // On a machine so busy that the first of a crowd has its answer before the next one starts, nobody waits for anybody.
    // Then another crowd is sent for another order.
    for order in 8..18 {
        if typed(&commands[4]).contains("outcome=\"collapsed\"") {
            break;
        }
        typed(&commands[1].replace("/orders/7", &format!("/orders/{order}")));
    }
    let figures = typed(&commands[4]);
    for figure in ["outcome=\"hit\"", "outcome=\"collapsed\"", "outcome=\"stale\"", "result=\"5xx\""] {
        assert!(figures.contains(figure), "no {figure} in {figures}");
    }
    larder.signal(Signal::INT);
    assert!(larder.end().0.success());
}

fn is_number(column: &str) -> bool {
    column.trim().parse::<u8>().is_ok()
}

fn typed(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
