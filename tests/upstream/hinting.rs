//! Interim responses from the origin.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};
use larder::upstream::OnHints;

use crate::origin::Origin;
use crate::rig::{config, request, send, text, upstreams};

/// The final response's fields and body, and the hints' `Link`s, for an origin that says `interim` first.
async fn hinted(interim: &str) -> (HeaderMap, String, Vec<String>) {
    let origin = Origin::saying(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    let upstreams = upstreams(config(&[origin.addr]));
    let hints = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&hints);
    let on_hints: OnHints = Arc::new(move |status, fields: &HeaderMap| {
        assert_eq!(status, StatusCode::EARLY_HINTS);
        seen.lock().unwrap().push(fields["link"].to_str().unwrap().to_owned());
    });
    let response = send(&upstreams, request("GET", "/"), Some(on_hints)).await.unwrap();
    let fields = response.headers().clone();
    let body = text(Ok(response)).await;
    assert_eq!(origin.accepted(), 1);
    let hints = hints.lock().unwrap().clone();
    (fields, body, hints)
}

#[tokio::test]
async fn only_103_is_reported_and_nothing_of_it_stays() {
    let (fields, body, hints) = hinted(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 102 Processing\r\nLink: </b>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </c>\r\n\r\n",
    )
    .await;
    assert_eq!((body.as_str(), hints), ("hello", vec!["</a>".to_owned(), "</c>".to_owned()]));
    assert!(!fields.contains_key("link"));
}

#[tokio::test]
async fn hints_are_few_and_small() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let (_, body, hints) = hinted(&hint.repeat(1000)).await;
    assert_eq!((body.as_str(), hints.len()), ("hello", 8));
    let large = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n{hint}", "a".repeat(10_000));
    let (_, body, hints) = hinted(&large).await;
    assert_eq!((body.as_str(), hints), ("hello", vec!["</a>".to_owned()]));
}

#[tokio::test]
async fn without_anybody_to_tell_they_are_skipped() {
    let origin = Origin::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    let upstreams = upstreams(config(&[origin.addr]));
    assert_eq!(text(send(&upstreams, request("GET", "/"), None).await).await, "hello");
}
