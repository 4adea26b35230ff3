//! Requests and answers when nobody misbehaves.

use http::Response;
use http_body_util::BodyExt;
use larder::server::ConnectionEvent;

use crate::pipe::pipe;
use crate::raw::Client;
use crate::rig::{Server, echo, ok};

#[test]
fn requests_follow_each_other_on_one_connection() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    for path in ["/one", "/two?q=1"] {
        let answer = client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.text()), (200, &*format!("GET {path} a.test \"\"")));
        assert_eq!(answer.field("connection"), None);
    }
    let upload =
        "POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    assert_eq!(client.send(upload).answer().text(), "POST /up a.test \"body\"");
    assert_eq!(server.events_so_far(), [ConnectionEvent::Opened]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    let requests: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..20 {
        assert_eq!(client.answer().text(), format!("GET /{n} a.test \"\""));
    }
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    let answer = client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").answer();
    assert_eq!(answer.text(), "GET / a.test \"\"");
    client.ended();
    server.await_event(ConnectionEvent::Closed);
}

#[test]
fn without_a_host_http_1_0_asks_the_address_it_has_connected_to() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    let answer = client.send("GET / HTTP/1.0\r\n\r\n").answer();
    assert_eq!(answer.text(), format!("GET / {} \"\"", server.addr));
}

#[test]
fn a_client_that_expects_it_is_told_to_continue_when_its_body_is_wanted() {
    let server = Server::start(async |request, peer| match request.uri().path() {
        "/wanted" => echo(request, peer).await,
        _ => ok("no need"),
    });
    let expecting = |path| {
        format!("PUT {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut client = Client::connect(server.addr);
    assert_eq!(client.send(expecting("/wanted")).head().status, 100);
    assert_eq!(client.send("body").answer().text(), "PUT /wanted a.test \"body\"");

    let mut client = Client::connect(server.addr);
    let answer = client.send(expecting("/unwanted")).answer();
    assert_eq!((answer.status, answer.text()), (200, "no need"));
}

#[test]
fn trailers_reach_a_client_that_takes_them() {
    let server = Server::start(async |_, _| {
        let (feed, body) = pipe();
        feed.data("x").trailer("digest", "abc");
        Response::builder().header("trailer", "digest").body(body.boxed_unsync()).unwrap()
    });
    let mut client = Client::connect(server.addr);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: te, close\r\n\r\n");
    let (all, _) = client.rest();
    assert!(all.ends_with("\r\n1\r\nx\r\n0\r\ndigest: abc\r\n\r\n"), "{all}");
}
