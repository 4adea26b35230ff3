//! The names of reasons.

use std::collections::BTreeSet;

use larder::policy::{NotStored, Why};

#[test]
fn every_reason_has_a_name_of_its_own_in_kebab_case() {
    let names: Vec<&str> = NotStored::ALL
        .iter()
        .map(|reason| reason.as_str())
        .chain(Why::ALL.iter().map(|reason| reason.as_str()))
        .collect();
    let unique: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    for name in names {
        assert!(
            !name.is_empty() && name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()),
            "{name}"
        );
    }
}
