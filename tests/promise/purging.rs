//! How these tests purge: by `POST /purge`. A purge has returned when its answer is there.

use serde_json::{Value, json};

use crate::proxy::Proxy;

/// What these answer to is dead from now on: `purge(&proxy, "tags", "product-42")`. The number of the purge.
pub(crate) fn purge(proxy: &Proxy, (kind, name): Target<'_>) -> u64 {
    post(proxy, &document((kind, name), false))
}

/// What these answer to is stale from now on.
pub(crate) fn soften(proxy: &Proxy, target: Target<'_>) -> u64 {
    post(proxy, &document(target, true))
}

/// A key of the document and what it lists, such as `("tags", "product-42")`; [`EVERYTHING`] lists nothing.
pub(crate) type Target<'a> = (&'a str, &'a str);

pub(crate) const EVERYTHING: Target<'static> = ("everything", "");

fn document((kind, name): Target<'_>, soft: bool) -> Value {
    let mut document = json!({ "soft": soft });
    document[kind] = if (kind, name) == EVERYTHING { json!(true) } else { json!([name]) };
    document
}

fn post(proxy: &Proxy, document: &Value) -> u64 {
    let ask = proxy.admin().ask("POST", "/purge").host("localhost");
    let answered = ask.field("Content-Type", "application/json").content(document.to_string()).send();
    assert_eq!(answered.status, 200, "{document}: {}", answered.text());
    let done: Value = serde_json::from_str(&answered.text()).unwrap();
    done["sequence"].as_u64().unwrap_or_else(|| panic!("no sequence in {done}"))
}
