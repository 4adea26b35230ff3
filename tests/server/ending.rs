//! How connections end: by timeouts, failures, panics, and the graceful end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use larder::config;
use larder::server::{ConnectionEvent, Drained};
use tokio::sync::Notify;

use crate::pipe::pipe;
use crate::raw::Client;
use crate::rig::{Server, config, echo, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_frees_the_body() {
    let quick = config::Server { stall_timeout: Duration::from_millis(300), ..config() };
    let (sender, feeds) = mpsc::channel();
    let server = Server::with(quick, move |_, _| {
        let sender = sender.clone();
        async move {
            let (feed, body) = pipe();
            sender.send(feed.clone()).unwrap();
            for _ in 0..1000 {
                feed.data(vec![b'x'; 64 * 1024]);
            }
            Response::new(body.boxed_unsync())
        }
    });
    let mut client = Client::with_small_window(server.addr);
    client.send(GET);
    server.await_event(ConnectionEvent::Stalled);
    server.await_event(ConnectionEvent::Closed);
    assert!(feeds.recv().unwrap().is_abandoned());
    let (got, _) = client.rest();
    assert!(!got.ends_with("0\r\n\r\n"), "a cut answer must not look whole");
}

#[test]
fn a_client_that_takes_little_at_a_time_is_not_cut_off() {
    let quick = config::Server { stall_timeout: Duration::from_millis(500), ..config() };
    let server = Server::with(quick, async |_, _| ok(vec![b'x'; 8 * 1024 * 1024]));
    let mut client = Client::with_small_window(server.addr);
    assert_eq!(client.send(GET).head().status, 200);
    let mut left = 8 * 1024 * 1024_usize;
    // Slower than the timeout in all, but never quiet for as long as that.
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        let mut now = 0;
        while now < 400_000 {
            now += client.some(64 * 1024).unwrap();
        }
        left -= now;
    }
    while left > 0 {
        left -= client.some(left).unwrap();
    }
    assert_eq!(server.events_so_far(), [ConnectionEvent::Opened]);
}

/// Answers with "begun", then fails.
fn failing(length: Option<u64>) -> Server {
    Server::start(move |_, _| async move {
        let (feed, body) = pipe();
        feed.data("begun").fail();
        let mut response = Response::new(body.boxed_unsync());
        if let Some(length) = length {
            response.headers_mut().insert("content-length", length.into());
        }
        response
    })
}

#[test]
fn an_answer_that_fails_is_sent_as_far_as_it_came_and_visibly_cut() {
    let server = failing(None);
    let (got, ended) = Client::connect(server.addr).send(GET).rest();
    assert!(got.ends_with("\r\n\r\n5\r\nbegun\r\n"), "no last chunk: {got:?}");
    ended.unwrap();

    let server = failing(Some(9));
    let (got, _) = Client::connect(server.addr).send(GET).rest();
    assert!(
        got.contains("content-length: 9\r\n") && got.ends_with("\r\n\r\nbegun"),
        "four bytes short: {got:?}"
    );
}

#[test]
fn without_framing_the_cut_is_a_reset() {
    let server = failing(None);
    let mut client = Client::connect(server.addr);
    client.send("GET / HTTP/1.0\r\n\r\n");
    let (_, ended) = client.rest();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn unfinished_heads_and_idle_connections_time_out() {
    let quick = config::Server { header_timeout: Duration::from_millis(200), ..config() };
    let server = Server::with(quick, echo);
    let mut silent = Client::connect(server.addr);
    let mut slow = Client::connect(server.addr);
    slow.send("GET / HTTP/1.1\r\nHost: a");
    let mut idle = Client::connect(server.addr);
    assert_eq!(idle.send(GET).answer().status, 200);
    // Its answer has a body that is dropped instead of sent.
    let mut told = Client::connect(server.addr);
    assert_eq!(told.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n").head().status, 200);
    for client in [&mut silent, &mut slow, &mut idle, &mut told] {
        client.ended();
    }
}

/// Sets a flag when it is dropped.
struct OnDrop(Arc<AtomicBool>, mpsc::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.send(());
    }
}

#[test]
fn a_request_is_given_up_when_its_client_goes() {
    for half in [true, false] {
        let given_up = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let (started, starting) = mpsc::channel();
        let flag = Arc::clone(&given_up);
        let server = Server::start(move |_, _| {
            let guard = OnDrop(Arc::clone(&flag), sender.clone());
            started.send(()).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                ok("never")
            }
        });
        let mut client = Client::connect(server.addr);
        client.send(GET);
        starting.recv().unwrap();
        assert!(!given_up.load(Ordering::SeqCst));
        if half {
            client.half_close();
        } else {
            drop(client);
        }
        receiver.recv_timeout(Duration::from_secs(10)).expect("the request goes on");
        server.await_event(ConnectionEvent::Closed);
    }
}

#[test]
fn a_panic_ends_its_connection_and_nothing_else() {
    // One seat only: if the panic kept it, nobody could come in afterwards.
    let one = config::Server { max_connections: 1, ..config() };
    let server = Server::with(one, async |request, peer| {
        assert!(request.uri().path() != "/panic", "this panic is meant");
        echo(request, peer).await
    });
    let mut client = Client::connect(server.addr);
    assert_eq!(client.send(GET).answer().status, 200);
    client.send("GET /panic HTTP/1.1\r\nHost: a.test\r\n\r\n").ended();
    server.await_event(ConnectionEvent::Panicked);
    assert_eq!(Client::connect(server.addr).send(GET).answer().status, 200);
}

#[test]
fn beyond_the_limit_clients_wait_for_a_seat() {
    let two = config::Server { max_connections: 2, ..config() };
    let server = Server::with(two, echo);
    let mut seated = [Client::connect(server.addr), Client::connect(server.addr)];
    for client in &mut seated {
        assert_eq!(client.send(GET).answer().status, 200);
    }
    let mut waiting = [Client::connect(server.addr), Client::connect(server.addr)];
    for client in &mut waiting {
        client.send(GET);
    }
    // Those inside are served as before, and nobody else.
    for client in &mut seated {
        assert_eq!(client.send(GET).answer().status, 200);
    }
    assert_eq!(server.events_so_far(), [ConnectionEvent::Opened; 2]);
    drop(seated);
    for client in &mut waiting {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn the_graceful_end_closes_idle_connections_and_lets_open_requests_finish() {
    let go = Arc::new(Notify::new());
    let (started, starting) = mpsc::channel();
    let gate = Arc::clone(&go);
    let server = Server::start(move |request, peer| {
        let (gate, started) = (Arc::clone(&gate), started.clone());
        async move {
            if request.uri().path() == "/slow" {
                started.send(()).unwrap();
                gate.notified().await;
            }
            echo(request, peer).await
        }
    });
    let mut fresh = Client::connect(server.addr);
    let mut idle = Client::connect(server.addr);
    assert_eq!(idle.send(GET).answer().status, 200);
    let mut busy = Client::connect(server.addr);
    busy.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    starting.recv().unwrap();

    server.begin_stop();
    idle.ended();
    fresh.ended();
    go.notify_one();
    let answer = busy.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("GET /slow a.test \"\"", Some("close")));
    busy.ended();
    let addr = server.addr;
    assert_eq!(server.stop(), Drained { finished: 3, cut: 0 });
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens any more");
}

#[test]
fn the_graceful_end_is_bounded() {
    let short = config::Server { drain_timeout: Duration::from_millis(200), ..config() };
    let (started, starting) = mpsc::channel();
    let server = Server::with(short, move |_, _| {
        started.send(()).unwrap();
        std::future::pending::<Response<_>>()
    });
    let mut client = Client::connect(server.addr);
    client.send(GET);
    starting.recv().unwrap();
    assert_eq!(server.stop(), Drained { finished: 0, cut: 1 });
    assert_eq!(client.rest().0, "");
}

#[test]
fn the_end_of_a_long_answer_is_not_lost_when_draining() {
    let server = Server::start(async |_, _| ok(Bytes::from(vec![b'x'; 4 * 1024 * 1024])));
    let mut client = Client::with_small_window(server.addr);
    let head = client.send(GET).head();
    assert_eq!(head.field("content-length"), Some("4194304"));
    server.begin_stop();
    let (rest, ended) = client.rest();
    assert_eq!(rest.len(), 4 * 1024 * 1024);
    ended.unwrap();
    assert_eq!(server.stop(), Drained { finished: 1, cut: 0 });
}

/// To close with something unread resets the connection, and the reset may overtake the answer.
#[test]
fn who_has_sent_more_than_is_read_is_not_reset() {
    let server = Server::start(echo);
    for last in ["Host: a.test\r\nConnection: close\r\n", ""] {
        let mut client = Client::connect(server.addr);
        client.send(format!("GET / HTTP/1.1\r\n{last}\r\n{}", GET.repeat(20_000)));
        assert!(matches!(client.answer().text(), "GET / a.test \"\"" | "host-missing"));
        client.ended();
        // There is nothing left to be closed after a reset, and this would fail.
        client.half_close();
        server.await_event(ConnectionEvent::Closed);
    }
}

#[test]
fn who_was_refused_is_listened_to_for_a_while_and_so_much() {
    let server = Server::start(echo);
    // It is not known what it is still sending.
    let mut client = Client::connect(server.addr);
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.head().status, 400);
    client.ended();
    client.send("more").send("and more").half_close();
    server.await_event(ConnectionEvent::Closed);

    let mut quiet = Client::connect(server.addr);
    quiet.send("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n").answer();
    quiet.ended();
    server.await_event(ConnectionEvent::Closed);

    let mut endless = Client::connect(server.addr);
    endless.send("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n");
    endless.send_what_is_taken(vec![b'x'; 64 * 1024 * 1024]).unwrap_err();
}
