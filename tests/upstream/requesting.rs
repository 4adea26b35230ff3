//! What origins are sent.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use http::Request;
use http_body_util::Full;
use larder::upstream::{Failure, RequestBody};

use crate::origin::{Origin, Seen};
use crate::pipe::pipe;
use crate::rig::{config, request, send, text, upstreams};

/// An origin that says what it was sent.
fn telling() -> (Origin, Receiver<Option<Seen>>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let origin = Origin::start(move |mut connection, _| {
        loop {
            let seen = connection.request();
            let over = seen.is_none();
            tell.lock().unwrap().send(seen).unwrap();
            if over {
                return;
            }
            connection.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (origin, told)
}

async fn sent(request: Request<RequestBody>) -> Seen {
    let (origin, told) = telling();
    text(send(&upstreams(config(&[origin.addr])), request, None).await).await;
    told.recv().unwrap().unwrap()
}

#[tokio::test]
async fn requests_go_out_as_given() {
    let mut given = request("GET", "/p%7e/../q?a=b&c");
    for value in ["1", "2"] {
        given.headers_mut().append("x-many", value.parse().unwrap());
    }
    let seen = sent(given).await;
    assert_eq!(seen.line, "GET /p%7e/../q?a=b&c HTTP/1.1");
    let fields: Vec<_> = seen.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(fields, ["host: a.test", "x-many: 1", "x-many: 2"]);
    assert_eq!(sent(request("OPTIONS", "*")).await.line, "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn without_host_the_servers_authority_is_sent() {
    let (origin, told) = telling();
    let mut without = request("GET", "/");
    without.headers_mut().remove("host");
    text(send(&upstreams(config(&[origin.addr])), without, None).await).await;
    assert_eq!(told.recv().unwrap().unwrap().field("host"), Some(&*origin.addr.to_string()));
}

fn with_body(method: &str, body: RequestBody) -> Request<RequestBody> {
    let mut request = request(method, "/up");
    *request.body_mut() = body;
    request
}

#[tokio::test]
async fn content_of_known_length_has_content_length_whatever_the_fields_say() {
    for method in ["GET", "POST", "DELETE"] {
        let mut request = with_body(method, RequestBody::stream(Full::new(bytes::Bytes::from("hello"))));
        request.headers_mut().insert("content-length", "3".parse().unwrap());
        request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
        let seen = sent(request).await;
        assert_eq!((seen.field("content-length"), seen.body.as_str()), (Some("5"), "hello"), "{method}");
        assert_eq!(seen.field("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn content_of_unknown_length_is_chunked_for_any_method() {
    for method in ["GET", "POST", "DELETE"] {
        let (feed, body) = pipe();
        feed.data("hel").data("lo").trailer("digest", "abc");
        drop(feed);
        let mut request = with_body(method, RequestBody::stream(body));
        request.headers_mut().insert("content-length", "3".parse().unwrap());
        request.headers_mut().insert("trailer", "digest".parse().unwrap());
        let seen = sent(request).await;
        assert_eq!((seen.body.as_str(), seen.trailers.as_str()), ("hello", "digest: abc"), "{method}");
        assert_eq!(seen.field("content-length"), None);
    }
}

#[tokio::test]
async fn without_content_there_is_no_length_but_a_zero_that_was_given() {
    for (given, sent_on) in [("0", Some("0")), ("7", None)] {
        let mut request = request("POST", "/");
        request.headers_mut().insert("content-length", given.parse().unwrap());
        assert_eq!(sent(request).await.field("content-length"), sent_on);
    }
    assert!(matches!(RequestBody::stream(http_body_util::Empty::new()), RequestBody::Empty));
}

#[tokio::test]
async fn a_body_that_fails_fails_the_request_and_origins_can_tell() {
    let (origin, told) = telling();
    let (feed, body) = pipe();
    feed.data("begun").fail();
    let upstreams = upstreams(config(&[origin.addr]));
    let failure = send(&upstreams, with_body("POST", RequestBody::stream(body)), None).await.unwrap_err();
    assert_eq!((failure, failure.is_clients()), (Failure::RequestBody, true));
    assert!(told.recv().unwrap().is_none(), "the request must not look whole");
}

#[tokio::test]
async fn an_origin_may_answer_before_it_has_read_everything() {
    let origin = Origin::start(|mut connection, _| {
        connection.head();
        connection.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        connection.wait_for_end();
    });
    let (feed, body) = pipe();
    feed.data("begun");
    let upstreams = upstreams(config(&[origin.addr]));
    let response = send(&upstreams, with_body("POST", RequestBody::stream(body)), None).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(text(Ok(response)).await, "no");
}
