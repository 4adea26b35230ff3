//! A server around a handler that the test writes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use larder::config;
use larder::server::{
    BoxError, ConnectionEvent, ConnectionLimit, Drained, Handler, Listeners, Peer, Rejection, Shutdown,
    ShutdownTrigger, serve,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Answers = dyn Fn(Request<Incoming>, Arc<Peer>) -> Answering + Send + Sync;

#[derive(Clone)]
struct Scripted {
    answers: Arc<Answers>,
    unread: Sender<Refused>,
}

/// Status and named reason.
pub(crate) type Refused = (u16, &'static str);

impl Handler for Scripted {
    type Body = Body;

    fn handle(
        &self,
        head: Parts,
        authority: Arc<str>,
        content: Incoming,
        peer: &Arc<Peer>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        assert_eq!(head.headers.get(HOST).map(HeaderValue::as_bytes), Some(authority.as_bytes()));
        (self.answers)(Request::from_parts(head, content), Arc::clone(peer))
    }

    fn refuse(&self, _: &Parts, rejection: &Rejection, _: &Peer) -> Response<Body> {
        let mut response = ok(rejection.reason);
        *response.status_mut() = rejection.status;
        response
    }

    fn unread(&self, rejection: &Rejection, _: &Peer) {
        let _ = self.unread.send((rejection.status.as_u16(), rejection.reason));
    }
}

/// A server on one thread, stopped when dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    events: Receiver<ConnectionEvent>,
    unread: Receiver<Refused>,
    trigger: Option<ShutdownTrigger>,
    thread: Option<JoinHandle<Drained>>,
}

impl Server {
    pub(crate) fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>, Arc<Peer>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with(config(), handler)
    }

    pub(crate) fn with<F, A>(config: config::Server, handler: F) -> Self
    where
        F: Fn(Request<Incoming>, Arc<Peer>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let (teller, unread) = channel();
        let handler = Scripted {
            answers: Arc::new(move |request, peer| -> Answering { Box::pin(handler(request, peer)) }),
            unread: teller,
        };
        let listeners = Listeners::bind(&config.listen, 1).unwrap();
        let addr = listeners.local_addrs()[0];
        let (trigger, shutdown) = Shutdown::channel();
        let (sender, events) = channel();
        let thread = std::thread::spawn(move || run(listeners, config, sender, handler, shutdown));
        Self { addr, events, unread, trigger: Some(trigger), thread: Some(thread) }
    }

    /// Waits for this event, skipping others.
    pub(crate) fn await_event(&self, wanted: ConnectionEvent) {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(10)).expect("the event does not come");
            if event == wanted {
                return;
            }
        }
    }

    /// Waits until the handler hears of a request head that could not be read.
    pub(crate) fn next_unread(&self) -> Refused {
        self.unread.recv_timeout(Duration::from_secs(10)).expect("the handler hears of nothing")
    }

    pub(crate) fn events_so_far(&self) -> Vec<ConnectionEvent> {
        self.events.try_iter().collect()
    }

    pub(crate) fn begin_stop(&self) {
        self.trigger.as_ref().unwrap().begin();
    }

    pub(crate) fn stop(mut self) -> Drained {
        self.begin_stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.trigger.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            assert!(std::thread::panicking(), "the serving thread panicked");
        }
    }
}

fn run(
    listeners: Listeners,
    config: config::Server,
    events: Sender<ConnectionEvent>,
    handler: Scripted,
    shutdown: Shutdown,
) -> Drained {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = ConnectionLimit::new(config.max_connections);
    let listener = listeners.into_threads().remove(0).remove(0);
    let observer = Arc::new(move |event| {
        let _ = events.send(event);
    });
    runtime.block_on(serve(listener, Arc::new(config), limit, observer, handler, shutdown)).unwrap()
}

/// Generous, so that only what a test sets can matter.
pub(crate) fn config() -> config::Server {
    config::Server {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        threads: 1,
        runtime: config::Runtime::PerThread,
        name: "larder".to_owned(),
        instance: "test".to_owned(),
        trusted_proxies: Vec::new(),
        header_timeout: Duration::from_secs(30),
        stall_timeout: Duration::from_secs(30),
        max_head: 16 * 1024,
        max_fields: 50,
        max_target: 4096,
        max_connections: 100,
        drain_timeout: Duration::from_secs(10),
    }
}

pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn ok(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(full(text))
}

/// Shows the handler's view of a request: method, target, Host and body.
pub(crate) async fn echo(request: Request<Incoming>, _: Arc<Peer>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let host = head.headers.get("host").map_or("-", |host| host.to_str().unwrap());
    let mut line = format!("{} {} {host}", head.method, head.uri);
    match body.collect().await {
        Ok(body) => line.push_str(&format!(" {:?}", String::from_utf8_lossy(&body.to_bytes()))),
        Err(_) => line.push_str(" broken"),
    }
    ok(line)
}
