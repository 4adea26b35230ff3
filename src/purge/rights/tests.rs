use std::fs;

use super::*;
use crate::clock::Manual;

const ONE: &str = "one-0123456789abcdef";
const TWO: &str = "two-0123456789abcdef";
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

fn config(token_file: Option<PathBuf>, allow: &[&str]) -> config::Purge {
    config::Purge {
        token_file,
        token: None,
        allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        max_targets: 10,
        max_body: 1000,
        refresh_entries: 10,
        refresh_concurrency: 1,
    }
}

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, value.parse().unwrap());
    }
    fields
}

fn with_token(token: &str) -> HeaderMap {
    fields(&[("authorization", &format!("Bearer {token}"))])
}

/// Who is let in by the admin listener.
fn name(rights: &Rights, fields: &HeaderMap) -> Result<Option<String>, Denied> {
    rights.admin(fields, PEER).map(|who| who.token.map(|name| name.to_string()))
}

#[test]
fn without_any_token_the_admin_listener_is_open() {
    let rights = Rights::new(&config(None, &[]), Clock::system()).unwrap();
    assert_eq!(name(&rights, &HeaderMap::new()), Ok(None));
    assert_eq!(name(&rights, &with_token("whatever")), Ok(None));
}

#[test]
fn tokens_of_both_sources_are_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, format!("deploy {ONE}\n{TWO}\n")).unwrap();
    let mut config = config(Some(file), &[]);
    config.token = config::read_tokens(&format!("LARDER_TOKEN {ONE}{TWO}")).unwrap().pop();
    let rights = Rights::new(&config, Clock::system()).unwrap();
    for (token, owner) in [(ONE, "deploy"), (TWO, "line-2"), (&format!("{ONE}{TWO}"), "LARDER_TOKEN")] {
        assert_eq!(name(&rights, &with_token(token)), Ok(Some(owner.to_owned())));
    }
    for sent in [
        fields(&[]),
        fields(&[("authorization", ONE)]),
        fields(&[("authorization", &format!("Basic {ONE}"))]),
        fields(&[("authorization", "Bearer")]),
        fields(&[("authorization", &format!("Bearer {ONE}")), ("authorization", &format!("Bearer {ONE}"))]),
    ] {
        assert_eq!(name(&rights, &sent), Err(Denied::TokenMissing), "{sent:?}");
    }
    for wrong in ["", "x", &ONE[1..], &format!("{ONE}x"), &ONE.to_uppercase()] {
        assert_eq!(name(&rights, &with_token(wrong)), Err(Denied::TokenWrong), "{wrong}");
    }
    let lower = fields(&[("authorization", &format!("bearer  {ONE}"))]);
    assert_eq!(name(&rights, &lower), Ok(Some("deploy".to_owned())));
}

#[test]
fn a_file_that_changes_is_taken_anew() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, ONE).unwrap();
    let rights = Rights::new(&config(Some(file.clone()), &[]), Clock::system()).unwrap();
    let good = |token: &str| name(&rights, &with_token(token)).is_ok();
    fs::write(&file, TWO).unwrap();
    assert!(good(ONE) && !good(TWO), "not before it is looked at");
    rights.reload();
    assert!(!good(ONE) && good(TWO));
    // What may be a rotation that is under way changes nothing.
    fs::remove_file(&file).unwrap();
    rights.reload();
    assert!(good(TWO));
    fs::write(&file, "short").unwrap();
    rights.reload();
    assert!(good(TWO));
    // Nobody is meant to have any right.
    fs::write(&file, "").unwrap();
    rights.reload();
    assert!(!good(ONE) && !good(TWO));
    assert_eq!(name(&rights, &fields(&[])), Err(Denied::TokenMissing), "it does not stand open then");
}

#[test]
fn a_file_without_tokens_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    assert!(Rights::new(&config(Some(file.clone()), &[]), Clock::system()).is_err());
    fs::write(&file, "# none yet").unwrap();
    let wrong = Rights::new(&config(Some(file), &[]), Clock::system()).unwrap_err();
    assert!(wrong.to_string().contains("there is no token"), "{wrong}");
}

#[test]
fn addresses_count_on_the_main_listener_only_and_only_directly() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, ONE).unwrap();
    let rights = Rights::new(&config(Some(file), &["10.1.0.0/16", "::1/128"]), Clock::system()).unwrap();
    let from = |peer: &str, fields: &HeaderMap| rights.listener(fields, peer.parse().unwrap());
    for peer in ["10.1.255.1", "::ffff:10.1.0.1", "::1"] {
        assert_eq!(from(peer, &HeaderMap::new()).map(|who| who.token), Ok(None), "{peer}");
    }
    for peer in ["10.2.0.1", "127.0.0.1", "::2", "::ffff:10.2.0.1"] {
        assert_eq!(from(peer, &HeaderMap::new()), Err(Denied::NotAllowed), "{peer}");
    }
    for name in ["forwarded", "x-forwarded-for", "via"] {
        let mut passed_on = fields(&[(name, "")]);
        assert_eq!(from("10.1.0.1", &passed_on), Err(Denied::NotAllowed), "{name}");
        passed_on.extend(with_token(ONE));
        assert!(from("10.1.0.1", &passed_on).is_ok(), "a token comes through a proxy: {name}");
    }
    assert!(from("10.2.0.1", &with_token(ONE)).is_ok());
    assert_eq!(from("10.2.0.1", &with_token(TWO)), Err(Denied::TokenWrong));
    assert!(from("10.1.0.1", &with_token("of the application")).is_ok(), "the address is enough");
    assert_eq!(rights.admin(&HeaderMap::new(), "10.1.0.1".parse().unwrap()), Err(Denied::TokenMissing));
}

#[test]
fn failures_are_told_at_a_bounded_rate_and_lock_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    fs::write(&file, ONE).unwrap();
    let manual = Manual::new();
    let rights = Rights::new(&config(Some(file), &[]), Clock::manual(manual.clone())).unwrap();
    let guess = || name(&rights, &with_token("guess")).unwrap_err();
    for _ in 0..BURST {
        assert_eq!(guess(), Denied::TokenWrong);
    }
    assert_eq!(guess(), Denied::TooManyFailures);
    assert!(name(&rights, &with_token(ONE)).is_ok());
    assert_eq!(name(&rights, &fields(&[])), Err(Denied::TokenMissing), "that is no guess");
    manual.advance(INTERVAL * 2);
    assert_eq!(
        [guess(), guess(), guess()],
        [Denied::TokenWrong, Denied::TokenWrong, Denied::TooManyFailures]
    );
    manual.advance(INTERVAL * 1000);
    assert_eq!((0..=BURST).filter(|_| guess() == Denied::TokenWrong).count(), BURST as usize);
}
