//! `larder demo`: an example API to put a Larder in front of, and what to try with it.
//!
//! - `origin`: the API's HTTP side, slow on purpose
//! - `shop`: what it tells about: products that can be changed, and orders

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread;

mod origin;
mod shop;

pub use origin::serve_origin;

use super::refuse;
use crate::app::{self, Larder};
use crate::config::{Config, Overrides, parse_listen, parse_origin};

/// `larder demo` needs nothing: what it prints can be typed as it stands. The addresses are for whoever has something
/// else there.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Where to accept clients [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Where the admin listener is; loopback only [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    admin: Option<SocketAddr>,
}

/// Runs the example API, a Larder in front of it and the admin listener until a signal ends them.
pub fn run(args: &Args) -> ExitCode {
    match demo(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => refuse(format_args!("{fault}")),
    }
}

fn demo(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let origin = listener.local_addr()?;
    // It ends with the process.
    thread::Builder::new().name("demo-origin".into()).spawn(move || origin_thread(listener))?;
    let origins = [parse_origin(&format!("http://{origin}"))?];
    let overrides = Overrides {
        listen: args.listen.into_iter().collect(),
        admin: args.admin,
        ..Overrides::from_environment()?
    };
    let mut config = Config::for_origins(&origins, &overrides)?;
    // Whoever can reach this machine's loopback addresses may purge, as on the admin listener.
    config.purge.allow =
        vec![IpAddr::from(Ipv4Addr::LOCALHOST).into(), IpAddr::from(Ipv6Addr::LOCALHOST).into()];
    let larder = Larder::start(config)?;
    if let (Some(addr), Some(admin)) = (larder.addrs().first(), larder.admin_addr()) {
        print!("{}", banner(*addr, admin, origin));
    }
    app::run_until_signal(larder)?;
    Ok(())
}

fn origin_thread(listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Err(fault) = runtime.and_then(|runtime| runtime.block_on(serve_origin(listener))) {
        refuse(format_args!("the example API ended: {fault}"));
    }
}

/// What `larder demo` prints once everything listens.
pub fn banner(larder: SocketAddr, admin: SocketAddr, origin: SocketAddr) -> String {
    format!(
        r#"An example API, made slow on purpose (200 ms), with Larder in front:

    Larder   http://{larder}     what there is to ask for: curl http://{larder}/
    admin    http://{admin}     /metrics, /healthz, /readyz, /api/tags, /api/purges
    origin   http://{origin}     the API itself, for comparison

Five lines worth typing:

 1  curl -i http://{larder}/products/42
    Type it twice. First it takes 200 ms and Cache-Status says fwd=uri-miss and stored; then it comes at once,
    and Cache-Status says hit and for how many seconds more (ttl).

 2  seq 50 | xargs -P50 -I{{}} curl -so /dev/null -w '%header{{origin-request}}\n' http://{larder}/orders/7 | sort | uniq -c
    Fifty clients at once, for something not stored yet. All get the answer that carries the same
    Origin-Request number: the API was asked once.

 3  curl http://{larder}/flaky; curl -X POST 'http://{larder}/flaky?fail=1'; sleep 3; curl -i http://{larder}/flaky
    The API now fails, and what is stored has gone stale (max-age=2). But stale-if-error allows it: still 200,
    and Cache-Status tells (fwd=stale, fwd-status=503, ttl below zero). 'fail=0' mends the API.

 4  curl -d tag=product-42 http://{admin}/purge
    Purges whatever the API has tagged so, however much that is; answered once nobody gets it any more. Then
    line 1 takes its 200 ms again. With -d soft=1 it only goes stale, and is served while it is validated.
    So does a change on its way through: curl -X PUT -d '{{"price_cents":990}}' http://{larder}/products/42

 5  curl -s http://{admin}/metrics | grep -E '^larder_(requests|origin_fetches|not_stored)_total.* [1-9]'
    All of the above as numbers: by outcome, by what the origin answered, by reason for not storing.

Also: /stream comes line by line for everyone who asks meanwhile (curl -N), /me is private and /live no-store:
never stored, and Cache-Status says why. Ctrl-C ends the demo.
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_five_lines_to_type_and_all_addresses() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = banner(addr(8080), addr(8081), addr(9000));
        let numbered = |line: &&str| line.starts_with(" ") && line.as_bytes()[1].is_ascii_digit();
        let lines: Vec<&str> = text.lines().filter(|line| line.len() > 4).filter(numbered).collect();
        assert_eq!(lines.len(), 5);
        assert!(
            lines.iter().all(|line| line.contains("curl") && line.contains("127.0.0.1:808")),
            "{lines:?}"
        );
        assert!(text.contains("http://127.0.0.1:9000"));
        assert!(text.contains("%header{origin-request}") && text.contains("'{\"price_cents\":990}'"));
    }
}
