//! Requests that RFC 9112 forbids, as a client sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::raw::Client;
use crate::rig::{Server, config, echo};

/// Sends `request` and expects to be refused and cut off, whatever follows it on the connection.
fn refused(request: &str) -> crate::raw::Answer {
    refused_by(request).1
}

fn refused_by(request: &str) -> (Server, crate::raw::Answer) {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let server = Server::start(move |request, peer| {
        count.fetch_add(1, Ordering::SeqCst);
        echo(request, peer)
    });
    let mut client = Client::connect(server.addr);
    client.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"));
    let answer = client.answer();
    client.ended();
    assert_eq!(answer.field("connection"), Some("close"), "{request:?}");
    assert_eq!(handled.load(Ordering::SeqCst), 0, "{request:?} was handled");
    (server, answer)
}

#[test]
fn what_rfc_9112_forbids_is_refused_and_ends_the_connection() {
    let reasons = [
        ("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400, "host-repeated"),
        ("GET / HTTP/1.1\r\nHost: a.test/b\r\n\r\n", 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host-invalid"),
        ("GET / HTTP/1.1\r\nHost: me@a.test\r\n\r\n", 400, "host-invalid"),
        ("GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "host-differs"),
        ("GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "host-differs"),
        ("GET http://me@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target-invalid"),
        ("GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target-invalid"),
        ("GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target-invalid"),
        ("GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "target-invalid"),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501, "connect-method"),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "transfer-coding",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
            "transfer-coding",
        ),
    ];
    for (request, status, reason) in reasons {
        let answer = refused(request);
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.text(), reason, "the handler renders the answer to {request:?}");
    }
}

/// These never reach the guard; that they are refused is hyper's doing, and this test notices if it stops.
#[test]
fn what_cannot_be_parsed_is_refused_and_ends_the_connection() {
    let requests = [
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1, 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nFolded: a\r\n b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
        ("GET / HTTP/3.7\r\nHost: a.test\r\n\r\n", 400),
    ];
    for (request, status) in requests {
        let (server, answer) = refused_by(request);
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(server.next_unread(), (status, "head-malformed"), "{request:?}");
    }
}

#[test]
fn content_length_beside_transfer_encoding_is_ignored_and_the_connection_ends() {
    let server = Server::start(echo);
    for framing in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        let mut client = Client::connect(server.addr);
        client.send(format!("POST /up HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
        client.send("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.text(), "POST /up a.test \"x\"", "{framing}");
        assert_eq!(answer.field("connection"), Some("close"));
        client.ended();
    }
}

#[test]
fn a_bad_chunk_breaks_the_body_and_ends_the_connection() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    client.send("POST /up HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\n");
    client.send("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.answer().text(), "POST /up a.test broken");
    client.ended();
}

#[test]
fn heads_fields_and_targets_have_limits() {
    let server = Server::start(echo);
    let ask = |target: &str, fields: &str| {
        let mut client = Client::connect(server.addr);
        // The server may refuse before it has read everything.
        let _ = client.send_what_is_taken(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
        let answer = client.answer();
        if answer.status != 200 {
            client.ended();
        }
        answer.status
    };
    let limits = config();
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    assert_eq!(ask(&path(limits.max_target), ""), 200);
    assert_eq!(ask(&path(limits.max_target + 1), ""), 414);
    assert_eq!(ask("/", &"A: b\r\n".repeat(limits.max_fields - 1)), 200);
    assert_eq!(ask("/", &"A: b\r\n".repeat(limits.max_fields)), 431);
    assert_eq!(ask("/", &format!("A: {}\r\n", "b".repeat(limits.max_head - 100))), 200);
    assert_eq!(ask("/", &format!("A: {}\r\n", "b".repeat(limits.max_head))), 431);
    assert_eq!(ask("/", &format!("A: {}\r\n", "b".repeat(limits.max_head * 100))), 431);
}

#[test]
fn handlers_see_one_shape_of_request() {
    let server = Server::start(echo);
    let shapes = [
        ("GET http://A.test:80/p?q HTTP/1.1\r\nHost: a.TEST", "GET /p?q a.test \"\""),
        ("GET http://a.test HTTP/1.1\r\nHost: a.test:80", "GET / a.test \"\""),
        ("GET http://a.test?q HTTP/1.1\r\nHost: a.test", "GET /?q a.test \"\""),
        ("GET http://a.test/ HTTP/1.0", "GET / a.test \"\""),
        ("GET /p HTTP/1.1\r\nHost: A.test:0081", "GET /p a.test:81 \"\""),
        ("GET /p#fragment HTTP/1.1\r\nHost: a.test", "GET /p a.test \"\""),
        ("GET //p/../%7E HTTP/1.1\r\nHost: a.test", "GET //p/../%7E a.test \"\""),
        ("OPTIONS * HTTP/1.1\r\nHost: a.test", "OPTIONS * a.test \"\""),
        ("OPTIONS http://a.test/ HTTP/1.1\r\nHost: a.test", "OPTIONS / a.test \"\""),
    ];
    for (request, seen) in shapes {
        let mut client = Client::connect(server.addr);
        assert_eq!(client.send(format!("{request}\r\n\r\n")).answer().text(), seen, "{request:?}");
    }
}

/// A connection remembers whom it asked for last; that must not rub off on a request for another.
#[test]
fn each_request_on_a_connection_is_for_whom_it_says() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    for (host, seen) in
        [("a.test", "a.test"), ("a.test", "a.test"), ("A.test:80", "a.test"), ("a.tes", "a.tes")]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.send(request).answer().text(), format!("GET / {seen} \"\""), "{host:?}");
    }
    client.send("GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(client.answer().text(), "GET / b.test \"\"");
    client.send("GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.answer().text(), "host-differs");
    client.ended();
    let mut fresh = Client::connect(server.addr);
    assert_eq!(fresh.send("GET / HTTP/1.1\r\nHost:\r\n\r\n").answer().text(), "host-invalid");
}

/// What hyper refuses by itself is told to the handler as it was told to the client.
#[test]
fn heads_that_hyper_finds_too_large_are_told() {
    let large = larder::config::Server { max_head: 256 * 1024, ..config() };
    let server = Server::with(large, echo);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "p".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "A: b\r\n".repeat(100));
    let wide = format!("GET / HTTP/1.1\r\nHost: a.test\r\nA: {}\r\n\r\n", "b".repeat(300_000));
    for (request, expected) in
        [(long, (414, "target-too-long")), (many, (431, "head-too-large")), (wide, (431, "head-too-large"))]
    {
        let mut client = Client::connect(server.addr);
        let _ = client.send_what_is_taken(request);
        assert_eq!(client.answer().status, expected.0);
        drop(client);
        assert_eq!(server.next_unread(), expected);
    }
    // A client that leaves within its head was told nothing, so there is nothing to tell.
    for head in ["GET / HTTP/1.1\r\nHost", "nonsense\r\n\r\n"] {
        let mut client = Client::connect(server.addr);
        client.send(head);
    }
    assert_eq!(server.next_unread(), (400, "head-malformed"));
}

/// The answer must not be lost to a reset because the client was still sending.
#[test]
fn a_client_refused_in_the_middle_of_an_upload_can_read_why() {
    let server = Server::start(echo);
    let mut client = Client::connect(server.addr);
    client.send("POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n");
    let _ = client.send_what_is_taken(vec![b'x'; 300_000]);
    assert_eq!(client.answer().text(), "host-missing");
    client.ended();
}
