//! TLS: whom to trust, and where a body ends.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use larder::config::Upstream;
use larder::upstream::{BodyFailure, Failure, SetupError, Shared};
use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;

use crate::origin::Origin;
use crate::rig::{config, get, origin, read, text, upstreams};

/// A certificate for `localhost`, and the file that makes it trusted.
struct Identity {
    config: Arc<ServerConfig>,
    ca_file: NamedTempFile,
}

fn identity() -> Identity {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut ca_file = NamedTempFile::new().unwrap();
    ca_file.write_all(certified.cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    Identity { config: Arc::new(config), ca_file }
}

/// How a TLS connection ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    CloseNotify,
    JustClose,
}

/// Answers each connection's first request with `answer` and ends it as told.
fn secure_origin(identity: &Identity, answer: &'static str, end: End) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let config = Arc::clone(&identity.config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that does not trust us ends the handshake; the next one may.
            let _ = answer_once(stream.unwrap(), Arc::clone(&config), answer, end);
        }
    });
    addr
}

fn answer_once(stream: TcpStream, config: Arc<ServerConfig>, answer: &str, end: End) -> std::io::Result<()> {
    use std::io::Read;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let session = ServerConnection::new(config).unwrap();
    let mut stream = StreamOwned::new(session, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    stream.write_all(answer.as_bytes())?;
    if end == End::CloseNotify {
        stream.conn.send_close_notify();
    }
    stream.flush()
}

fn trusting(identity: &Identity, addr: SocketAddr) -> Upstream {
    let servers = vec![origin(&format!("https://localhost:{}", addr.port()))];
    Upstream { servers, ca_file: Some(identity.ca_file.path().to_owned()), ..config(&[]) }
}

const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello";

#[tokio::test]
async fn a_body_until_the_end_needs_close_notify() {
    let identity = identity();
    for (end, expected) in [(End::CloseNotify, Ok(())), (End::JustClose, Err(BodyFailure::Truncated))] {
        let addr = secure_origin(&identity, UNTIL_CLOSE, end);
        let upstreams = upstreams(trusting(&identity, addr));
        let (body, ended) = read(get(&upstreams).await.unwrap()).await;
        assert_eq!((body.as_str(), ended), ("hello", expected));
    }
}

#[tokio::test]
async fn a_body_of_known_length_does_not() {
    let identity = identity();
    let addr = secure_origin(&identity, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", End::JustClose);
    assert_eq!(text(get(&upstreams(trusting(&identity, addr))).await).await, "hello");
}

#[tokio::test]
async fn strangers_are_not_trusted() {
    let (ours, theirs) = (identity(), identity());
    let addr = secure_origin(&theirs, UNTIL_CLOSE, End::CloseNotify);
    let failure = get(&upstreams(trusting(&ours, addr))).await.unwrap_err();
    assert_eq!(failure.as_str(), "tls-failed");

    let by_address = origin(&format!("https://{addr}"));
    let misnamed = Upstream { servers: vec![by_address], ..trusting(&theirs, addr) };
    assert_eq!(get(&upstreams(misnamed)).await.unwrap_err(), Failure::Tls);
}

#[tokio::test]
async fn plain_servers_do_not_speak_tls() {
    let plain = Origin::start(|mut connection, _| connection.say("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let upstreams = upstreams(trusting(&identity(), plain.addr));
    assert_eq!(get(&upstreams).await.unwrap_err(), Failure::Tls);
}

#[tokio::test]
async fn the_handshake_counts_as_connecting() {
    let silent = Origin::start(|connection, _| {
        let _open = connection.into_stream();
        std::thread::sleep(Duration::from_secs(10));
    });
    let identity = identity();
    let quick = Upstream { connect_timeout: Duration::from_millis(200), ..trusting(&identity, silent.addr) };
    assert_eq!(get(&upstreams(quick)).await.unwrap_err(), Failure::ConnectTimeout);
}

#[test]
fn a_ca_file_without_certificates_is_refused_at_the_start() {
    let empty = NamedTempFile::new().unwrap();
    let servers = vec![origin("https://localhost")];
    let config = Upstream { servers, ca_file: Some(empty.path().to_owned()), ..config(&[]) };
    let error = Shared::new(&[config], 1).unwrap_err();
    assert!(matches!(error, SetupError::CaFile { .. }));
    assert!(error.to_string().contains(&*empty.path().to_string_lossy()), "{error}");
}
