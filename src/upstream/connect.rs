//! New connections: TCP, then TLS where the scheme asks for it, both within one timeout.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::failure::Failure;
use super::request_body::BoxError;

type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Connects to the server that a URI names.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<TcpConnector>,
    timeout: Duration,
}

impl Connector {
    /// `timeout` is for name resolution, TCP and TLS together.
    pub(super) fn new(tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self { https: HttpsConnector::from((TcpConnector, tls)), timeout }
    }

    /// Connects to the server that `uri` names.
    pub(super) async fn connect(mut self, uri: Uri) -> Result<MaybeHttpsStream<Tcp>, ConnectError> {
        match timeout(self.timeout, self.https.call(uri)).await {
            Ok(connected) => connected.map_err(ConnectError::of),
            Err(_elapsed) => Err(ConnectError::Timeout),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Tcp(TcpError),
    #[error("TLS: {0}")]
    Tls(BoxError),
    #[error("not connected in time")]
    Timeout,
}

impl ConnectError {
    /// What fails below TLS is a `TcpError`; the rest is TLS.
    fn of(error: BoxError) -> Self {
        match error.downcast() {
            Ok(tcp) => Self::Tcp(*tcp),
            Err(other) => Self::Tls(other),
        }
    }

    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Tcp(_) => Failure::Connect,
            Self::Tls(_) => Failure::Tls,
            Self::Timeout => Failure::ConnectTimeout,
        }
    }
}

#[derive(Debug, Error)]
#[error("TCP: {0}")]
pub(super) struct TcpError(#[from] io::Error);

#[derive(Clone, Debug)]
struct TcpConnector;

impl Service<Uri> for TcpConnector {
    type Response = Tcp;
    type Error = TcpError;
    type Future = Connecting<Tcp, TcpError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        Box::pin(connect(server))
    }
}

/// Tries the addresses that the name resolves to, in their order. Names are resolved on tokio's blocking pool.
async fn connect(server: Uri) -> Result<Tcp, TcpError> {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let default_port = if server.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let stream = TcpStream::connect((host, server.port_u16().unwrap_or(default_port))).await?;
    stream.set_nodelay(true)?;
    Ok(Tcp(TokioIo::new(stream)))
}

/// A TCP connection, as hyper-rustls wants it.
#[derive(Debug)]
pub(super) struct Tcp(TokioIo<TcpStream>);

impl Connection for Tcp {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match bufs {
            // A head without content, as most requests are: a list of one costs the kernel more than what is in it.
            [only] => Pin::new(&mut self.0).poll_write(cx, only),
            _ => Pin::new(&mut self.0).poll_write_vectored(cx, bufs),
        }
    }
}
