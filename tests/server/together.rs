//! Short answers, which are put aside and leave together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use larder::config;
use larder::server::ConnectionEvent;

use crate::pipe::pipe;
use crate::raw::Client;
use crate::rig::{Server, config, ok};

fn requests(count: usize) -> String {
    (0..count).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect()
}

/// Answers with the path, and so much more.
fn padded(length: impl Fn(usize) -> usize + Send + Sync + 'static, config: config::Server) -> Server {
    let length = Arc::new(length);
    Server::with(config, move |request, _| {
        let length = Arc::clone(&length);
        async move {
            let path = request.uri().path().to_owned();
            let n = path[1..].parse().unwrap();
            ok(format!("{path:<length$}", length = length(n)))
        }
    })
}

#[test]
fn short_and_long_answers_keep_their_order() {
    let length = |n: usize| [10, 3_000, 60_000, 900, 5_000][n % 5];
    let server = padded(length, config());
    let mut client = Client::connect(server.addr);
    client.send(requests(60));
    for n in 0..60 {
        let answer = client.answer();
        assert_eq!((answer.text().trim_end(), answer.body.len()), (&*format!("/{n}"), length(n)));
    }
}

#[test]
fn what_a_slow_client_has_not_taken_comes_before_what_follows() {
    const COUNT: usize = 4_000;
    let server = padded(|_| 3_000, config());
    let mut client = Client::with_small_window(server.addr);
    // They are answered as far as the kernel takes answers, before the first of these is read.
    client.send(requests(COUNT));
    for n in 0..COUNT {
        assert_eq!(client.answer().text().trim_end(), format!("/{n}"));
    }
}

#[test]
fn who_takes_nothing_of_many_short_answers_gets_no_more_of_them() {
    const COUNT: usize = 40_000;
    let config = config::Server { stall_timeout: Duration::from_millis(300), ..config() };
    let answered = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&answered);
    let server = Server::with(config, move |_, _| {
        counting.fetch_add(1, Ordering::Relaxed);
        async { ok("x".repeat(3_000)) }
    });
    let mut client = Client::with_small_window(server.addr);
    let sending = thread::spawn(move || {
        let cut = client.send_what_is_taken(requests(COUNT));
        (client, cut)
    });
    server.await_event(ConnectionEvent::Stalled);
    server.await_event(ConnectionEvent::Closed);
    drop(sending.join().unwrap());
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered < COUNT, "all {answered} were answered, though none was taken");
}

#[test]
fn many_who_ask_at_once_are_all_answered() {
    let server = padded(|n| n % 4_000, config());
    let mut clients: Vec<Client> = (0..90).map(|_| Client::connect(server.addr)).collect();
    for round in 0..5 {
        for (at, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", 100 * at + round));
        }
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.answer().text().trim_end(), format!("/{}", 100 * at + round));
        }
    }
}

#[test]
fn answers_without_content_keep_their_place() {
    let server = Server::start(async |request, _| {
        let mut response = ok(request.uri().path().to_owned());
        *response.status_mut() = match request.uri().path() {
            "/204" => StatusCode::NO_CONTENT,
            "/304" => StatusCode::NOT_MODIFIED,
            _ => StatusCode::OK,
        };
        response
    });
    let mut client = Client::connect(server.addr);
    let all = [("HEAD", "/head"), ("GET", "/204"), ("GET", "/304"), ("GET", "/get")];
    let requests = all.map(|(method, path)| format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    client.send(requests.concat().repeat(20));
    for _ in 0..20 {
        assert_eq!(client.head().field("content-length"), Some("5"));
        assert_eq!([client.head().status, client.head().status], [204, 304]);
        assert_eq!(client.answer().text(), "/get");
    }
}

/// What is still put aside when a connection ends was answered before.
#[test]
fn what_is_answered_leaves_whatever_becomes_of_the_next_request() {
    let server = Server::start(async |request, _| match request.uri().path() {
        "/panic" => panic!("this panic is meant"),
        "/never" => std::future::pending().await,
        "/fails" => {
            let (feed, body) = pipe();
            feed.fail();
            Response::new(body.boxed_unsync())
        }
        path => ok(path.to_owned()),
    });
    for last in ["/panic", "/never", "/fails", "/a b"] {
        let mut client = Client::connect(server.addr);
        client.send(format!("{}GET {last} HTTP/1.1\r\nHost: a.test\r\n\r\n", requests(3)));
        client.half_close();
        for n in 0..3 {
            assert_eq!(client.answer().text(), format!("/{n}"), "{last}");
        }
        client.rest().1.unwrap();
    }
}

#[test]
fn one_who_takes_nothing_keeps_nobody_waiting() {
    let server = padded(|_| 3_000, config());
    let mut stuck = Client::with_small_window(server.addr);
    stuck.send(requests(1_000));
    let mut client = Client::connect(server.addr);
    for n in 0..100 {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert_eq!(client.answer().text().trim_end(), format!("/{n}"));
    }
    for n in 0..1_000 {
        assert_eq!(stuck.answer().text().trim_end(), format!("/{n}"));
    }
}

/// The end of a long answer is short. Put aside, it counts as written, but the client may take longer for what is before it than
/// it has for its next request, or the connection may be done.
#[test]
fn who_still_has_an_answer_to_take_gets_all_of_it() {
    let config =
        config::Server { header_timeout: Duration::from_millis(100), max_connections: 200, ..config() };
    let length = |n: usize| 3_500 * n;
    let server = Server::with(config, move |request, _| async move {
        ok("x".repeat(length(request.uri().path()[1..].parse().unwrap())))
    });
    // The kernel takes all of some of these answers, and all but a short rest of at least one.
    let both = (1..70).flat_map(|n| ["keep-alive", "close"].map(|connection| (n, connection)));
    let clients = both.map(|(n, connection)| {
        let mut client = Client::with_small_window(server.addr);
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\nConnection: {connection}\r\n\r\n"));
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(400));
            assert_eq!(client.head().field("content-length"), Some(&*length(n).to_string()));
            assert_eq!(client.rest().0.len(), length(n));
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
}
