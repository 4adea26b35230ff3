//! `larder healthcheck`: asks a running Larder whether it is ready, so that a container image needs no other tool.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{refuse, show};
use crate::config::{Config, Overrides, parse_listen};

/// For the whole of it: connecting, asking and being answered.
const LIMIT: Duration = Duration::from_secs(2);

/// A status line needs less; nothing makes this program read on.
const MOST: u64 = 4096;

/// What `larder healthcheck` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The admin listener, or one for probes
    #[arg(long, env = "LARDER_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = address)]
    admin: SocketAddr,
    /// Take the address from this configuration file instead of the above
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Exits 0 if `GET /readyz` is answered 200 within two seconds.
pub fn run(args: &Args) -> ExitCode {
    let address = match &args.config {
        None => args.admin,
        Some(path) => match Overrides::from_environment().and_then(|with| Config::load(path, &with)) {
            Ok(config) => match config.admin.listen.or(config.admin.probe_listen) {
                Some(address) => reachable(address),
                None => return refuse(format_args!("[admin] has neither `listen` nor `probe_listen`")),
            },
            Err(faults) => return show(&faults),
        },
    };
    match within(LIMIT, move || readyz(address)) {
        Ok(200) => ExitCode::SUCCESS,
        Ok(status) => refuse(format_args!("{address} is not ready: it answered {status}")),
        Err(error) => refuse(format_args!("{address} is not ready: {error}")),
    }
}

/// Runs `ask` on a thread of its own and leaves it behind when the time is over. Time-outs of single calls would add
/// up for a peer that sends a byte now and then.
fn within<T: Send + 'static>(
    limit: Duration,
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new().spawn(move || tell.send(ask()))?;
    told.recv_timeout(limit)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

/// The status that `GET /readyz` is answered with.
fn readyz(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(
        format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    let mut start = stream.take(MOST);
    let mut piece = [0; 512];
    while !answer.contains(&b'\n') {
        match start.read(&mut piece)? {
            0 => break,
            n => answer.extend_from_slice(&piece[..n]),
        }
    }
    status(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP"))
}

/// From `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let code = rest.get(..3).filter(|_| rest.get(3).is_none_or(|byte| *byte == b' '))?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// `LARDER_ADMIN` is a URL for other commands.
fn address(text: &str) -> Result<SocketAddr, crate::config::units::Wrong> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let bare = bare.replace("localhost:", "127.0.0.1:");
    parse_listen(&bare).map(reachable)
}

/// What listens on every interface is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
            for byte in answer {
                stream.write_all(&[*byte]).unwrap();
            }
        });
        address
    }

    #[test]
    fn the_status_is_read() {
        assert_eq!(readyz(answering(b"HTTP/1.1 200 OK\r\n\r\n")).unwrap(), 200);
        assert_eq!(readyz(answering(b"HTTP/1.1 503 Not Ready\r\n\r\n")).unwrap(), 503);
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        assert!(readyz(answering(b"")).is_err());
        assert!(readyz(answering(b"SSH-2.0-x\r\n")).is_err());
        assert!(readyz(answering(b"HTTP/1.1 2000 OK\r\n")).is_err());
        assert!(readyz(answering(&[b'x'; 10_000])).is_err());
    }

    #[test]
    fn a_peer_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let error = within(Duration::from_millis(50), move || readyz(address)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for text in ["127.0.0.1:8081", "http://127.0.0.1:8081", "http://localhost:8081/", "0.0.0.0:8081"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:8081", "{text}");
        }
        assert_eq!(address("[::]:8081").unwrap().to_string(), "[::1]:8081");
        assert!(address("nowhere").is_err());
    }
}
