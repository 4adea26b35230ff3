//! `larder purge`: has a running Larder purge.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::client::{self, Admin};
use super::{refuse, show};
use crate::config::{Origin, Overrides, Secret, read_token_file};

/// What `larder purge` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("targets").required(true).multiple(true),
    after_help = "Targets are repeatable and purged together. URLs, prefixes and hosts reach both http and https; without a \
                  port they reach every port.\nLARDER_TOKEN stands in for --token-file. Exits 0 once it is purged, 1 if it is \
                  not."
)]
pub struct Args {
    /// The admin listener
    #[arg(long, env = "LARDER_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:8081", value_parser = client::parse_admin)]
    admin: Origin,
    /// Send the first token in this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Every variant of this URL
    #[arg(long, value_name = "URL", group = "targets")]
    url: Vec<String>,
    /// Whatever carries this tag (Cache-Tag, Surrogate-Key, xkey)
    #[arg(long, value_name = "TAG", group = "targets")]
    tag: Vec<String>,
    /// Whatever belongs to this group (Cache-Groups), such as `https://example.com#products`
    #[arg(long, value_name = "ORIGIN#NAME", group = "targets")]
    group: Vec<String>,
    /// Every URL that begins like this, such as `http://example.com/products/`
    #[arg(long, value_name = "URL", group = "targets")]
    prefix: Vec<String>,
    /// Everything of this host
    #[arg(long, value_name = "HOST", group = "targets")]
    host: Vec<String>,
    /// All that is stored
    #[arg(long, group = "targets")]
    everything: bool,
    /// Make it stale instead of dropping it
    #[arg(long)]
    soft: bool,
    /// Fetch anew at once what is asked for most
    #[arg(long, requires = "soft")]
    refresh: bool,
    /// Only count what would be purged
    #[arg(long)]
    dry_run: bool,
}

/// Exits 0 once the purge is published, which is when Larder answers.
pub fn run(args: &Args) -> ExitCode {
    let token = match &args.token_file {
        Some(path) => match read_token_file(path).map(|tokens| tokens.into_iter().next()) {
            Ok(Some(token)) => Some(token.secret),
            Ok(None) => return refuse(format_args!("there is no token in {}", path.display())),
            Err(wrong) => return refuse(format_args!("{wrong}")),
        },
        None => match Overrides::from_environment() {
            Ok(overrides) => overrides.token.map(|token| token.secret),
            Err(faults) => return show(&faults),
        },
    };
    match purge(args, token.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => refuse(format_args!("{why}")),
    }
}

/// What the admin listener is asked.
#[derive(Serialize)]
struct Asked<'a> {
    urls: &'a [String],
    tags: &'a [String],
    groups: &'a [String],
    prefixes: &'a [String],
    hosts: &'a [String],
    everything: bool,
    soft: bool,
    refresh: bool,
    dry_run: bool,
}

/// What it answers.
#[derive(Deserialize)]
struct Told {
    sequence: Option<u64>,
    entries: Option<u64>,
}

fn purge(args: &Args, token: Option<&Secret>) -> Result<(), String> {
    let asked = Asked {
        urls: &args.url,
        tags: &args.tag,
        groups: &args.group,
        prefixes: &args.prefix,
        hosts: &args.host,
        everything: args.everything,
        soft: args.soft,
        refresh: args.refresh,
        dry_run: args.dry_run,
    };
    let json = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    let content = Admin { origin: &args.admin, token }.post("/purge", json)?;
    let told: Told = serde_json::from_slice(&content)
        .map_err(|_| format!("{} does not answer as Larder does", args.admin))?;
    let mut stdout = std::io::stdout();
    let written = if stdout.is_terminal() {
        writeln!(stdout, "{}", sentence(&told, args))
    } else {
        stdout.write_all(&content)
    };
    // The purge is made, whoever hears of it.
    written.map_err(|error| format!("it is done, but standard output: {error}"))
}

/// For people.
fn sentence(told: &Told, args: &Args) -> String {
    let what = match told.entries {
        None => "an uncounted number of entries".to_owned(),
        Some(1) => "1 entry".to_owned(),
        Some(count) => format!("{count} entries"),
    };
    let done = match (args.dry_run, args.soft) {
        (true, true) => format!("would make {what} stale"),
        (true, false) => format!("would purge {what}"),
        (false, true) => format!("made {what} stale"),
        (false, false) => format!("purged {what}"),
    };
    let hint = match told.entries {
        None if !args.dry_run => "; --dry-run counts those of a prefix",
        _ => "",
    };
    match told.sequence {
        Some(sequence) => format!("{done} (purge {sequence}){hint}"),
        None => done,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn said(line: &str, sequence: Option<u64>, entries: Option<u64>) -> String {
        let line = Line::try_parse_from(["purge"].into_iter().chain(line.split(' '))).unwrap();
        sentence(&Told { sequence, entries }, &line.args)
    }

    #[test]
    fn people_are_told_in_a_sentence() {
        assert_eq!(said("--tag a", Some(7), Some(3)), "purged 3 entries (purge 7)");
        assert_eq!(said("--tag a --soft", Some(8), Some(1)), "made 1 entry stale (purge 8)");
        assert_eq!(said("--everything --dry-run", None, Some(0)), "would purge 0 entries");
        assert_eq!(
            said("--prefix h/a", Some(9), None),
            "purged an uncounted number of entries (purge 9); --dry-run counts those of a prefix"
        );
    }
}
