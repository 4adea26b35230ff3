//! `larder purge`, as a script runs it.

use std::fs;
use std::process::{Command, Output};

use crate::proxy::{Proxy, Setup, assert_forwarded, assert_hit, ours, wait_until};
use crate::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A proxy that has stored `/a` and `/b`.
fn stored(setup: impl FnOnce(Setup) -> Setup) -> (Origin, Proxy) {
    let origin = Origin::start();
    for target in ["/a", "/b"] {
        let tags = format!("t, of{target}");
        origin
            .on(target)
            .respond(ok("x").cache("max-age=60").field("ETag", "\"1\"").field("Cache-Tag", tags));
    }
    let proxy = setup(Proxy::with(&origin).server("instance = \"here\"")).start();
    proxy.get("/a");
    proxy.get("/b");
    (origin, proxy)
}

pub(crate) fn larder(proxy: &Proxy, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_clear().env("LARDER_ADMIN", format!("http://{}", proxy.admin().addr()));
    command.arg("purge").args(args);
    command
}

/// Exit code, standard output, standard error.
pub(crate) fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn it_purges_and_prints_the_answer_into_a_pipe() {
    let (_origin, proxy) = stored(|setup| setup);
    let told = |args: &[&str]| outcome(&mut larder(&proxy, args));
    let done = |json: &str| (Some(0), format!("{json}\n"), String::new());
    assert_eq!(
        told(&["--tag", "t", "--dry-run"]),
        done(r#"{"instance":"here","sequence":null,"soft":false,"entries":2,"dry_run":true}"#)
    );
    assert_hit(&proxy.asks("/a").send());
    assert_eq!(
        told(&["--tag", "of/a", "--url", "http://other.example/"]),
        done(r#"{"instance":"here","sequence":1,"soft":false,"entries":1}"#)
    );
    assert!(!ours(&proxy.get("/a")).hit);
    assert_hit(&proxy.asks("/b").send());
    assert_eq!(
        told(&["--prefix", "http://example.com/b", "--soft"]),
        done(r#"{"instance":"here","sequence":2,"soft":true,"entries":null}"#)
    );
    assert_forwarded(&proxy.get("/b"), "stale");
}

#[test]
fn each_option_purges_what_it_names() {
    let origin = Origin::start();
    for (target, group) in [("/a", "g"), ("/b", "h")] {
        let answer = ok("x").cache("max-age=60").field("Cache-Tag", group);
        origin.on(target).respond(answer.field("Cache-Groups", format!("\"{group}\"")));
    }
    let proxy = Proxy::before(&origin);
    let asks = [
        proxy.asks("/a"),
        proxy.asks("/b"),
        proxy.asks("/a").host("other.example"),
        proxy.asks("/b").host("g"),
    ];
    for (args, purged) in [
        (&["--url", "http://example.com/a"][..], [true, false, false, false]),
        (&["--prefix", "http://example.com/"], [true, true, false, false]),
        (&["--tag", "g"], [true, false, true, false]),
        (&["--host", "example.com"], [true, true, false, false]),
        (&["--host", "g"], [false, false, false, true]),
        (&["--group", "http://example.com#g"], [true, false, false, false]),
        (&["--group", "http://example.com#h", "--host", "other.example"], [false, true, true, false]),
        (&["--everything"], [true; 4]),
    ] {
        for soft in [false, true] {
            asks.iter().for_each(|ask| drop(proxy.send(ask)));
            asks.iter().for_each(|ask| assert_hit(&ask.send()));
            let flag = soft.then_some("--soft");
            let args: Vec<&str> = args.iter().copied().chain(flag).collect();
            let (code, _, stderr) = outcome(&mut larder(&proxy, &args));
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
            let missed = asks.each_ref().map(|ask| !ours(&proxy.send(ask)).hit);
            assert_eq!(missed, purged, "{args:?}");
        }
    }
}

#[test]
fn what_is_soft_can_be_refreshed() {
    let (origin, proxy) = stored(|setup| setup.purge("refresh_entries = 10"));
    origin.on("/a").respond(unchanged().cache("max-age=60"));
    let (code, ..) = outcome(&mut larder(&proxy, &["--tag", "of/a", "--soft", "--refresh"]));
    assert_eq!(code, Some(0));
    // Nobody has asked for it.
    assert!(wait_until(|| origin.count("/a") == 2));
    origin.was_asked("/b", 1);
}

#[test]
fn an_address_may_be_given_without_a_scheme() {
    let (_origin, proxy) = stored(|setup| setup);
    let mut command = larder(&proxy, &["--everything", "--admin", &proxy.admin().addr().to_string()]);
    assert_eq!(outcome(command.env_remove("LARDER_ADMIN")).0, Some(0));
}

#[test]
fn what_is_refused_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    fs::write(&tokens, format!("# of the shop\ndeploy {TOKEN}\n")).unwrap();
    let tokens = tokens.to_str().unwrap();
    let (_origin, proxy) = stored(|setup| setup.purge(&format!("token_file = '{tokens}'")));

    let (code, stdout, stderr) = outcome(&mut larder(&proxy, &["--tag", "t"]));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with("larder: http://127.0.0.1:") && stderr.ends_with("(token-missing)\n"),
        "{stderr}"
    );
    let mut wrong = larder(&proxy, &["--tag", "t"]);
    let (code, _, stderr) = outcome(wrong.env("LARDER_TOKEN", "fedcba9876543210"));
    assert!(code == Some(1) && stderr.ends_with("(token-wrong)\n"), "{stderr}");
    let mut short = larder(&proxy, &["--tag", "t"]);
    let (code, _, stderr) = outcome(short.env("LARDER_TOKEN", "short"));
    assert!(code == Some(1) && stderr.contains("LARDER_TOKEN: a token of 5 characters"), "{stderr}");
    assert_hit(&proxy.asks("/a").send());

    assert_eq!(outcome(&mut larder(&proxy, &["--tag", "of/a", "--token-file", tokens])).0, Some(0));
    assert_eq!(outcome(larder(&proxy, &["--tag", "of/b"]).env("LARDER_TOKEN", TOKEN)).0, Some(0));
    assert!(!ours(&proxy.asks("/a").send()).hit && !ours(&proxy.asks("/b").send()).hit);
    let malformed = outcome(&mut larder(&proxy, &["--url", "/a", "--token-file", tokens]));
    assert!(
        malformed.0 == Some(1) && malformed.2.contains("`/a` is not a URL; it has no host"),
        "{malformed:?}"
    );
}

#[test]
fn where_nobody_answers_it_says_how_to_say_where() {
    let (_origin, proxy) = stored(|setup| setup);
    let mut command = larder(&proxy, &["--everything"]);
    let (code, stdout, stderr) = outcome(command.env("LARDER_ADMIN", "127.0.0.1:1"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("http://127.0.0.1:1 cannot be asked: Connection refused"), "{stderr}");
    assert!(stderr.contains("LARDER_ADMIN"), "{stderr}");
}

#[test]
fn what_is_not_understood_exits_2() {
    let (_origin, proxy) = stored(|setup| setup);
    for (args, message) in [
        (&[][..], "required"),
        (&["--soft"], "required"),
        (&["--tag"], "--tag <TAG>"),
        (&["--tag", "t", "--refresh"], "--soft"),
        (&["--tag", "t", "--admin", "ftp://h"], "write http:// or https://"),
        (&["product-42"], "unexpected argument"),
    ] {
        let (code, stdout, stderr) = outcome(&mut larder(&proxy, args));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
    assert_hit(&proxy.asks("/a").send());
}
