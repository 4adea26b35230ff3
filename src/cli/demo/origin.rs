//! The example API over HTTP/1.1: one answer for each way of being cached.
//!
//! Every answer takes 200 ms and carries its running number in `Origin-Request`, so that anybody can see which
//! answers are one and the same.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

use super::shop::{Change, Document, Shop};

/// How long every answer takes.
const LATENCY: Duration = Duration::from_millis(200);
/// Most bytes that a PUT or POST may send.
const MAX_CONTENT: usize = 16 * 1024;

/// Serves the example API on `listener` until it is dropped. Needs a Tokio runtime with I/O and time.
///
/// # Errors
///
/// The listener cannot be used by the runtime.
pub async fn serve_origin(listener: std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let api = Arc::new(Api::new());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the example API cannot accept");
                sleep(LATENCY).await;
                continue;
            }
        };
        let api = Arc::clone(&api);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let api = Arc::clone(&api);
                async move { Ok::<_, Infallible>(api.handle(request).await) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            // The client went away: no concern of ours.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = BoxBody<Bytes, Infallible>;

struct Api {
    shop: Mutex<Shop>,
    failing: AtomicBool,
    answers: AtomicU64,
}

impl Api {
    fn new() -> Self {
        Self { shop: Mutex::new(Shop::new()), failing: AtomicBool::new(false), answers: AtomicU64::new(0) }
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let number = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(LATENCY).await;
        let (head, content) = request.into_parts();
        let read = matches!(head.method, Method::GET | Method::HEAD);
        let mut response = match (read, head.uri.path()) {
            (true, path) => self.read(path),
            (false, "/flaky") => self.switch(&head.method, head.uri.query()),
            (false, path) => self.write(&head.method, path, content).await,
        };
        if read {
            answer_condition(&head.headers, &mut response);
        }
        response.headers_mut().insert("origin-request", number.into());
        response
    }

    fn read(&self, path: &str) -> Response<Body> {
        let shop = self.shop.lock();
        let product = |id| shop.product(id);
        let order = |id| shop.order(id);
        let (document, cache_control) = match path.split_at(path.rfind('/').map_or(0, |slash| slash + 1)) {
            ("/", "") => return index(),
            ("/", "products") => (Some(shop.list()), PRODUCTS),
            ("/products/", id) => (id.parse().ok().and_then(product), PRODUCTS),
            ("/orders/", id) => (id.parse().ok().and_then(order), "s-maxage=30"),
            ("/", "me") => return json(StatusCode::OK, "private, max-age=60", &json!({ "name": "you" })),
            ("/", "live") => return self.live(),
            ("/", "stream") => return stream(),
            ("/", "flaky") => return self.flaky(),
            _ => (None, ""),
        };
        document.map_or_else(not_found, |document| show(document, cache_control))
    }

    async fn write(&self, method: &Method, path: &str, content: Incoming) -> Response<Body> {
        let id = path.strip_prefix("/products/").and_then(|id| id.parse().ok());
        let Some(id) = id.filter(|_| matches!(*method, Method::PUT | Method::POST)) else {
            return method_not_allowed();
        };
        let change = match Limited::new(content, MAX_CONTENT).collect().await {
            Ok(content) => serde_json::from_slice::<Change>(&content.to_bytes()),
            Err(_) => return problem(StatusCode::PAYLOAD_TOO_LARGE, "at most 16 KiB"),
        };
        match change.map(|change| self.shop.lock().change(id, change)) {
            Ok(Some(document)) => show(document, "no-store"),
            Ok(None) => not_found(),
            Err(_) => {
                problem(StatusCode::BAD_REQUEST, r#"send {"price_cents":990} or {"name":"..."} or both"#)
            }
        }
    }

    fn live(&self) -> Response<Body> {
        let answers = self.answers.load(Ordering::Relaxed);
        json(StatusCode::OK, "no-store", &json!({ "answers_so_far": answers }))
    }

    fn flaky(&self) -> Response<Body> {
        if self.failing.load(Ordering::Relaxed) {
            return problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "failing, as told; mend it by POST /flaky?fail=0",
            );
        }
        json(StatusCode::OK, "max-age=2, stale-if-error=300", &json!({ "mood": "fine" }))
    }

    fn switch(&self, method: &Method, query: Option<&str>) -> Response<Body> {
        let failing = match query {
            _ if method != Method::POST => return method_not_allowed(),
            Some("fail=1") => true,
            Some("fail=0") => false,
            _ => return problem(StatusCode::BAD_REQUEST, "POST /flaky?fail=1 or /flaky?fail=0"),
        };
        self.failing.store(failing, Ordering::Relaxed);
        json(StatusCode::OK, "no-store", &json!({ "failing": failing }))
    }
}

const PRODUCTS: &str = "max-age=60, stale-while-revalidate=30";

fn index() -> Response<Body> {
    json(
        StatusCode::OK,
        "max-age=60",
        &json!({
            "/products": "all products, fresh for 60 s",
            "/products/42": "one of 100; PUT or POST changes it",
            "/orders/7": "one of 10000, fresh for 30 s in shared caches only (s-maxage)",
            "/me": "private: not for a shared cache",
            "/live": "no-store",
            "/stream": "ten lines, one each 300 ms, fresh for 30 s",
            "/flaky": "fresh for 2 s, stale-if-error; POST /flaky?fail=1 makes it fail, ?fail=0 mends it",
        }),
    )
}

fn show(document: Document, cache_control: &'static str) -> Response<Body> {
    let Document { content, etag, last_modified, tags } = document;
    let mut response = json(StatusCode::OK, cache_control, &content);
    let texts = [
        (ETAG, etag),
        (LAST_MODIFIED, httpdate::fmt_http_date(last_modified)),
        (HeaderName::from_static("cache-tag"), tags),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "GET / tells what there is")
}

fn method_not_allowed() -> Response<Body> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "GET / tells what there is");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST"));
    response
}

fn problem(status: StatusCode, hint: &str) -> Response<Body> {
    json(status, "no-store", &json!({ "hint": hint }))
}

fn json(status: StatusCode, cache_control: &'static str, content: &Value) -> Response<Body> {
    let content = Bytes::from(format!("{content}\n"));
    let mut response = Response::new(Full::new(content).boxed());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response
}

/// `If-None-Match` (RFC 9110 §13.1.2): a 304 if the client has this very representation.
fn answer_condition(request: &HeaderMap, response: &mut Response<Body>) {
    let Some(current) = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()) else { return };
    let listed = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.into_iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
    };
    if request.get_all(IF_NONE_MATCH).iter().any(listed) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Full::default().boxed();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

fn stream() -> Response<Body> {
    let mut response = Response::new(Lines { sent: 0, pause: Box::pin(sleep(Duration::ZERO)) }.boxed());
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=30"));
    response
}

/// Ten lines, at a pace at which they can be watched.
struct Lines {
    sent: u32,
    pause: Pin<Box<Sleep>>,
}

impl Lines {
    const COUNT: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(300);
}

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(context));
        self.sent += 1;
        self.pause = Box::pin(sleep(Self::PAUSE));
        let line = format!("line {} of {}\n", self.sent, Self::COUNT);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(line)))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent >= Self::COUNT
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(serve_origin(listener));
        addr
    }

    async fn open(addr: SocketAddr, request: &str, fields: &str, content: &str) -> TcpStream {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let length = content.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
        );
        stream.write_all((head + content).as_bytes()).await.unwrap();
        stream
    }

    struct Answer {
        status: String,
        head: String,
        body: String,
    }

    impl Answer {
        fn field(&self, name: &str) -> Option<&str> {
            let lines = self.head.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
        }
    }

    async fn send(addr: SocketAddr, request: &str, fields: &str, content: &str) -> Answer {
        let mut answer = String::new();
        open(addr, request, fields, content).await.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let status = head[9..12].to_owned();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(addr: SocketAddr, path: &str) -> Answer {
        send(addr, &format!("GET {path}"), "", "").await
    }

    #[tokio::test(start_paused = true)]
    async fn each_path_says_how_it_may_be_cached() {
        let addr = start();
        let table = [
            ("/", "200", "max-age=60", None),
            ("/products", "200", PRODUCTS, Some("products")),
            ("/products/42", "200", PRODUCTS, Some("product-42,products")),
            ("/products/0", "404", "no-store", None),
            ("/products/x", "404", "no-store", None),
            ("/orders/7", "200", "s-maxage=30", Some("order-7,orders")),
            ("/orders/4294967295", "404", "no-store", None),
            ("/me", "200", "private, max-age=60", None),
            ("/live", "200", "no-store", None),
            ("/flaky", "200", "max-age=2, stale-if-error=300", None),
            ("/nothing/here", "404", "no-store", None),
        ];
        for (number, (path, status, cache_control, tags)) in table.into_iter().enumerate() {
            let answer = get(addr, path).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.field("cache-control"), Some(cache_control), "{path}");
            assert_eq!(answer.field("cache-tag"), tags, "{path}");
            assert_eq!(answer.field("etag").is_some(), tags.is_some(), "{path}");
            assert_eq!(answer.field("last-modified").is_some(), tags.is_some(), "{path}");
            assert_eq!(answer.field("origin-request"), Some((number + 1).to_string().as_str()));
            assert!(serde_json::from_str::<Value>(&answer.body).is_ok(), "{path}: {}", answer.body);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_its_time() {
        let mut stream = open(start(), "GET /products/1", "", "").await;
        let mut byte = [0];
        let early = timeout(LATENCY - Duration::from_millis(1), stream.read_exact(&mut byte)).await;
        assert!(early.is_err(), "too early");
        assert_eq!(stream.read_exact(&mut byte).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_etag_gets_304() {
        let addr = start();
        let etag = get(addr, "/products/42").await.field("etag").unwrap().to_owned();
        for value in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let answer = send(addr, "GET /products/42", &format!("If-None-Match: {value}\r\n"), "").await;
            assert_eq!((answer.status.as_str(), answer.body.as_str()), ("304", ""), "{value}");
            assert_eq!(answer.field("etag"), Some(etag.as_str()));
            assert_eq!(answer.field("cache-control"), Some(PRODUCTS));
        }
        let answer = send(addr, "GET /products/42", "If-None-Match: \"x\"\r\n", "").await;
        assert_eq!(answer.status, "200");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_changes_the_etag_of_product_and_list_only() {
        let addr = start();
        let etags = |paths: [&'static str; 3]| async move {
            let mut etags = Vec::new();
            for path in paths {
                etags.push(get(addr, path).await.field("etag").unwrap().to_owned());
            }
            etags
        };
        let paths = ["/products/42", "/products", "/products/41"];
        let before = etags(paths).await;
        let put = send(addr, "PUT /products/42", "", r#"{"price_cents":990}"#).await;
        assert_eq!((put.status.as_str(), put.field("cache-control")), ("200", Some("no-store")));
        let after = etags(paths).await;
        assert!(
            before[0] != after[0] && before[1] != after[1] && before[2] == after[2],
            "{before:?} {after:?}"
        );
        let product: Value = serde_json::from_str(&get(addr, "/products/42").await.body).unwrap();
        assert_eq!(product["price_cents"], 990);

        let table = [
            ("PUT /products/42", "{\"price\":1}", "400"),
            ("PUT /products/42", "", "400"),
            ("PUT /products/999", "{}", "404"),
            ("PUT /orders/7", "{}", "405"),
            ("DELETE /products/42", "", "405"),
        ];
        for (request, content, status) in table {
            assert_eq!(send(addr, request, "", content).await.status, status, "{request} {content}");
        }
        let large = "x".repeat(MAX_CONTENT + 1);
        assert_eq!(send(addr, "POST /products/42", "", &large).await.status, "413");
    }

    #[tokio::test(start_paused = true)]
    async fn flaky_fails_while_told_to() {
        let addr = start();
        assert_eq!(send(addr, "POST /flaky?fail=1", "", "").await.status, "200");
        let failed = get(addr, "/flaky").await;
        assert_eq!((failed.status.as_str(), failed.field("cache-control")), ("503", Some("no-store")));
        assert_eq!(send(addr, "POST /flaky?fail=0", "", "").await.status, "200");
        assert_eq!(get(addr, "/flaky").await.status, "200");
        assert_eq!(send(addr, "POST /flaky", "", "").await.status, "400");
        assert_eq!(send(addr, "PUT /flaky?fail=1", "", "").await.status, "405");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_comes_line_by_line() {
        let mut stream = open(start(), "GET /stream", "", "").await;
        let mut received = String::new();
        let mut reads = 0;
        let mut buffer = [0; 1024];
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            if n == 0 {
                break;
            }
            reads += 1;
            received += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        assert!(received.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{received}");
        assert_eq!(received.matches("line ").count(), 10);
        assert!(reads >= 10, "{reads} reads");
    }
}
