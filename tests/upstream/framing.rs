//! Where a response ends, and whether it can be believed (RFC 9112 §6).

use larder::upstream::{BodyFailure, Failure};

use crate::origin::Origin;
use crate::rig::{config, get, read, request, send, text, upstreams};

/// Body, `Content-Length`, and how many connections two such responses took.
async fn twice(response: &str) -> (String, Option<String>, usize) {
    let origin = Origin::saying(response);
    let upstreams = upstreams(config(&[origin.addr]));
    text(get(&upstreams).await).await;
    let second = get(&upstreams).await.unwrap();
    assert!(!second.headers().contains_key("transfer-encoding"), "it has been undone");
    let length = second.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
    (text(Ok(second)).await, length, origin.accepted())
}

#[tokio::test]
async fn content_length_is_one_number() {
    for lines in [
        "Content-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 005",
    ] {
        let (body, length, connections) = twice(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello")).await;
        assert_eq!((body.as_str(), connections), ("hello", 1), "{lines}");
        assert_eq!(length.unwrap().trim_start_matches('0'), "5", "{lines}");
    }
}

#[tokio::test]
async fn transfer_encoding_beats_content_length_and_spoils_the_connection() {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    assert_eq!(twice(&chunked).await, ("hello".to_owned(), None, 1));
    let both = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    assert_eq!(twice(&both).await, ("hello".to_owned(), None, 2));
}

#[tokio::test]
async fn a_body_may_last_until_the_connection_closes() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n"] {
        let origin = Origin::saying_once(format!("{head}\r\nhello"));
        let upstreams = upstreams(config(&[origin.addr]));
        assert_eq!(text(get(&upstreams).await).await, "hello");
        assert_eq!(text(get(&upstreams).await).await, "hello");
    }
}

#[tokio::test]
async fn http_1_0_origins_may_keep_the_connection() {
    let response = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(twice(response).await.2, 1);
}

#[tokio::test]
async fn responses_without_content_end_with_their_head() {
    let origin = Origin::saying("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    let upstreams = upstreams(config(&[origin.addr]));
    for method in ["GET", "HEAD"] {
        let response = send(&upstreams, request(method, "/"), None).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5", "it describes what a 200 would have");
        assert_eq!(text(Ok(response)).await, "");
    }
    assert_eq!(origin.accepted(), 1);

    let origin = Origin::saying("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    let response = get(&crate::rig::upstreams(config(&[origin.addr]))).await.unwrap();
    assert!(!response.headers().contains_key("content-length"));
}

#[tokio::test]
async fn a_head_that_cannot_be_believed_is_a_bad_response() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\nContent-Length: 0\r\n\r\n", "b".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "A: b\r\n".repeat(100));
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(10_000_000));
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5, 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "hello",
        "SSH-2.0-OpenSSH_10.0\r\n",
        &long,
        &many,
        &endless,
    ];
    for head in heads {
        let origin = Origin::saying_once(head);
        let upstreams = upstreams(config(&[origin.addr]));
        let shown = &head[..head.len().min(100)];
        let failure = get(&upstreams).await.map(|response| response.status());
        assert_eq!(failure, Err(Failure::BadResponse), "{shown:?}");
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_says_so() {
    let heads = ["Content-Length: 9\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"];
    for head in heads {
        let origin = Origin::saying_once(format!("HTTP/1.1 200 OK\r\n{head}"));
        let upstreams = upstreams(config(&[origin.addr]));
        let (body, ended) = read(get(&upstreams).await.unwrap()).await;
        assert_eq!((body.as_str(), ended), ("hello", Err(BodyFailure::Truncated)), "{head:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_malformed_say_so() {
    for chunks in [
        "5\r\nhello\r\nx\r\n",
        "5\r\nhelloo\r\n",
        "5\r\nhello\r\n-1\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let origin = Origin::saying(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        let upstreams = upstreams(config(&[origin.addr]));
        let (body, ended) = read(get(&upstreams).await.unwrap()).await;
        assert_eq!((body.as_str(), ended), ("hello", Err(BodyFailure::BadFraming)), "{chunks:?}");
    }
}

#[tokio::test]
async fn a_reset_says_so_even_where_a_close_would_have_been_the_end() {
    for head in ["\r\nhello", "Content-Length: 9\r\n\r\nhello"] {
        let (go, gate) = std::sync::mpsc::channel();
        let gate = std::sync::Mutex::new(gate);
        let origin = Origin::start(move |mut connection, _| {
            connection.request();
            connection.say(format!("HTTP/1.1 200 OK\r\n{head}"));
            // A reset may overtake what was sent, so it waits until that has been read.
            gate.lock().unwrap().recv().unwrap();
            connection.reset();
        });
        let upstreams = upstreams(config(&[origin.addr]));
        let mut response = get(&upstreams).await.unwrap();
        let frame = http_body_util::BodyExt::frame(response.body_mut()).await.unwrap().unwrap();
        assert_eq!(frame.data_ref().unwrap(), "hello");
        go.send(()).unwrap();
        assert_eq!(read(response).await.1, Err(BodyFailure::Reset), "{head:?}");
    }
}

#[tokio::test]
async fn trailers_come_after_the_body() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nTrailer: digest\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nDigest: abc\r\n\r\n",
    );
    let upstreams = upstreams(config(&[origin.addr]));
    let response = get(&upstreams).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    assert_eq!(body.trailers().unwrap()["digest"], "abc");
    assert_eq!(body.to_bytes(), "hello");
}

/// What an origin says too much must not become the answer to the next request.
#[tokio::test]
async fn bytes_beyond_a_response_are_never_the_next_one() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let origin = Origin::start(move |mut connection, number| {
        while connection.request().is_some() {
            let rest = if number == 0 { evil } else { "" };
            connection.say(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello{rest}"));
        }
    });
    let upstreams = upstreams(config(&[origin.addr]));
    for _ in 0..3 {
        assert_eq!(text(get(&upstreams).await).await, "hello");
    }
    assert_eq!(origin.accepted(), 2);
}
