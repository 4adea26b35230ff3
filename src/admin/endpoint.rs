//! What the admin listeners offer, by path.

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use super::Role;
use super::problem::Problem;

/// One thing that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// By whoever can reach the listener.
    Open(Open),
    /// By whoever has a token, once one is configured.
    Guarded(Guarded),
}

/// What says nothing about what is stored, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Health,
    Ready,
    Metrics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    Purge,
    Purges,
    Tags,
    Stats,
}

const PATHS: [(&str, Endpoint); 7] = [
    ("/healthz", Endpoint::Open(Open::Health)),
    ("/readyz", Endpoint::Open(Open::Ready)),
    ("/metrics", Endpoint::Open(Open::Metrics)),
    ("/purge", Endpoint::Guarded(Guarded::Purge)),
    ("/api/purges", Endpoint::Guarded(Guarded::Purges)),
    ("/api/tags", Endpoint::Guarded(Guarded::Tags)),
    ("/api/stats", Endpoint::Guarded(Guarded::Stats)),
];

impl Endpoint {
    /// What is there at `path` on a listener of this role.
    pub(super) fn of(path: &str, role: Role) -> Result<Self, Problem> {
        let offered = |endpoint: &Endpoint| role == Role::Full || matches!(endpoint, Endpoint::Open(_));
        let mut all = PATHS.into_iter().filter(|(_, endpoint)| offered(endpoint));
        if let Some((_, endpoint)) = all.clone().find(|(known, _)| *known == path) {
            return Ok(endpoint);
        }
        let mut detail = all.next().map_or(String::new(), |(path, _)| format!("There are {path}"));
        all.for_each(|(path, _)| detail.extend([", ", path]));
        Err(Problem::new(StatusCode::NOT_FOUND, "unknown-path", detail + "."))
    }

    pub(super) fn check_method(self, method: &Method) -> Result<(), Problem> {
        let (allowed, detail, is_right) = match self {
            Self::Guarded(Guarded::Purge) => {
                ("POST", "Purges are asked for by POST.", method == Method::POST)
            }
            _ => (
                "GET, HEAD",
                "Only GET and HEAD are answered here.",
                matches!(*method, Method::GET | Method::HEAD),
            ),
        };
        if is_right {
            return Ok(());
        }
        Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail)
            .with(ALLOW, HeaderValue::from_static(allowed)))
    }
}
