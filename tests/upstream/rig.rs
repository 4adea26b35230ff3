//! Upstreams in front of the test's origins.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use larder::config::{Origin, Upstream};
use larder::upstream::{
    BodyFailure, Failure, OnHints, RequestBody, RequestHead, ResponseBody, Shared, Upstreams,
};

/// Generous, so that only what a test sets can matter.
pub(crate) fn config(servers: &[SocketAddr]) -> Upstream {
    let server = |addr: &SocketAddr| origin(&format!("http://{addr}"));
    Upstream {
        name: "test".to_owned(),
        servers: servers.iter().map(server).collect(),
        connect_timeout: Duration::from_secs(10),
        first_byte_timeout: Duration::from_secs(10),
        between_bytes_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        max_connections: 100,
        host: None,
        ca_file: None,
    }
}

pub(crate) fn origin(url: &str) -> Origin {
    let uri: http::Uri = url.parse().unwrap();
    Origin { scheme: uri.scheme().unwrap().clone(), authority: uri.authority().unwrap().clone() }
}

pub(crate) fn upstreams(config: Upstream) -> Upstreams {
    Upstreams::new(&Shared::new(&[config], 1).unwrap())
}

/// A request without content.
pub(crate) fn request(method: &str, target: &str) -> Request<RequestBody> {
    Request::builder().method(method).uri(target).header("host", "a.test").body(RequestBody::Empty).unwrap()
}

pub(crate) async fn send(
    upstreams: &Upstreams,
    request: Request<RequestBody>,
    hints: Option<OnHints>,
) -> Result<Response<ResponseBody>, Failure> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().unwrap().clone();
    let head = RequestHead { method: parts.method, target, fields: parts.headers };
    upstreams.send(0, &|| head.clone(), body, hints).await
}

pub(crate) async fn get(upstreams: &Upstreams) -> Result<Response<ResponseBody>, Failure> {
    send(upstreams, request("GET", "/"), None).await
}

/// The whole body, or what there was of it and why it ended.
pub(crate) async fn read(response: Response<ResponseBody>) -> (String, Result<(), BodyFailure>) {
    let mut body = response.into_body();
    let mut text = Vec::new();
    let ended = loop {
        match body.frame().await {
            None => break Ok(()),
            Some(Err(failure)) => break Err(failure),
            Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new())),
        }
    };
    (String::from_utf8(text).unwrap(), ended)
}

/// Asserts a whole body.
pub(crate) async fn text(response: Result<Response<ResponseBody>, Failure>) -> String {
    let (text, ended) = read(response.unwrap()).await;
    ended.unwrap();
    text
}
