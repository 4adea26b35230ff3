//! Connections: made, kept, used again, shared out, and lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::config::Upstream;
use larder::upstream::{Failure, Shared, Upstreams};

use crate::origin::Origin;
use crate::rig::{config, get, origin, read, request, send, text, upstreams};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let origin = Origin::saying(HELLO);
    let upstreams = upstreams(config(&[origin.addr]));
    for _ in 0..3 {
        assert_eq!(text(get(&upstreams).await).await, "hello");
    }
    assert_eq!(origin.accepted(), 1);
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let (closed, closing) = channel();
    let origin = Origin::start(move |mut connection, _| {
        connection.request();
        connection.say(HELLO);
        connection.wait_for_end();
        closed.send(()).unwrap();
    });
    let upstreams =
        upstreams(Upstream { idle_timeout: Duration::from_millis(100), ..config(&[origin.addr]) });
    assert_eq!(text(get(&upstreams).await).await, "hello");
    let closing = tokio::task::spawn_blocking(move || closing.recv_timeout(Duration::from_secs(10)));
    closing.await.unwrap().expect("the connection stays open");
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_are_allowed() {
    let (closed, closing) = channel();
    let origin = Origin::start(move |mut connection, _| {
        while connection.request().is_some() {
            connection.say(HELLO);
        }
        closed.send(()).unwrap();
    });
    // Half of two for each of two threads.
    let two = Upstream { max_connections: 2, ..config(&[origin.addr]) };
    let upstreams = Upstreams::new(&Shared::new(&[two], 2).unwrap());
    let both = tokio::join!(get(&upstreams), get(&upstreams));
    tokio::join!(text(both.0), text(both.1));
    let closing =
        tokio::task::spawn_blocking(move || closing.recv_timeout(Duration::from_secs(10)).map(|()| closing));
    let closing = closing.await.unwrap().expect("both stay open");
    assert_eq!(text(get(&upstreams).await).await, "hello");
    assert_eq!((origin.accepted(), closing.try_recv().is_ok()), (2, false));
}

#[tokio::test]
async fn a_connection_that_comes_back_is_not_left_waiting_for_a_new_one() {
    // Takes one connection, and has no room for a second.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let (finish, finished) = channel();
    let serving = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::from(listener.accept().unwrap().0);
        let queued = std::net::TcpStream::connect(addr).unwrap();
        let mut buffer = [0; 1000];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").unwrap();
        finished.recv().unwrap();
        stream.write_all(b"lo").unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(HELLO.as_bytes()).unwrap();
        (listener, queued)
    });
    let upstreams = upstreams(config(&[addr]));
    let first = get(&upstreams).await.unwrap();
    let mut second = Box::pin(get(&upstreams));
    assert!(futures_ready(&mut second).await.is_none());
    finish.send(()).unwrap();
    let (first, second) = tokio::join!(text(Ok(first)), async { text(second.await).await });
    assert_eq!((first.as_str(), second.as_str()), ("hello", "hello"));
    drop(serving.join().unwrap());
}

/// The second request on a connection is read and then left without an answer, as by an origin whose idle timeout
/// fires just when a request comes in.
fn tired_of_waiting() -> Origin {
    Origin::start(|mut connection, _| {
        connection.request();
        connection.say(HELLO);
        connection.request();
    })
}

#[tokio::test]
async fn a_connection_lost_under_a_safe_request_is_replaced() {
    let origin = tired_of_waiting();
    let upstreams = upstreams(config(&[origin.addr]));
    assert_eq!(text(get(&upstreams).await).await, "hello");
    assert_eq!(text(get(&upstreams).await).await, "hello");
    assert_eq!(origin.accepted(), 2);
}

#[tokio::test]
async fn a_connection_lost_under_another_request_is_a_failure() {
    let origin = tired_of_waiting();
    let upstreams = upstreams(config(&[origin.addr]));
    assert_eq!(text(get(&upstreams).await).await, "hello");
    let failure = send(&upstreams, request("POST", "/"), None).await.unwrap_err();
    assert_eq!((failure, origin.accepted()), (Failure::Reset, 1));
}

#[tokio::test]
async fn the_replacement_is_tried_once_and_is_new() {
    // Connections 0 and 1 answer once and then fail; all later ones fail at once.
    let origin = Origin::start(|mut connection, number| {
        connection.request();
        if number < 2 {
            connection.say(HELLO);
            connection.request();
        }
    });
    let upstreams = upstreams(config(&[origin.addr]));
    let both = tokio::join!(get(&upstreams), get(&upstreams));
    let (first, second) = tokio::join!(text(both.0), text(both.1));
    assert_eq!((first.as_str(), second.as_str()), ("hello", "hello"));
    assert_eq!(origin.accepted(), 2);
    assert_eq!(get(&upstreams).await.unwrap_err(), Failure::Reset);
    assert_eq!(origin.accepted(), 3, "not the other idle connection, and no third try");
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let (closed, closing) = channel();
    let origin = Origin::start(move |mut connection, _| {
        connection.request();
        connection.say(HELLO);
        drop(connection);
        closed.send(()).unwrap();
    });
    let upstreams = upstreams(config(&[origin.addr]));
    let closing = Arc::new(Mutex::new(closing));
    // Not even for requests that must not be repeated.
    for _ in 0..3 {
        assert_eq!(text(send(&upstreams, request("POST", "/"), None).await).await, "hello");
        // On another thread, so that this one comes to see what the sockets have to say.
        let closing = Arc::clone(&closing);
        let closed = move || closing.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        tokio::task::spawn_blocking(closed).await.unwrap();
        // It may be done before it is waited for; who yields comes again after the sockets have been looked at.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_a_failure() {
    for reset in [false, true] {
        let origin = Origin::start(move |mut connection, _| {
            connection.request();
            if reset {
                connection.reset();
            }
        });
        let upstreams = upstreams(config(&[origin.addr]));
        let failure = get(&upstreams).await.unwrap_err();
        assert_eq!((failure.as_str(), failure.is_timeout()), ("connection-reset", false));
        assert_eq!(origin.accepted(), 1);
    }
}

fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn refusal_is_a_failure_to_connect() {
    let failure = get(&upstreams(config(&[closed_port()]))).await.unwrap_err();
    assert_eq!((failure, failure.is_timeout()), (Failure::Connect, false));
    let nowhere = Upstream { servers: vec![origin("http://nowhere.invalid")], ..config(&[]) };
    assert_eq!(get(&upstreams(nowhere)).await.unwrap_err(), Failure::Connect);
}

#[tokio::test]
async fn connecting_takes_only_so_long() {
    // Linux drops what does not fit into a queue of one.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let _queued = std::net::TcpStream::connect(addr).unwrap();
    let quick = Upstream { connect_timeout: Duration::from_millis(200), ..config(&[addr]) };
    let failure = get(&upstreams(quick)).await.unwrap_err();
    assert_eq!((failure, failure.is_timeout()), (Failure::ConnectTimeout, true));
}

#[tokio::test]
async fn names_and_bracketed_addresses_are_understood() {
    let origin_v4 = Origin::saying(HELLO);
    let named = origin(&format!("http://localhost:{}", origin_v4.addr.port()));
    let upstreams = upstreams(Upstream { servers: vec![named], ..config(&[]) });
    assert_eq!(text(get(&upstreams).await).await, "hello");

    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let bracketed = origin(&format!("http://{}", listener.local_addr().unwrap()));
    let upstreams = crate::rig::upstreams(Upstream { servers: vec![bracketed], ..config(&[]) });
    let accepting = tokio::task::spawn_blocking(move || listener.accept().unwrap());
    tokio::select! {
        accepted = accepting => drop(accepted.unwrap()),
        answer = get(&upstreams) => assert_eq!(answer.unwrap_err(), Failure::Reset),
    }
}

#[tokio::test]
async fn servers_take_turns_over_all_threads() {
    let say = |text| Origin::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{text}"));
    let origins = [say("a"), say("b"), say("c")];
    let shared = Shared::new(&[config(&origins.each_ref().map(|origin| origin.addr))], 2).unwrap();
    let threads = [Upstreams::new(&shared), Upstreams::new(&shared)];
    let mut all = String::new();
    for turn in 0..6 {
        all.push_str(&text(get(&threads[turn % 2]).await).await);
    }
    assert_eq!(all, "abcabc");
}

#[tokio::test]
async fn a_server_has_so_many_requests_at_once_and_no_more() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    let one = Upstream {
        max_connections: 1,
        connect_timeout: Duration::from_millis(100),
        ..config(&[origin.addr])
    };
    let shared = Shared::new(&[one], 2).unwrap();
    let threads = [Upstreams::new(&shared), Upstreams::new(&shared)];
    let first = get(&threads[0]).await.unwrap();
    let busy = get(&threads[1]).await.unwrap_err();
    assert_eq!((busy.as_str(), busy.is_timeout()), ("upstream-busy", false));
    drop(first);
    let second = get(&threads[1]).await.unwrap();
    let waiting = get(&threads[0]);
    tokio::pin!(waiting);
    assert!(futures_ready(&mut waiting).await.is_none());
    drop(second);
    waiting.await.unwrap();
}

/// Polls once.
async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_slot_is_free_again_when_the_body_has_ended() {
    let origin = Origin::saying(HELLO);
    let one = Upstream { max_connections: 1, ..config(&[origin.addr]) };
    let upstreams = upstreams(one);
    let mut response = get(&upstreams).await.unwrap();
    // Read, but not dropped.
    while http_body_util::BodyExt::frame(response.body_mut()).await.is_some() {}
    assert_eq!(text(get(&upstreams).await).await, "hello");
    let (_, ended) = read(response).await;
    ended.unwrap();
}
