//! The pages in docs/ name what is there: every reason that an answer, a log line or a metric can give is explained, and
//! no link leads nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

use std::fs;
use std::path::{Path, PathBuf};

use larder::policy::NotStored;
use larder::{purge, request, server, store, upstream};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain([root().join("README.md"), root().join("CHANGELOG.md")]);
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_reason_is_explained() {
    let pages = ["docs/caching.md", "docs/operations.md", "docs/purging.md"];
    let text = pages.map(|page| fs::read_to_string(root().join(page)).unwrap()).concat();
    let reasons = NotStored::ALL.iter().map(|reason| reason.as_str());
    let reasons = reasons.chain(request::reasons().iter().copied());
    let reasons = reasons.chain(store::NOT_SEALED);
    let reasons = reasons.chain(upstream::Failure::ALL.iter().map(|failure| failure.as_str()));
    let reasons = reasons.chain(server::guard::REASONS);
    let reasons = reasons.chain(purge::REASONS);
    let missing: Vec<_> = reasons.filter(|reason| !text.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "not in {pages:?}: {missing:?}");
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            if link.is_empty() || link.contains("://") {
                continue;
            }
            links += 1;
            let target = page.parent().unwrap_or(Path::new("")).join(link);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
    assert!(links > 10, "links are found at all");
}
