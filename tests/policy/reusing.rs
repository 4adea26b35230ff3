//! What is done with a stored response: `reuse`, `vary`, `validation`, `invalidation`.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use larder::policy::{
    HeadUpdate, RequestDirectives, Reuse, Stored, Validators, Variant, Vary, freshen, head_update,
    invalidated, judge, make_conditional, offer_tags, selected_by_304, stale_if_error, storable_fields,
    strip_hop_by_hop,
};

use crate::sheet::{RulesRow, Sheet, fields, lines, row, same, target, with_dates};
use crate::storing::Given;

row!(ReuseRow {
    response: Vec<String>,
    #[serde(default)]
    request: Vec<String>,
    rules: Option<RulesRow>,
    resident: f64,
    softened: Option<f64>,
    /// `fresh`, `stale-while-revalidate`, `max-stale`, or why it is to be validated.
    reuse: String,
    /// Whether it may stand in for an error.
    on_error: Option<bool>,
} check(row) {
    let terms = Given { response: &row.response, rules: row.rules.as_ref(), ..Given::default() }.terms();
    let terms = terms.map_err(|reason| reason.as_str().to_owned())?;
    let rules = row.rules.as_ref().map(RulesRow::rules).unwrap_or_default();
    let client = RequestDirectives::parse(&fields(&row.request)).under(rules.client_cache_control);
    let stored = Stored {
        terms: &terms,
        resident: Duration::from_secs_f64(row.resident),
        softened: row.softened.map(Duration::from_secs_f64),
    };
    let reuse = match judge(&stored, &client) {
        Reuse::Fresh => "fresh",
        Reuse::StaleWhileRevalidate => "stale-while-revalidate",
        Reuse::MaxStale => "max-stale",
        Reuse::Validate(why) => why.as_str(),
    };
    same("reuse", row.reuse.as_str(), reuse)?;
    match row.on_error {
        Some(expected) => same("on_error", expected, stale_if_error(&stored, &client)),
        None => Ok(()),
    }
});

#[test]
fn reuse() {
    Sheet::open("reuse.toml").check::<ReuseRow>("row").finish();
}

row!(VaryFieldRow {
    vary: Vec<String>,
    /// `*`, or the names separated by commas.
    selects_by: String,
} check(row) {
    let vary = Vary::parse(&fields(&row.vary));
    let names: Vec<&str> = vary.fields().iter().map(|name| name.as_str()).collect();
    let found = if vary == Vary::Star { "*".to_owned() } else { names.join(",") };
    same("selects_by", row.selects_by.clone(), found)
});

row!(VariantRow {
    vary: String,
    stored: Vec<String>,
    request: Vec<String>,
    content_language: Option<String>,
    matches: bool,
} check(row) {
    let mut response = HeaderMap::new();
    response.insert("vary", HeaderValue::from_str(&row.vary).expect("a value"));
    let vary = Vary::parse(&response);
    let (stored, request) = (fields(&row.stored), fields(&row.request));
    let variant = Variant::of(vary.fields(), &stored);
    let language = row.content_language.as_deref().map(|tag| HeaderValue::from_str(tag).expect("a value"));
    same("matches", row.matches, variant.matches(&request, || language.clone()))?;
    same("matches itself", true, variant.matches(&stored, || language.clone()))?;
    // What matches without the help of the language is the same variant.
    let is_same = variant == Variant::of(vary.fields(), &request);
    same("is the same variant", variant.matches(&request, || None), is_same)?;
    same("has the same key", is_same, variant.key() == Variant::of(vary.fields(), &request).key())
});

#[test]
fn vary() {
    Sheet::open("vary.toml").check::<VaryFieldRow>("field").check::<VariantRow>("variant").finish();
}

fn validators(stored: &[Vec<String>]) -> Vec<Validators> {
    stored.iter().map(|response| Validators::of(&fields(response))).collect()
}

row!(ConditionRow {
    /// The stored responses, the selected one first.
    stored: Vec<Vec<String>>,
    /// Whether the request selects the first one.
    #[serde(default = "yes")]
    selected: bool,
    #[serde(default)]
    request: Vec<String>,
    sent: Vec<String>,
} check(row) {
    let stored = validators(&row.stored);
    let stored: Vec<&Validators> = stored.iter().collect();
    let mut request = fields(&row.request);
    if row.selected {
        make_conditional(&mut request, &stored);
    } else {
        offer_tags(&mut request, &stored);
    }
    let mut found = lines(&request);
    found.sort();
    same("sent", row.sent.iter().map(|line| with_dates(line)).collect(), found)
});

fn yes() -> bool {
    true
}

row!(NotModifiedRow {
    /// Newest first.
    stored: Vec<Vec<String>>,
    not_modified: Vec<String>,
    speaks_for: Vec<usize>,
} check(row) {
    let stored = validators(&row.stored);
    let stored: Vec<&Validators> = stored.iter().collect();
    same("speaks_for", row.speaks_for.clone(), selected_by_304(&stored, &fields(&row.not_modified)))
});

row!(StrengthRow {
    response: Vec<String>,
    strong: bool,
    #[serde(default)]
    empty: bool,
} check(row) {
    let validators = Validators::of(&fields(&row.response));
    same("strong", row.strong, validators.is_strong())?;
    same("empty", row.empty, validators.is_empty())
});

row!(SameContentRow {
    first: Vec<String>,
    second: Vec<String>,
    same: bool,
} check(row) {
    let (first, second) = (Validators::of(&fields(&row.first)), Validators::of(&fields(&row.second)));
    same("same", row.same, first.is_same_content(&second))?;
    same("same the other way", row.same, second.is_same_content(&first))
});

row!(FreshenRow {
    stored: Vec<String>,
    update: Vec<String>,
    result: Vec<String>,
} check(row) {
    let mut stored = fields(&row.stored);
    freshen(&mut stored, &fields(&row.update));
    same("result", row.result.clone(), lines(&stored))
});

row!(StoredFieldsRow {
    response: Vec<String>,
    #[serde(default)]
    omitted: Vec<String>,
    stored: Vec<String>,
} check(row) {
    let omitted: Vec<_> = row.omitted.iter().map(|name| name.parse().expect("a name")).collect();
    same("stored", row.stored.clone(), {
        let response = fields(&row.response);
        let stored = storable_fields(&response, &omitted);
        lines(&stored.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>())
    })
});

row!(ForwardRow {
    fields: Vec<String>,
    forwarded: Vec<String>,
} check(row) {
    let mut message = fields(&row.fields);
    strip_hop_by_hop(&mut message);
    let mut found = lines(&message);
    found.sort();
    same("forwarded", row.forwarded.clone(), found)
});

row!(HeadRow {
    stored: Vec<String>,
    stored_len: u64,
    status: Option<u16>,
    head: Vec<String>,
    tells: String,
} check(row) {
    let status = StatusCode::from_u16(row.status.unwrap_or(200)).expect("a status");
    let tells = match head_update(&fields(&row.stored), row.stored_len, status, &fields(&row.head)) {
        HeadUpdate::Freshens => "freshens",
        HeadUpdate::Contradicts => "contradicts",
        HeadUpdate::Unrelated => "unrelated",
    };
    same("tells", row.tells.as_str(), tells)
});

#[test]
fn validation() {
    Sheet::open("validation.toml")
        .check::<ConditionRow>("condition")
        .check::<NotModifiedRow>("not_modified")
        .check::<StrengthRow>("strength")
        .check::<SameContentRow>("same_content")
        .check::<HeadRow>("head")
        .finish();
}

#[test]
fn updates() {
    Sheet::open("fields.toml")
        .check::<FreshenRow>("freshen")
        .check::<StoredFieldsRow>("stored")
        .check::<ForwardRow>("forward")
        .finish();
}

row!(InvalidationRow {
    url: Option<String>,
    method: String,
    status: u16,
    #[serde(default)]
    response: Vec<String>,
    /// `authority path`, in order.
    invalidates: Vec<String>,
} check(row) {
    let method = Method::from_bytes(row.method.as_bytes()).expect("a method");
    let status = StatusCode::from_u16(row.status).expect("a status");
    let target = target(row.url.as_deref().unwrap_or("http://example.com/dir/a?x=1"));
    let found = invalidated(&target, &method, status, &fields(&row.response));
    let found = found.into_iter().map(|(authority, path)| format!("{authority} {path}")).collect();
    same("invalidates", row.invalidates.clone(), found)
});

#[test]
fn invalidation() {
    Sheet::open("invalidation.toml").check::<InvalidationRow>("row").finish();
}
