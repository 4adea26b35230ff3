//! 103 Early Hints ahead of the final response.

use std::sync::Arc;
use std::sync::mpsc;

use http::{HeaderMap, StatusCode};
use larder::server::{ConnectionEvent, EarlyHints};
use tokio::sync::Notify;

use crate::raw::Client;
use crate::rig::{Server, echo, ok};

fn links(link: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("link", link.parse().unwrap());
    fields
}

/// A server that hints `/hint` and answers only when told to; the other end hands out the hints it used.
fn hinting() -> (Server, Arc<Notify>, mpsc::Receiver<EarlyHints>) {
    let go = Arc::new(Notify::new());
    let (used, hints) = mpsc::channel();
    let gate = Arc::clone(&go);
    let server = Server::start(move |request, peer| {
        let (gate, used) = (Arc::clone(&gate), used.clone());
        async move {
            if request.uri().path() != "/hint" {
                return echo(request, peer).await;
            }
            let hints = peer.hints();
            hints.send(StatusCode::EARLY_HINTS, &links("</style.css>"));
            used.send(hints).unwrap();
            gate.notified().await;
            echo(request, peer).await
        }
    });
    (server, go, hints)
}

const HINTED: &str = "GET /hint HTTP/1.1\r\nHost: a.test\r\n\r\n";
const PLAIN: &str = "GET /plain HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn a_hint_arrives_before_the_answer_exists_and_is_no_part_of_it() {
    let (server, go, _hints) = hinting();
    let mut client = Client::connect(server.addr);
    for _ in 0..2 {
        let hint = client.send(HINTED).head();
        assert_eq!(hint.head, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n");
        go.notify_one();
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("link")), (200, None));
        assert_eq!(answer.text(), "GET /hint a.test \"\"");
    }
    server.await_event(ConnectionEvent::HintsSent);
}

#[test]
fn pipelined_requests_keep_their_order_around_hints() {
    let (server, go, _hints) = hinting();
    let mut client = Client::connect(server.addr);
    client.send([PLAIN, HINTED, PLAIN, HINTED].concat());
    for _ in 0..2 {
        assert_eq!(client.answer().text(), "GET /plain a.test \"\"");
        assert_eq!(client.head().status, 103);
        go.notify_one();
        assert_eq!(client.answer().text(), "GET /hint a.test \"\"");
    }
}

#[test]
fn hints_come_from_any_thread_as_often_as_they_are_sent() {
    let (server, go, hints) = hinting();
    let mut client = Client::connect(server.addr);
    assert_eq!(client.send(HINTED).head().status, 103);
    let hints = hints.recv().unwrap();
    for link in ["</a>", "</b>"] {
        hints.send(StatusCode::EARLY_HINTS, &links(link));
        assert_eq!(client.head().field("link"), Some(link));
    }
    go.notify_one();
    assert_eq!(client.answer().status, 200);
}

#[test]
fn hints_that_come_too_late_are_dropped_and_never_reach_the_next_request() {
    let (server, go, hints) = hinting();
    let mut client = Client::connect(server.addr);
    client.send(HINTED).head();
    let first = hints.recv().unwrap();
    go.notify_one();
    assert_eq!(client.answer().status, 200);
    first.send(StatusCode::EARLY_HINTS, &links("</late>"));
    assert_eq!(client.send(PLAIN).answer().status, 200);
    assert_eq!(client.send(HINTED).head().field("link"), Some("</style.css>"));
    first.send(StatusCode::EARLY_HINTS, &links("</late>"));
    go.notify_one();
    assert_eq!(client.answer().status, 200);
}

#[test]
fn http_1_0_clients_get_no_hints() {
    let (server, go, _hints) = hinting();
    go.notify_one();
    let mut client = Client::connect(server.addr);
    assert_eq!(client.send("GET /hint HTTP/1.0\r\n\r\n").answer().status, 200);
    client.ended();
}

#[test]
fn hints_and_100_continue_do_not_get_into_each_others_way() {
    let server = Server::start(async |request, peer| {
        peer.hints().send(StatusCode::EARLY_HINTS, &links("</style.css>"));
        echo(request, peer).await
    });
    let mut client = Client::connect(server.addr);
    client.send("PUT /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let mut interim = [client.head().status, client.head().status];
    interim.sort_unstable();
    assert_eq!(interim, [100, 103]);
    assert_eq!(client.send("body").answer().text(), "PUT /x a.test \"body\"");
}

#[test]
fn only_103_is_sent_and_without_fields_of_one_hop_or_one_client() {
    let (server, go, hints) = hinting();
    let mut client = Client::connect(server.addr);
    client.send(HINTED).head();
    let hints = hints.recv().unwrap();
    hints.send(StatusCode::PROCESSING, &links("</a>"));
    hints.send(StatusCode::OK, &links("</a>"));
    let mut fields = links("</b>");
    for (name, value) in [("content-length", "9"), ("transfer-encoding", "chunked"), ("set-cookie", "a=b")] {
        fields.insert(name, value.parse().unwrap());
    }
    hints.send(StatusCode::EARLY_HINTS, &fields);
    assert_eq!(client.head().head, "HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n");
    go.notify_one();
    assert_eq!(client.answer().status, 200);
}

/// The answer wins over a hint that is queued together with it.
#[test]
fn a_hint_never_follows_the_head_it_should_precede() {
    let server = Server::start(async |_, peer| {
        peer.hints().send(StatusCode::EARLY_HINTS, &links("</style.css>"));
        ok("at once")
    });
    let mut client = Client::connect(server.addr);
    client.send([PLAIN, PLAIN].concat());
    assert_eq!(client.answer().text(), "at once");
    assert_eq!(client.answer().text(), "at once");
}
