//! The command line, as a shell or a container sees it: exit codes, and what goes to which stream.

// Clippy lets these pass in test functions, but not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use assert_cmd::Command;
use clap::Parser;
use larder::cli::serve;

fn larder(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_clear().args(args).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config"));
    command
}

/// Exit code, standard output, standard error.
fn outcome(args: &[&str]) -> (Option<i32>, String, String) {
    let output = larder(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_sums_up_a_sound_file() {
    let (code, stdout, stderr) = outcome(&["check", "--config", "valid/api.toml"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (threads, rest): (Vec<&str>, Vec<&str>) =
        stdout.lines().partition(|line| line.starts_with("listen "));
    assert!(threads[0].starts_with("listen    127.0.0.1:8080, [::1]:8080; "), "{stdout}");
    assert_eq!(
        rest,
        [
            "valid/api.toml: no faults",
            "admin     [::1]:8081",
            "probes    0.0.0.0:9090",
            "purge     by the admin listener, without a token",
            "memory    512MiB; objects up to 32MiB",
            "access    json",
            "upstream  api (http://10.0.0.5:3000, http://10.0.0.6:3000)",
            "upstream  images (https://images.internal)",
            "route     private: /api/account/** -> api, not cached",
            "route     api: api.example.com, *.api.example.com /api/** -> api, ttl 5m",
            "route     route-3: GET images.example.com -> images",
        ]
    );
}

#[test]
fn check_tells_which_route_takes_a_url() {
    let ask = |more: &[&str]| {
        let (code, stdout, _) = outcome(&[&["check", "--config", "valid/api.toml"], more].concat());
        (code, stdout.lines().last().unwrap_or_default().to_owned())
    };
    assert_eq!(
        ask(&["--url", "http://API.example.com:8080/api/products?page=2"]),
        (
            Some(0),
            "GET http://API.example.com:8080/api/products?page=2: route api, upstream api \
             (http://10.0.0.5:3000, http://10.0.0.6:3000)"
                .to_owned()
        )
    );
    assert_eq!(
        ask(&["--url", "http://images.example.com/a.png", "--method", "POST"]),
        (Some(1), "POST http://images.example.com/a.png: no route takes it".to_owned())
    );
}

#[test]
fn check_lists_every_fault_in_a_pipe_without_colours() {
    let file = "invalid/unknown_keys.toml";
    let (code, stdout, stderr) = outcome(&["check", "--config", file]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
    assert!(
        stderr.contains(
            "invalid/unknown_keys.toml:27:1: unknown key `ttll` in [[route]], did you mean `ttl`?\n"
        ),
        "{stderr}"
    );
    let expected = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config/invalid/unknown_keys.txt"),
    );
    let expected = expected.unwrap();
    let (lines, _) = expected.split_once("\n---- on a terminal").unwrap();
    assert_eq!(stderr, lines.replace("unknown_keys.toml:", "invalid/unknown_keys.toml:"));
}

#[test]
fn check_of_a_file_that_is_not_there_fails() {
    let (code, stdout, stderr) = outcome(&["check", "--config", "none.toml"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("none.toml: it cannot be read: No such file"), "{stderr}");
}

#[test]
fn what_is_not_understood_exits_2_and_says_what_would_be_right() {
    for (args, message) in [
        (&["chekc"][..], "a similar subcommand exists: 'check'"),
        (&[][..], "Usage: larder"),
        (&["check"][..], "--config <FILE>"),
        (&["check", "--config", "valid/api.toml", "--url", "/products"][..], "write it with scheme and host"),
        (&["serve"][..], "<--config <FILE>|--origin <URL>>"),
        (&["serve", "--origin", "127.0.0.1:3000"][..], "write \"http://127.0.0.1:3000\""),
        (&["serve", "--origin", "http://h", "--listen", "8080"][..], "write \"127.0.0.1:8080\""),
        (&["serve", "--origin", "http://h", "--memory", "64M"][..], "write \"64MiB\""),
        (&["serve", "--origin", "http://h", "--memory", "64KiB"][..], "it must be at least 1MiB"),
        (&["serve", "--origin", "http://h", "--threads", "0"][..], "0 is not in 1..=1024"),
    ] {
        let (code, _, stderr) = outcome(args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

#[test]
fn help_and_version_succeed() {
    let (code, stdout, _) = outcome(&["--help"]);
    assert_eq!(code, Some(0));
    for subcommand in ["serve", "demo", "check"] {
        assert!(stdout.contains(subcommand), "{stdout}");
    }
    assert!(!stdout.contains("healthcheck"), "it is for containers, not for people");
    assert_eq!(outcome(&["--version"]).1, concat!("larder ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn serve_tells_the_faults_of_its_options_and_exits_1() {
    let (code, _, stderr) =
        outcome(&["serve", "--origin", "http://127.0.0.1:3000", "--admin", "0.0.0.0:8081"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("--admin: 0.0.0.0:8081 can be reached from outside"), "{stderr}");
    let (code, _, stderr) = outcome(&["serve", "--config", "invalid/no_upstream.toml"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("invalid/no_upstream.toml: there is no upstream"), "{stderr}");
}

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    args: serve::Args,
}

#[test]
fn serve_needs_no_file() {
    let line = "larder --listen 127.0.0.1:0 --listen [::1]:0 --origin http://127.0.0.1:3000 \
                --origin https://b.internal --admin [::1]:0 --memory 64MiB --threads 2";
    let args = Serve::parse_from(line.split_whitespace()).args;
    let config = serve::config(&args).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.server.listen.len(), 2);
    let servers: Vec<String> = config.upstreams[0].servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["http://127.0.0.1:3000", "https://b.internal"]);
    assert_eq!(config.admin.listen.map(|address| address.is_ipv6()), Some(true));
    assert_eq!((config.cache.memory, config.server.threads), (64 << 20, 2));
}

#[test]
fn a_health_check_exits_by_what_is_answered() {
    let ask = |status: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let (code, _, stderr) = outcome(&["healthcheck", "--admin", &address]);
        assert!(answering.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
        (code, stderr)
    };
    assert_eq!(ask("200 OK"), (Some(0), String::new()));
    let (code, stderr) = ask("503 Service Unavailable");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is not ready: it answered 503"), "{stderr}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, _, stderr) = outcome(&["healthcheck", "--admin", &free]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("is not ready"), "{stderr}");
}

#[test]
fn a_health_check_finds_its_listener_in_the_environment_or_the_file() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answering = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
    });
    let mut by_environment = larder(&["healthcheck"]);
    by_environment.env("LARDER_ADMIN", format!("http://{address}")).assert().success();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    let text = format!("[admin]\nlisten = 'off'\nprobe_listen = '0.0.0.0:{}'\n", address.port());
    fs::write(&file, text + "[[upstream]]\nservers = 'http://h'\n").unwrap();
    larder(&["healthcheck", "--config"]).arg(&file).assert().success();
    answering.join().unwrap();
}
