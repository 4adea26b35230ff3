//! Whether and on which terms a response is stored: `directives`, `storability`, `age`, `freshness`.

use std::time::Duration;

use http::{Method, StatusCode};
use larder::policy::{
    Exchange, NotStored, RequestDirectives, ResponseDirectives, Terms, Validators, Vary, terms,
};

use crate::sheet::{RulesRow, Sheet, fields, received, row, same, target};

row!(ResponseRow {
    fields: Vec<String>,
    understood: String,
} check(row) {
    same("understood", row.understood.clone(), ResponseDirectives::parse(&fields(&row.fields)).to_string())
});

row!(RequestRow {
    fields: Vec<String>,
    #[serde(default)]
    rules: RulesRow,
    understood: String,
} check(row) {
    let rule = row.rules.rules().client_cache_control;
    let directives = RequestDirectives::parse(&fields(&row.fields)).under(rule);
    same("understood", row.understood.clone(), directives.to_string())
});

#[test]
fn directives() {
    Sheet::open("directives.toml").check::<ResponseRow>("response").check::<RequestRow>("request").finish();
}

/// The exchange of a row: a GET answered with 200, unless it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Given<'a> {
    pub(crate) method: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
    pub(crate) status: Option<u16>,
    pub(crate) request: &'a [String],
    pub(crate) response: &'a [String],
    pub(crate) rules: Option<&'a RulesRow>,
    pub(crate) delay: f64,
}

impl Given<'_> {
    pub(crate) fn terms(&self) -> Result<Terms, NotStored> {
        let rules = self.rules.map(RulesRow::rules).unwrap_or_default();
        let response = fields(self.response);
        terms(&Exchange {
            target: target(self.url.unwrap_or("http://example.com/a")),
            method: &Method::from_bytes(self.method.unwrap_or("GET").as_bytes()).expect("a method"),
            request: &fields(self.request),
            status: StatusCode::from_u16(self.status.unwrap_or(200)).expect("a status"),
            response: &response,
            validators: &Validators::of(&response),
            vary: &Vary::parse(&response),
            rules: &rules,
            received: received(),
            delay: Duration::from_secs_f64(self.delay),
        })
    }
}

/// `stored`, or the reason against it.
fn verdict(found: &Result<Terms, NotStored>) -> &'static str {
    found.as_ref().map_or_else(|reason| reason.as_str(), |_| "stored")
}

row!(StorabilityRow {
    method: Option<String>,
    url: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    request: Vec<String>,
    response: Vec<String>,
    rules: Option<RulesRow>,
    verdict: String,
    /// The fields that are left out.
    #[serde(default)]
    omitted: Vec<String>,
    /// Whether it is stored to be validated at each use.
    #[serde(default)]
    always_validate: bool,
    /// Whether the reason lies in the request.
    owed_to_request: Option<bool>,
} check(row) {
    let found = Given {
        method: row.method.as_deref(),
        url: row.url.as_deref(),
        status: row.status,
        request: &row.request,
        response: &row.response,
        rules: row.rules.as_ref(),
        delay: 0.0,
    }
    .terms();
    same("verdict", row.verdict.as_str(), verdict(&found))?;
    match found {
        Ok(terms) => {
            let omitted = terms.omitted.iter().map(ToString::to_string).collect();
            same("omitted", row.omitted.clone(), omitted)?;
            same("always_validate", row.always_validate, terms.always_validate)
        }
        Err(reason) => match row.owed_to_request {
            Some(expected) => same("owed_to_request", expected, reason.owed_to_request()),
            None => Ok(()),
        },
    }
});

#[test]
fn storability() {
    Sheet::open("storability.toml").check::<StorabilityRow>("row").finish();
}

row!(AgeRow {
    response: Vec<String>,
    #[serde(default)]
    delay: f64,
    #[serde(default)]
    resident: f64,
    age: f64,
} check(row) {
    // A tag, so that also what is stale on arrival has terms.
    let mut response = row.response.clone();
    response.extend(["Cache-Control: max-age=60".to_owned(), "ETag: \"a\"".to_owned()]);
    let found = Given { response: &response, delay: row.delay, ..Given::default() }.terms();
    let terms = found.map_err(|reason| reason.as_str().to_owned())?;
    same("age", Duration::from_secs_f64(row.age), terms.age(Duration::from_secs_f64(row.resident)))
});

#[test]
fn age() {
    Sheet::open("age.toml").check::<AgeRow>("row").finish();
}

row!(FreshnessRow {
    status: Option<u16>,
    response: Vec<String>,
    rules: Option<RulesRow>,
    /// How long after receipt it is looked at.
    #[serde(default)]
    resident: u64,
    lifetime: Option<u64>,
    fresh: Option<bool>,
    /// Seconds; negative when stale.
    fresh_for: Option<i64>,
    heuristic: Option<bool>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
    never_stale: Option<bool>,
    immutable: Option<bool>,
    /// How long it is worth keeping, if a validator alone is worth 100 s.
    horizon: Option<u64>,
} check(row) {
    let found = Given {
        status: row.status,
        response: &row.response,
        rules: row.rules.as_ref(),
        ..Given::default()
    }
    .terms();
    let terms = found.map_err(|reason| reason.as_str().to_owned())?;
    let seconds = |time: Duration| i64::try_from(time.as_secs()).expect("few seconds");
    let remaining = terms.remaining(Duration::from_secs(row.resident));
    let fresh_for = match remaining {
        Ok(fresh_for) => seconds(fresh_for),
        Err(stale_for) => -seconds(stale_for),
    };
    let horizon = terms.horizon(Duration::from_secs(100)).as_secs();
    let checks = [
        row.lifetime.map(|value| same("lifetime", value, terms.lifetime.as_secs())),
        row.fresh.map(|value| same("fresh", value, remaining.is_ok())),
        row.fresh_for.map(|value| same("fresh_for", value, fresh_for)),
        row.heuristic.map(|value| same("heuristic", value, terms.heuristic)),
        row.stale_while_revalidate
            .map(|value| same("stale_while_revalidate", value, terms.stale_while_revalidate.as_secs())),
        row.stale_if_error.map(|value| same("stale_if_error", value, terms.stale_if_error.as_secs())),
        row.never_stale.map(|value| same("never_stale", value, terms.never_stale)),
        row.immutable.map(|value| same("immutable", value, terms.immutable)),
        row.horizon.map(|value| same("horizon", value, horizon)),
    ];
    if checks.iter().all(Option::is_none) {
        return Err("nothing is expected".to_owned());
    }
    checks.into_iter().flatten().collect()
});

#[test]
fn freshness() {
    Sheet::open("freshness.toml").check::<FreshnessRow>("row").finish();
}
