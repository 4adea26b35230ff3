//! Asks a running Larder's admin listener, for the commands that do.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;

use crate::config::{Origin, Secret, parse_origin, units::Wrong};

/// For the whole of it: connecting, asking and being answered.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const MOST: usize = 16 << 20;

/// Where the admin listener is, and what to show it.
pub(super) struct Admin<'a> {
    pub(super) origin: &'a Origin,
    pub(super) token: Option<&'a Secret>,
}

/// Reads where an admin listener is: a URL, or an address alone.
pub(super) fn parse_admin(text: &str) -> Result<Origin, Wrong> {
    if text.contains("://") { parse_origin(text) } else { parse_origin(&format!("http://{text}")) }
}

impl Admin<'_> {
    /// Posts JSON, and returns what a 200 holds, or a sentence that says why there is none.
    pub(super) fn post(&self, path: &str, json: Vec<u8>) -> Result<Bytes, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let request = self.request(path, json)?;
        let sent = runtime.block_on(async { tokio::time::timeout(TIMEOUT, send(request)).await });
        let Self { origin, .. } = self;
        match sent {
            Ok(Ok((StatusCode::OK, content))) => Ok(content),
            Ok(Ok((status, content))) => Err(format!("{origin} refused it: {}", explain(status, &content))),
            Ok(Err(error)) => Err(format!(
                "{origin} cannot be asked: {}; --admin or LARDER_ADMIN say where the admin listener is",
                innermost(&*error)
            )),
            Err(_) => Err(format!("{origin} has not answered within {} s", TIMEOUT.as_secs())),
        }
    }

    fn request(&self, path: &str, json: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
        let uri: Uri = format!("{}{path}", self.origin).parse().map_err(|error| format!("{error}"))?;
        let mut request = Request::post(uri).header(CONTENT_TYPE, "application/json");
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        request.body(Full::new(Bytes::from(json))).map_err(|error| error.to_string())
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

async fn send(request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), BoxError> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let response = client.request(request).await?;
    let status = response.status();
    let content = Limited::new(response.into_body(), MOST).collect().await?;
    Ok((status, content.to_bytes()))
}

/// The detail of a problem document (RFC 9457), if it is one.
fn explain(status: StatusCode, content: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        reason: String,
    }
    match serde_json::from_slice(content) {
        Ok(Problem { detail, reason }) => format!("{} ({reason})", detail.trim_end_matches('.')),
        Err(_) => format!("it answered {status}"),
    }
}

/// The libraries in between only say that a client, or a connection, has failed.
fn innermost<'e>(mut error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_left_out() {
        for (text, origin) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://localhost:8081/", "http://localhost:8081"),
            ("https://admin.example", "https://admin.example"),
        ] {
            assert_eq!(parse_admin(text).unwrap().to_string(), origin);
        }
        assert!(parse_admin("http://h/purge").is_err());
        assert!(parse_admin("").is_err());
    }

    #[test]
    fn problems_are_told_in_their_own_words() {
        let problem =
            br#"{"title":"Unauthorized","status":401,"detail":"Send a token.","reason":"token-missing"}"#;
        assert_eq!(explain(StatusCode::UNAUTHORIZED, problem), "Send a token (token-missing)");
        assert_eq!(explain(StatusCode::NOT_FOUND, b"<html>"), "it answered 404 Not Found");
    }
}
