//! Who may purge, by which door, and that nobody else does.

use std::fs;

use serde_json::Value;

use crate::proxy::{Proxy, Setup, assert_hit, assert_problem, ours, wait_until};
use crate::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// An origin with one thing to store, and a proxy that has stored it.
fn stored(setup: impl FnOnce(Setup) -> Setup) -> (Origin, Proxy) {
    let origin = Origin::start();
    origin.on("/a").respond(ok("x").cache("max-age=60").field("Cache-Tag", "t"));
    let proxy = setup(Proxy::with(&origin)).start();
    proxy.get("/a");
    assert_hit(&proxy.asks("/a").send());
    (origin, proxy)
}

/// A directory with a file of tokens, and the line that names it.
fn tokens(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, text).unwrap();
    let line = format!("token_file = \"{}\"", file.display());
    (directory, line)
}

fn post(proxy: &Proxy) -> Ask {
    let ask = proxy.admin().ask("POST", "/purge").host("localhost");
    ask.field("Content-Type", "application/x-www-form-urlencoded").content("tag=t")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn by_default_purge_is_refused_on_the_main_listener() {
    let (origin, proxy) = stored(|setup| setup);
    for ask in [
        proxy.ask("PURGE", "/a"),
        proxy.ask("PURGE", "/a").field("Authorization", bearer("whatever-it-may-be")),
        proxy.ask("PURGE", "/a").field("Cache-Tag", "t"),
        proxy.ask("PURGE", "/a").field("Soft-Purge", "not understood either"),
        proxy.ask("PURGE", "/a").content("x"),
    ] {
        let refused = ask.send();
        let reason = assert_problem(&refused, 403);
        assert!(reason == "purge-not-allowed" || reason == "token-wrong", "{reason}");
        let problem: Value = serde_json::from_str(&refused.text()).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("[purge]"), "says how to enable it: {problem}");
    }
    assert_hit(&proxy.asks("/a").send());
    assert!(origin.requests().iter().all(|request| request.method != "PURGE"), "never forwarded");
}

/// Other methods, and other spellings, are the origin's business.
#[test]
fn only_purge_is_purge() {
    let (origin, proxy) = stored(|setup| setup.purge("allow = [\"127.0.0.1\"]"));
    for method in ["purge", "PURGEALL", "BAN"] {
        origin.on(&format!("{method} /a")).respond(answer(405, "no"));
        assert_eq!(proxy.ask(method, "/a").send().status, 405, "{method}");
    }
    assert_hit(&proxy.asks("/a").send());
}

#[test]
fn an_allowed_address_is_void_behind_a_proxy() {
    let (_origin, proxy) = stored(|setup| setup.purge("allow = [\"127.0.0.1\", \"::1\"]"));
    for name in ["Forwarded", "X-Forwarded-For", "Via", "vIA"] {
        for value in ["127.0.0.1", "for=127.0.0.1", ""] {
            let refused = proxy.ask("PURGE", "/a").field(name, value).send();
            assert_eq!(assert_problem(&refused, 403), "purge-not-allowed", "{name}: {value}");
        }
    }
    // Nor is it made good by naming these fields as ones of the connection only.
    let hidden = proxy.ask("PURGE", "/a").field("Via", "1.1 x").field("Connection", "Via");
    assert_eq!(hidden.send().status, 403);
    assert_hit(&proxy.asks("/a").send());
    assert_eq!(proxy.ask("PURGE", "/a").send().status, 200);
    assert!(!ours(&proxy.asks("/a").send()).hit);
}

#[test]
fn an_address_that_is_not_allowed_needs_a_token() {
    let (_directory, file) = tokens(TOKEN);
    let (_origin, proxy) = stored(|setup| setup.purge(&file).purge("allow = [\"10.0.0.0/8\"]"));
    assert_eq!(assert_problem(&proxy.ask("PURGE", "/a").send(), 403), "purge-not-allowed");
    let wrong = proxy.ask("PURGE", "/a").field("Authorization", bearer(OTHER)).send();
    assert_eq!(assert_problem(&wrong, 403), "token-wrong");
    assert_hit(&proxy.asks("/a").send());
    // A token is as good through a proxy.
    let right = proxy.ask("PURGE", "/a").field("Authorization", bearer(TOKEN)).field("Via", "1.1 front");
    assert_eq!(right.send().status, 200);
    assert!(!ours(&proxy.asks("/a").send()).hit);
}

#[test]
fn with_a_token_configured_the_admin_listener_asks_for_it() {
    let (_directory, file) = tokens(&format!("# of the shop\ndeploy {TOKEN}\n"));
    let (_origin, proxy) = stored(|setup| setup.purge(&file));
    for ask in [post(&proxy), post(&proxy).field("Authorization", format!("Basic {TOKEN}"))] {
        let refused = ask.send();
        assert_eq!(
            (refused.status, refused.field("WWW-Authenticate").as_deref()),
            (401, Some("Bearer realm=\"larder\""))
        );
        assert!(refused.text().contains("\"token-missing\""), "{}", refused.text());
    }
    for token in ["", "x", &TOKEN[1..], &format!("{TOKEN}0"), OTHER] {
        let refused = post(&proxy).field("Authorization", bearer(token)).send();
        assert_eq!(refused.status, 401, "{token}");
        assert!(!refused.text().contains(TOKEN), "{}", refused.text());
    }
    for target in ["/api/purges", "/api/tags", "/api/stats"] {
        let get = || proxy.admin().asks(target).host("localhost");
        assert_eq!(get().send().status, 401, "{target}");
        assert_eq!(get().field("Authorization", bearer(TOKEN)).send().status, 200, "{target}");
    }
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(proxy.admin().asks(target).host("localhost").send().status, 200, "{target}");
    }
    assert_hit(&proxy.asks("/a").send());
    assert_eq!(post(&proxy).field("Authorization", bearer(TOKEN)).send().status, 200);
    assert!(!ours(&proxy.asks("/a").send()).hit);
    let seen =
        proxy.admin().asks("/api/purges").host("localhost").field("Authorization", bearer(TOKEN)).send();
    let seen: Value = serde_json::from_str(&seen.text()).unwrap();
    assert_eq!(
        (&seen["purges"][0]["token"], &seen["purges"][0]["peer"]),
        (&"deploy".into(), &"127.0.0.1".into())
    );
    assert!(!seen.to_string().contains(TOKEN));
}

#[test]
fn tokens_can_be_changed_while_it_runs() {
    let (directory, file) = tokens(TOKEN);
    let (_origin, proxy) = stored(|setup| setup.purge(&file));
    let status = |token: &str| post(&proxy).field("Authorization", bearer(token)).send().status;
    assert_eq!((status(TOKEN), status(OTHER)), (200, 401));
    // As secrets are mounted: another file takes the name.
    let next = directory.path().join("next");
    fs::write(&next, format!("{OTHER}\n")).unwrap();
    fs::rename(&next, directory.path().join("tokens")).unwrap();
    assert!(wait_until(|| status(TOKEN) == 401));
    assert_eq!(status(OTHER), 200);
}

#[test]
fn guessing_is_answered_at_a_bounded_rate_and_locks_nobody_out() {
    let (_directory, file) = tokens(TOKEN);
    let (_origin, proxy) = stored(|setup| setup.purge(&file));
    let guess = || post(&proxy).field("Authorization", bearer(OTHER)).send();
    let statuses: Vec<u16> = (0..20).map(|_| guess().status).collect();
    assert_eq!(statuses, [[401; 10], [429; 10]].concat());
    let limited = guess();
    assert_eq!(limited.field("Retry-After").as_deref(), Some("1"));
    let elsewhere = proxy.ask("PURGE", "/a").field("Authorization", bearer(OTHER)).send();
    assert_eq!(assert_problem(&elsewhere, 429), "token-failures");
    assert_eq!(post(&proxy).field("Authorization", bearer(TOKEN)).send().status, 200);
    proxy.advance(3);
    assert_eq!([0; 4].map(|_| guess().status), [401, 401, 401, 429]);
}

/// A page in a browser on this machine can send a form, or read what a name of its own resolves to.
#[test]
fn pages_of_other_origins_cannot_purge() {
    let (_origin, proxy) = stored(|setup| setup);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:3000"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let refused = post(&proxy).field(name, value).send();
        assert_eq!(refused.status, 403, "{name}: {value}");
        assert!(refused.text().contains("\"foreign-origin\""), "{}", refused.text());
        assert!(!refused.fields.has("Access-Control-Allow-Origin"));
    }
    for target in ["/purge", "/api/tags", "/api/purges", "/api/stats"] {
        for method in ["GET", "POST"] {
            let refused = proxy.admin().ask(method, target).host("rebound.example").send();
            assert_eq!(refused.status, 403, "{method} {target}");
        }
    }
    // A preflight is answered, and allows nothing.
    let preflight =
        proxy.admin().ask("OPTIONS", "/purge").host("localhost").field("Origin", "https://evil.example");
    let preflight = preflight.field("Access-Control-Request-Method", "POST").send();
    assert_eq!(preflight.status, 403);
    assert!(!preflight.fields.has("Access-Control-Allow-Origin"));
    assert_hit(&proxy.asks("/a").send());
    for (name, value) in [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://localhost")] {
        assert_eq!(post(&proxy).field(name, value).send().status, 200, "{name}: {value}");
    }
}

/// Health and metrics may be for everybody; what changes something is not there at all.
#[test]
fn the_probe_listener_does_not_purge() {
    let origin = Origin::start();
    let proxy = Proxy::with(&origin).admin("probe_listen = \"127.0.0.1:0\"").start();
    let probe = proxy.probes();
    for target in ["/purge", "/api/tags", "/api/purges", "/api/stats"] {
        for method in ["GET", "POST"] {
            assert_eq!(probe.ask(method, target).send().status, 404, "{method} {target}");
        }
    }
    assert_eq!(probe.get("/healthz").status, 200);
}
