//! The method `PURGE` is for this cache and for nobody behind it.

use super::tagged;
use crate::proxy::{Proxy, assert_hit, assert_problem};
use crate::support::*;

#[test]
fn purge_is_never_forwarded() {
    let origin = Origin::start();
    origin.on("GET /a").respond(tagged("first")).then(tagged("second"));
    let allowing = Proxy::with(&origin).purge("allow = [\"127.0.0.1\"]").start();
    let forbidding = Proxy::before(&origin);
    for proxy in [&allowing, &forbidding] {
        proxy.get("/a");
    }
    let asked = origin.requests().len();
    let purge = |proxy: &Proxy| proxy.ask("PURGE", "/a");
    let trusted_by_nobody = purge(&allowing).field("X-Forwarded-For", "127.0.0.1");
    for forbidden in [purge(&forbidding), trusted_by_nobody, purge(&allowing).field("Via", "1.1 other")] {
        assert_problem(&forbidden.send(), 403);
    }
    assert_problem(&purge(&allowing).field("Soft-Purge", "perhaps").send(), 400);
    assert_eq!(origin.requests().len(), asked, "no origin has seen any of it");
    assert_hit(&allowing.get("/a"));
    assert_hit(&forbidding.get("/a"));
    assert_eq!(purge(&allowing).send().status, 200);
    assert_eq!(origin.requests().len(), asked);
    assert_eq!(allowing.get("/a").text(), "second");
    assert_hit(&forbidding.get("/a"));
}
