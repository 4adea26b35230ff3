//! `larder check`: what is wrong with a configuration file, or what it amounts to.

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use http::{Method, Uri};

use super::{refuse, show};
use crate::config::units::{show_duration, show_size};
use crate::config::{Config, LogFormat, Overrides, Purge, Route, Upstream};
use crate::route;

/// What `larder check` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Say which route and upstream would take this URL; exit 1 if none would
    #[arg(long, value_name = "URL", value_parser = absolute)]
    url: Option<Uri>,
    /// The method to ask `--url` for
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "url")]
    method: Method,
}

/// Prints a summary of a sound configuration to standard output, or every fault to standard error.
pub fn run(args: &Args) -> ExitCode {
    let config = Overrides::from_environment().and_then(|overrides| Config::load(&args.config, &overrides));
    let config = match config {
        Ok(config) => config,
        Err(faults) => return show(&faults),
    };
    let mut text = format!("{}: no faults\n{}", args.config.display(), Summary(&config));
    let mut taken = true;
    if let Some(url) = &args.url {
        taken = describe_route(&mut text, &config, url, &args.method);
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) if taken => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => refuse(format_args!("standard output: {error}")),
    }
}

/// Writes which route takes the URL; `false`: none does.
fn describe_route(out: &mut String, config: &Config, url: &Uri, method: &Method) -> bool {
    let host = url.host().unwrap_or_default();
    let Some(route) = route::select(config, host, url.path(), method) else {
        let _ = writeln!(out, "{method} {url}: no route takes it");
        return false;
    };
    let upstream = &config.upstreams[route.upstream];
    let _ = writeln!(out, "{method} {url}: route {}, upstream {}", route.name, ShowUpstream(upstream));
    true
}

fn absolute(text: &str) -> Result<Uri, String> {
    match text.parse::<Uri>() {
        Ok(url) if url.scheme().is_some() && url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Ok(_) => Err("write it with scheme and host, such as http://api.example.com/products".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Listeners, limits, upstreams and routes, a line each.
struct Summary<'c>(&'c Config);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { server, admin, purge, cache, log, upstreams, routes } = self.0;
        writeln!(f, "listen    {}; {} threads", list(&server.listen), server.threads)?;
        match admin.listen {
            Some(address) => writeln!(f, "admin     {address}")?,
            None => writeln!(f, "admin     off")?,
        }
        if let Some(address) = admin.probe_listen {
            writeln!(f, "probes    {address}")?;
        }
        writeln!(f, "purge     {}", ShowPurge(purge))?;
        writeln!(f, "memory    {}; objects up to {}", show_size(cache.memory), show_size(cache.max_object))?;
        let access = match log.access {
            None => "off",
            Some(LogFormat::Text) => "text",
            Some(LogFormat::Json) => "json",
        };
        writeln!(f, "access    {access}")?;
        for upstream in upstreams {
            writeln!(f, "upstream  {}", ShowUpstream(upstream))?;
        }
        for route in routes {
            writeln!(f, "route     {}", ShowRoute(route, &upstreams[route.upstream]))?;
        }
        Ok(())
    }
}

/// Who may purge, and by which door.
struct ShowPurge<'c>(&'c Purge);

impl Display for ShowPurge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Purge { token_file, token, allow, .. } = self.0;
        let mut who = Vec::new();
        who.extend(token_file.as_ref().map(|path| format!("tokens in {}", path.display())));
        who.extend(token.as_ref().map(|token| format!("the token in {}", token.name)));
        if who.is_empty() {
            who.push("by the admin listener, without a token".to_owned());
        }
        if !allow.is_empty() {
            who.push(format!("PURGE from {}", list(allow)));
        }
        write!(f, "{}", who.join("; "))
    }
}

struct ShowUpstream<'c>(&'c Upstream);

impl Display for ShowUpstream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.name, list(&self.0.servers))
    }
}

struct ShowRoute<'c>(&'c Route, &'c Upstream);

impl Display for ShowRoute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(route, upstream) = self;
        let mut takes = Vec::new();
        if !route.methods.is_empty() {
            takes.push(list(&route.methods));
        }
        if !route.hosts.is_empty() {
            takes.push(list(&route.hosts));
        }
        takes.extend(route.path.as_ref().map(|path| path.glob().to_string()));
        let takes = if takes.is_empty() { "everything".to_owned() } else { takes.join(" ") };
        write!(f, "{}: {takes} -> {}", route.name, upstream.name)?;
        if !route.rules.cache {
            write!(f, ", not cached")?;
        }
        match route.rules.ttl {
            Some(ttl) => write!(f, ", ttl {}", show_duration(ttl)),
            None => Ok(()),
        }
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
