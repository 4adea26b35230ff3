//! `POST /purge`, and what there is to see of purges.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::problem::Problem;
use super::{Admin, Answer, BoxError, json};
use crate::clock::Moment;
use crate::purge::{self, Denied, Done, Purge, Purger, Recent, Target, Who};
use crate::telemetry::rfc3339;
use crate::validity::{Purged, Tally};

/// How long a client may take to send what it wants to be purged.
const CONTENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tags that are listed unless asked otherwise, and at most.
const TAGS: usize = 50;
const MOST_TAGS: usize = 1000;

/// Makes the purge that a request asks for.
pub(super) async fn purge<B>(admin: &Admin, who: Who, request: Request<B>) -> Result<Answer, Problem>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let read = reader(request.headers())?;
    let content = content(request.into_body(), admin.max_body).await?;
    let malformed =
        |fault: purge::Fault| Problem::new(StatusCode::BAD_REQUEST, purge::MALFORMED, fault.to_string());
    let purge = read(&content, admin.parts.purger.limits()).map_err(malformed)?;
    let done = run(&admin.parts.purger, purge, who).await?;
    if let (Some(sequence), Some(most)) = (done.sequence, done.refresh) {
        (admin.parts.refresh)(sequence, most);
    }
    Ok(json(done.to_json(&admin.instance)))
}

async fn run(purger: &Arc<Purger>, purge: Purge, who: Who) -> Result<Done, Problem> {
    if !purge.dry_run {
        return Ok(purger.run(&purge, &who));
    }
    let purger = Arc::clone(purger);
    aside(move || purger.run(&purge, &who)).await
}

/// Runs what takes its time where nobody else who asks has to wait for it.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "counting for the admin listener has failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "count-failed", "The count has failed.")
    })
}

type Reader = fn(&[u8], purge::Limits) -> Result<Purge, purge::Fault>;

/// By what the content is to be read.
fn reader(fields: &HeaderMap) -> Result<Reader, Problem> {
    let kind = fields.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Ok(Purge::from_json)
    } else if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        Ok(Purge::from_form)
    } else {
        let detail = "Say what to purge in application/json or application/x-www-form-urlencoded.";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", detail))
    }
}

async fn content<B>(body: B, most: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let collected = timeout(CONTENT_TIMEOUT, Limited::new(body, most).collect()).await;
    match collected {
        Ok(Ok(content)) => Ok(content.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "purge-too-large",
            format!("The content is longer than {most} bytes (`[purge] max_body`)."),
        )),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "content", "The content broke off.")),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "content-timeout", "The content took too long."))
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, field) = match denied {
            Denied::TooManyFailures => {
                (StatusCode::TOO_MANY_REQUESTS, (RETRY_AFTER, HeaderValue::from_static("1")))
            }
            Denied::TokenMissing | Denied::TokenWrong | Denied::NotAllowed => {
                let challenge = HeaderValue::from_static("Bearer realm=\"larder\"");
                (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, challenge))
            }
        };
        Problem::new(status, denied.reason(), denied.detail()).with(field.0, field.1)
    }
}

/// `GET /api/purges`: the purges of late, the youngest first.
pub(super) fn purges(admin: &Admin) -> Answer {
    #[derive(Serialize)]
    struct List<'a> {
        instance: &'a str,
        purges: Vec<Made>,
    }
    let purges = admin.parts.purger.recent().into_iter().map(Made::from).collect();
    json(serde_json::to_vec(&List { instance: &admin.instance, purges }).unwrap_or_default())
}

/// A purge that was made.
#[derive(Serialize)]
struct Made {
    sequence: Option<u64>,
    time: String,
    soft: bool,
    entries: Option<u64>,
    peer: String,
    token: Option<String>,
    /// The first of them.
    targets: Vec<Target>,
    /// All of them.
    target_count: usize,
}

impl From<Recent> for Made {
    fn from(recent: Recent) -> Self {
        let Recent { at, who, done, targets, count } = recent;
        Self {
            sequence: done.sequence.map(|sequence| sequence.get()),
            time: rfc3339(at),
            soft: done.soft,
            entries: done.entries,
            peer: who.peer.to_string(),
            token: who.token.map(|name| name.to_string()),
            targets,
            target_count: count,
        }
    }
}

/// `GET /api/tags?top=50`: the tags that most entries carry.
pub(super) async fn tags(admin: &Admin, query: Option<&str>) -> Result<Answer, Problem> {
    #[derive(Serialize)]
    struct List<'a> {
        instance: &'a str,
        tags: Vec<Tag>,
    }
    let most = top(query)?;
    let log = Arc::clone(&admin.parts.log);
    let top = aside(move || log.top_tags(most)).await?;
    let (now, wall) = (admin.parts.clock.moment(), admin.parts.clock.wall());
    let tags = top.into_iter().map(|(tag, tally)| Tag::new(tag, tally, now, wall)).collect();
    Ok(json(serde_json::to_vec(&List { instance: &admin.instance, tags }).unwrap_or_default()))
}

fn top(query: Option<&str>) -> Result<usize, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(TAGS) };
    let number = query.strip_prefix("top=").and_then(|number| number.parse().ok());
    number.filter(|number| (1..=MOST_TAGS).contains(number)).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "query", format!("Write ?top=N, with N from 1 to {MOST_TAGS}."))
    })
}

/// What is stored under a tag. Entries that are dead and not reclaimed yet count.
#[derive(Serialize)]
struct Tag {
    tag: String,
    entries: u64,
    bytes: u64,
    purged: Option<LastPurge>,
}

#[derive(Serialize)]
struct LastPurge {
    sequence: u64,
    time: String,
}

impl Tag {
    fn new(tag: String, tally: Tally, now: Moment, wall: SystemTime) -> Self {
        let last = |Purged { sequence, at }| LastPurge {
            sequence: sequence.get(),
            time: rfc3339(wall.checked_sub(now.since(at)).unwrap_or(SystemTime::UNIX_EPOCH)),
        };
        Self { tag, entries: tally.entries, bytes: tally.bytes, purged: tally.purged.map(last) }
    }
}
