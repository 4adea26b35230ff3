//! Which rules and which upstream a request gets.

use crate::proxy::{Proxy, assert_hit, assert_problem, ours};
use crate::support::*;

/// An origin that answers everything with its name.
fn named(name: &str) -> Origin {
    let origin = Origin::start();
    origin.otherwise(ok(name).cache("max-age=60"));
    origin
}

#[test]
fn the_first_route_that_matches_chooses_rules_and_upstream() {
    let (api, images, writes) = (named("api"), named("images"), named("writes"));
    let more = |name: &str, origin: &Origin| {
        format!("[[upstream]]\nname = \"{name}\"\nservers = \"http://{}\"", origin.addr())
    };
    let proxy = Proxy::with(&api)
        .upstream(&more("images", &images))
        .upstream(&more("writes", &writes))
        .route("methods = [\"POST\", \"PUT\"]\npath = \"/api/**\"\nupstream = \"writes\"")
        .route("path = \"/api/live/*\"\nupstream = \"origin\"\ncache = false")
        .route("host = \"*.example.com\"\nmethods = \"GET\"\npath = \"/*.png\"\nupstream = \"images\"")
        .route("path = \"/api/**\"\nupstream = \"origin\"")
        .start();
    let served = |ask: &Ask| proxy.send(ask).text();
    let image = proxy.asks("/a.png?x=1").host("cdn.example.com");
    assert_eq!(served(&image), "images");
    assert_eq!(
        proxy.ask("HEAD", "/a.png?x=1").host("cdn.example.com").send().status,
        200,
        "HEAD goes with GET"
    );
    assert_eq!(served(&proxy.asks("/api/a/b")), "api");
    assert_eq!(served(&proxy.ask("PUT", "/api/a/b").content("x")), "writes");
    assert_eq!(served(&proxy.ask("DELETE", "/api/a/b")), "api");
    for target in ["/api/live/1", "/api/a/c"] {
        served(&proxy.asks(target));
        assert_eq!(ours(&proxy.get(target)).hit, target == "/api/a/c", "{target}");
    }
}

#[test]
fn with_several_upstreams_what_no_route_takes_is_told_so() {
    let (one, other) = (named("one"), named("other"));
    let more = format!("[[upstream]]\nname = \"other\"\nservers = \"http://{}\"", other.addr());
    let proxy = Proxy::with(&one).upstream(&more).route("path = \"/one/*\"\nupstream = \"origin\"").start();
    assert_eq!(proxy.get("/one/a").text(), "one");
    assert_eq!(assert_problem(&proxy.get("/two"), 404), "no-route");
    assert_eq!((one.requests().len(), other.requests().len()), (1, 0));
}

#[test]
fn with_one_upstream_what_no_route_takes_goes_there_under_the_defaults() {
    let origin = named("origin");
    let proxy = Proxy::with(&origin).route("path = \"/live/*\"\ncache = false").start();
    proxy.get("/elsewhere");
    assert_hit(&proxy.get("/elsewhere"));
}
