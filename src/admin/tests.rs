//! The admin listener through sockets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::store::Budget;
use crate::telemetry::exposition;

/// A listener under test; ends when `stop` is dropped.
struct Listener {
    addr: SocketAddr,
    ready: Arc<AtomicBool>,
    telemetry: Arc<Telemetry>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn listener(role: Role) -> Listener {
    let config = "[admin]\nhosts = 'admin.example'\n[[upstream]]\nservers = 'http://127.0.0.1:1'";
    let config = Config::from_str("test", config).unwrap();
    let (clock, log) = (Clock::system(), Log::new());
    let telemetry = Telemetry::quiet();
    let ready = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&ready);
    let ready_now: Ready = Arc::new(move || match asked.load(Ordering::SeqCst) {
        true => Ok(()),
        false => Err("draining".to_owned()),
    });
    let store = Store::new(&config.cache, Budget::new(1 << 20), clock.clone());
    let parts = Parts {
        ready: ready_now,
        refresh: Arc::new(|_, _| ()),
        telemetry: Arc::clone(&telemetry),
        purger: Purger::new(&config.purge, log.clone(), store.clone(), clock.clone()).unwrap(),
        store,
        log,
        clock,
    };
    let admin = Admin::new(&config, parts);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(socket, admin, role, async {
        let _ = stopped.await;
    }));
    Listener { addr, ready, telemetry, stop, task }
}

struct Received {
    status: u16,
    head: String,
    body: String,
}

impl Listener {
    /// Sends a request with these further fields and reads the answer to the end of the connection.
    async fn send(&self, method: &str, target: &str, host: &str, fields: &str) -> Received {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Received { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, target: &str) -> Received {
        self.send("GET", target, "localhost:8081", "").await
    }
}

#[tokio::test]
async fn health_and_readiness() {
    let listener = listener(Role::Full).await;
    let health = listener.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert!(health.head.contains("cache-control: no-store"), "{}", health.head);

    assert_eq!(listener.get("/readyz").await.status, 200);
    listener.ready.store(false, Ordering::SeqCst);
    let ready = listener.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: draining\n"));
    assert_eq!(listener.get("/healthz").await.status, 200, "not ready is still healthy");
}

#[tokio::test]
async fn metrics_are_read_at_each_scrape() {
    let listener = listener(Role::Full).await;
    for panics in 0..3 {
        let answer = listener.get("/metrics?name=ignored").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        let families = exposition::parse(&answer.body);
        assert_eq!(families["larder_panics"].value("larder_panics_total", &[]), Some(f64::from(panics)));
        listener.telemetry.metrics().panic();
    }
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3\r\n";
    let answer = listener.send("GET", "/metrics", "localhost", accept).await;
    assert!(
        answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn head_has_the_length_but_no_content() {
    let listener = listener(Role::Full).await;
    let answer = listener.send("HEAD", "/healthz", "localhost", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("content-length: 3"), "{}", answer.head);
}

#[tokio::test]
async fn what_is_not_offered_is_a_problem() {
    let listener = listener(Role::Full).await;
    let table = [
        ("GET", "/", "localhost", "", 404, "unknown-path"),
        ("GET", "/healthz/", "localhost", "", 404, "unknown-path"),
        ("POST", "/purge", "localhost", "", 415, "content-type"),
        ("GET", "/purge", "localhost", "", 405, "method"),
        ("POST", "/api/purges", "localhost", "", 405, "method"),
        ("POST", "/metrics", "localhost", "", 405, "method"),
        ("OPTIONS", "/metrics", "localhost", "", 405, "method"),
        ("GET", "/metrics", "rebound.example", "", 403, "foreign-host"),
        ("POST", "/purge", "rebound.example", "", 403, "foreign-host"),
        ("POST", "/purge", "localhost", "Origin: https://evil.example\r\n", 403, "foreign-origin"),
        ("OPTIONS", "/metrics", "localhost", "Origin: https://evil.example\r\n", 403, "foreign-origin"),
        ("GET", "/metrics", "a b", "", 400, "host"),
    ];
    for (method, target, host, fields, status, reason) in table {
        let answer = listener.send(method, target, host, fields).await;
        let case = format!("{method} {target} {host} {fields}");
        assert_eq!(answer.status, status, "{case}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{case}");
        assert!(!answer.head.contains("access-control"), "{case}");
        assert_eq!(answer.head.contains("\r\nallow: "), status == 405, "{case}");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).expect(&case);
        assert_eq!(problem["status"], status, "{case}");
        assert_eq!(problem["reason"], reason, "{case}");
    }
}

#[tokio::test]
async fn probes_may_use_any_name() {
    let probe = listener(Role::Probe).await;
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(probe.send("GET", target, "10.1.2.3:9090", "").await.status, 200, "{target}");
    }
    assert_eq!(probe.send("GET", "/", "10.1.2.3:9090", "").await.status, 404);
    let full = listener(Role::Full).await;
    assert_eq!(full.send("GET", "/healthz", "10.1.2.3:9090", "").await.status, 403);
    assert_eq!(full.send("GET", "/healthz", "admin.example", "").await.status, 200);
}

/// Time is the runtime's, which jumps to the next timer when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_head_is_cut() {
    let listener = listener(Role::Full).await;
    let mut stream = TcpStream::connect(listener.addr).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.unwrap();
    let mut answer = Vec::new();
    let cut = timeout(Duration::from_secs(11), stream.read_to_end(&mut answer)).await;
    assert!(cut.is_ok(), "still open after the header timeout");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_place() {
    let listener = listener(Role::Full).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(listener.addr).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        idle.push(stream);
    }
    let waiting = listener.get("/healthz");
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err(), "served beyond the cap");
    idle.pop();
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn the_end_does_not_wait_for_idle_clients() {
    let listener = listener(Role::Full).await;
    let mut idle = TcpStream::connect(listener.addr).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    drop(listener.stop);
    timeout(Duration::from_secs(5), listener.task).await.expect("ends").unwrap();
    assert!(TcpStream::connect(listener.addr).await.is_err(), "the port is free again");
}

/// Time is the runtime's, which jumps to the next timer when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn content_that_does_not_come_is_not_waited_for() {
    let listener = listener(Role::Full).await;
    let json = "Content-Type: application/json\r\nContent-Length: 15\r\n";
    let answer = timeout(Duration::from_secs(15), listener.send("POST", "/purge", "localhost", json)).await;
    let answer = answer.expect("still open after the timeout");
    assert_eq!(answer.status, 408, "{}", answer.body);
    assert!(answer.body.contains("\"content-timeout\""), "{}", answer.body);
}
