//! Larder between programs that nobody here wrote: curl in front, nginx and Python's `http.server` behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::proxy::{Proxy, Setup, wait_until};

const PAGE: &str = "<p>0123456789</p>\n";

/// A process that is ended with the test.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// nginx serving `directory`, with an hour of freshness under `/cached/`.
fn nginx(directory: &Path) -> Server {
    let port = free_port();
    let home = directory.display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {home}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
           access_log off; default_type text/html;\n\
           client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;\n\
           uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;\n\
           server {{ listen 127.0.0.1:{port}; root {home}/files; location /cached/ {{ expires 1h; }} }}\n\
         }}\n"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let program = program.iter().find(|path| Path::new(path).exists());
    let program = program.expect("nginx is not there: apt-get install nginx-light (scripts/test does)");
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-c"]).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = command.spawn().expect("nginx starts");
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let server = Server { process, addr };
    assert!(wait_until(|| TcpStream::connect(addr).is_ok()), "nginx does not listen on {addr}");
    server
}

/// `python3 -m http.server` serving `directory`.
fn python(directory: &Path) -> Server {
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().expect("python3 is not there: apt-get install python3");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Serving HTTP on 127.0.0.1 port 40001 (http://127.0.0.1:40001/) ...
    let port = line.split(' ').skip_while(|word| *word != "port").nth(1).and_then(|port| port.parse().ok());
    let port = port.unwrap_or_else(|| panic!("python3 -m http.server says {line:?}"));
    Server { process, addr: SocketAddr::from(([127, 0, 0, 1], port)) }
}

/// What curl got: the head as it came, the content, and what `-w '%{http_code}'` says.
struct Curled {
    head: String,
    content: String,
    status: u16,
}

impl Curled {
    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1).next_back()
    }

    fn is_hit(&self) -> bool {
        self.field("Cache-Status").is_some_and(|status| status.contains("larder; hit"))
    }
}

fn curl(proxy: &Proxy, target: &str, options: &[&str]) -> Curled {
    let directory = tempfile::tempdir().unwrap();
    let (head, content) = (directory.path().join("head"), directory.path().join("content"));
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "5", "-w", "%{http_code}", "-D"]).arg(&head).arg("-o").arg(&content);
    command.args(options).arg(format!("http://{}{target}", proxy.client().addr()));
    let output = command.output().expect("curl is not there: apt-get install curl (scripts/test does)");
    assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    proxy.settle();
    Curled {
        head: fs::read_to_string(head).unwrap(),
        content: fs::read_to_string(content).unwrap_or_default(),
        status: String::from_utf8_lossy(&output.stdout).parse().unwrap(),
    }
}

fn files(directory: &Path) {
    for place in ["files/cached", "files/plain"] {
        fs::create_dir_all(directory.join(place)).unwrap();
        fs::write(directory.join(place).join("page.html"), PAGE).unwrap();
    }
}

#[test]
fn nginx_and_curl_are_content() {
    let directory = tempfile::tempdir().unwrap();
    files(directory.path());
    let server = nginx(directory.path());
    let proxy = Setup::before(server.addr).system_clock().start();

    let first = curl(&proxy, "/cached/page.html", &[]);
    assert_eq!((first.status, first.content.as_str(), first.is_hit()), (200, PAGE, false), "{}", first.head);
    let hit = curl(&proxy, "/cached/page.html", &[]);
    assert_eq!((hit.status, hit.content.as_str(), hit.is_hit()), (200, PAGE, true), "{}", hit.head);
    let head = curl(&proxy, "/cached/page.html", &["--head"]);
    assert_eq!(
        (head.status, head.field("Content-Length"), head.is_hit()),
        (200, Some("18"), true),
        "{}",
        head.head
    );

    let tag = hit.field("ETag").expect("nginx sends an entity tag").to_owned();
    let modified = hit.field("Last-Modified").expect("nginx sends a date").to_owned();
    let known = curl(&proxy, "/cached/page.html", &["-H", &format!("If-None-Match: {tag}")]);
    assert_eq!((known.status, known.content.as_str(), known.is_hit()), (304, "", true), "{}", known.head);
    let known = curl(&proxy, "/cached/page.html", &["-H", &format!("If-Modified-Since: {modified}")]);
    assert_eq!(known.status, 304, "{}", known.head);
    let other = curl(&proxy, "/cached/page.html", &["-H", "If-None-Match: \"other\""]);
    assert_eq!((other.status, other.content.as_str()), (200, PAGE), "{}", other.head);

    let part = curl(&proxy, "/cached/page.html", &["--range", "3-6"]);
    assert_eq!((part.status, part.content.as_str(), part.is_hit()), (206, "0123", true), "{}", part.head);
    let beyond = curl(&proxy, "/cached/page.html", &["--range", "100-"]);
    assert_eq!((beyond.status, beyond.field("Content-Range")), (416, Some("bytes */18")), "{}", beyond.head);

    let missing = curl(&proxy, "/cached/missing", &[]);
    assert_eq!(missing.status, 404, "{}", missing.head);
}

#[test]
fn nginx_is_asked_for_parts_and_about_validators() {
    let directory = tempfile::tempdir().unwrap();
    files(directory.path());
    let server = nginx(directory.path());
    let proxy = Setup::before(server.addr).system_clock().start();

    let part = curl(&proxy, "/cached/page.html", &["--range", "0-4"]);
    assert_eq!((part.status, part.content.as_str()), (206, "<p>01"), "{}", part.head);
    let rest = curl(&proxy, "/cached/page.html", &["--range", "5-17"]);
    assert_eq!((rest.status, rest.content.as_str()), (206, "23456789</p>\n"), "{}", rest.head);
    let whole = curl(&proxy, "/cached/page.html", &[]);
    assert_eq!((whole.status, whole.content.as_str()), (200, PAGE), "{}", whole.head);

    // Without a lifetime everything is passed on, conditions are answered all the same.
    let plain = curl(&proxy, "/plain/page.html", &[]);
    assert_eq!((plain.status, plain.is_hit()), (200, false), "{}", plain.head);
    let tag = plain.field("ETag").unwrap().to_owned();
    let known = curl(&proxy, "/plain/page.html", &["-H", &format!("If-None-Match: {tag}")]);
    assert_eq!((known.status, known.is_hit()), (304, false), "{}", known.head);
    let refused = curl(&proxy, "/plain/page.html", &["-X", "DELETE"]);
    assert_eq!(refused.status, 405, "{}", refused.head);
}

#[test]
fn python_and_curl_are_content() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("page.html"), PAGE).unwrap();
    let server = python(directory.path());
    // It is an HTTP/1.0 server without freshness or entity tags: the route gives a lifetime.
    let proxy = Setup::before(server.addr).system_clock().route("ttl = \"1h\"").start();

    let first = curl(&proxy, "/page.html", &[]);
    assert_eq!((first.status, first.content.as_str(), first.is_hit()), (200, PAGE, false), "{}", first.head);
    let hit = curl(&proxy, "/page.html", &[]);
    assert_eq!((hit.status, hit.content.as_str(), hit.is_hit()), (200, PAGE, true), "{}", hit.head);
    let modified = hit.field("Last-Modified").expect("a date").to_owned();
    let known = curl(&proxy, "/page.html", &["-H", &format!("If-Modified-Since: {modified}")]);
    assert_eq!((known.status, known.is_hit()), (304, true), "{}", known.head);
    let part = curl(&proxy, "/page.html", &["--range", "3-6"]);
    assert_eq!((part.status, part.content.as_str()), (206, "0123"), "{}", part.head);
    let head = curl(&proxy, "/page.html", &["--head"]);
    assert_eq!((head.status, head.is_hit()), (200, true), "{}", head.head);
    assert_eq!(curl(&proxy, "/missing.html", &[]).status, 404);
    let listing = curl(&proxy, "/", &[]);
    assert!(listing.status == 200 && listing.content.contains("page.html"), "{}", listing.head);
    let refused = curl(&proxy, "/page.html", &["-d", "x=1"]);
    assert_eq!(refused.status, 501, "{}", refused.head);
    assert!(curl(&proxy, "/page.html", &[]).is_hit(), "a failed POST invalidates nothing");
}
