//! An origin that speaks TLS, where an end must be told apart from a cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::proxy::{Proxy, Setup, assert_hit, assert_problem};
use crate::support::PATIENCE;

/// How the origin ends a connection.
#[derive(Clone, Copy, PartialEq)]
enum Farewell {
    /// With a close_notify alert, as TLS wants it.
    Said,
    /// By closing the TCP connection.
    Unsaid,
}

/// An https origin that answers every request with `answer` and then ends the connection; its URL, and where its
/// certificate is.
struct TlsOrigin {
    url: String,
    certificate: PathBuf,
    _directory: tempfile::TempDir,
}

fn tls_origin(answer: &'static str, farewell: Farewell) -> TlsOrigin {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let certificate = directory.path().join("origin.pem");
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            let mut secured = Stream::new(&mut tls, &mut stream);
            let mut head = BufReader::new(&mut secured).lines();
            if !head.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
                continue;
            }
            secured.write_all(answer.as_bytes()).unwrap();
            if farewell == Farewell::Said {
                tls.send_close_notify();
                tls.write_tls(&mut stream).unwrap();
            }
            // Closed in order at the level of TCP: what the client has not read yet still reaches it.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read(&mut [0]);
        }
    });
    TlsOrigin { url, certificate, _directory: directory }
}

fn before(origin: &TlsOrigin) -> Proxy {
    let trust = format!("ca_file = \"{}\"", origin.certificate.display());
    Setup::default().and(&origin.url).upstream(&trust).start()
}

#[test]
fn content_of_known_length_is_whole_whatever_follows() {
    for farewell in [Farewell::Said, Farewell::Unsaid] {
        let origin = tls_origin(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello",
            farewell,
        );
        let proxy = before(&origin);
        assert_eq!(proxy.asks("/a").send().text(), "hello");
        assert_hit(&proxy.asks("/a").send());
    }
}

#[test]
fn content_without_length_is_whole_if_the_end_was_told() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello";
    let told = tls_origin(answer, Farewell::Said);
    let proxy = before(&told);
    assert_eq!(proxy.asks("/a").send().text(), "hello");
    assert_hit(&proxy.asks("/a").send());
}

/// Without close_notify anybody on the way could have ended the connection early (RFC 9112 §9.8).
#[test]
fn content_without_length_is_cut_if_the_end_was_not_told() {
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello";
    let cut = tls_origin(answer, Farewell::Unsaid);
    let proxy = before(&cut);
    for _ in 0..2 {
        let answered = proxy.asks("/a").send();
        assert!(answered.end.is_err(), "it looks whole: {answered:?}");
    }
}

#[test]
fn an_origin_that_is_not_trusted_is_not_asked() {
    let origin = tls_origin("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Farewell::Said);
    let proxy = Setup::default().and(&origin.url).start();
    let reason = assert_problem(&proxy.asks("/a").send(), 502);
    assert!(reason.contains("tls"), "{reason}");
}
