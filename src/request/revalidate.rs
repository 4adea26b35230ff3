//! What a 304 does to stored responses (RFC 9111 §4.3.3, §4.3.4), and what a 206 adds to a stored part (§3.4).

use http::header::{HeaderMap, VARY};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;

use crate::policy;
use crate::policy::range::ContentRange;
use crate::policy::storability::{self, Exchange};
use crate::policy::validation::{self, Validators};
use crate::policy::vary::{Variant, Vary};
use crate::request::assemble::{self, Asked, Receipt};
use crate::request::lookup::Live;
use crate::request::tags;
use crate::request::worker::Engine;
use crate::store::{self, Entry, Extent, Limits, NewEntry};
use crate::upstream::ResponseBody;
use crate::validity::Stamp;

/// Freshens the stored responses for which a 304 speaks, and returns the one that answers the request.
/// `None`: it speaks for none that may be used, so the request must be sent again without conditions.
pub(crate) fn not_modified(
    engine: &Engine,
    asked: &Asked,
    listed: &[Entry],
    receipt: Receipt,
    fields: &HeaderMap,
) -> Option<(Entry, u16)> {
    let validators: Vec<_> = listed.iter().map(|entry| entry.validators()).collect();
    let validators: Vec<&Validators> = validators.iter().map(|each| &**each).collect();
    let mut answer: Option<Entry> = None;
    for index in validation::selected_by_304(&validators, fields) {
        let Some(old) = listed.get(index) else { continue };
        // The old content may have been purged since the condition was sent; a 304 must not revive it.
        if engine.log.check(&old.marks, &old.stamp).is_none() {
            continue;
        }
        let Some(new) = freshened(engine, asked, old, receipt, fields) else {
            engine.store.remove(old);
            continue;
        };
        engine.store.replace(old, new.clone());
        answer.get_or_insert(new);
    }
    let answer = answer?;
    if !answer.selected_by(&asked.fields) {
        // The origin chose this representation for a request with other selecting fields.
        let variant = Variant::of(answer.variant().fields(), &asked.fields);
        let alias = Entry::new(NewEntry { variant, ..answer.parts(&engine.budget)? })?;
        engine.store.commit(alias.clone());
        return Some((alias, StatusCode::NOT_MODIFIED.as_u16()));
    }
    Some((answer, StatusCode::NOT_MODIFIED.as_u16()))
}

/// The stored response with the fields of a 304 (RFC 9111 §3.2), on new terms. `None`: with these it must not be
/// kept.
fn freshened(
    engine: &Engine,
    asked: &Asked,
    old: &Entry,
    receipt: Receipt,
    fields: &HeaderMap,
) -> Option<Entry> {
    let mut merged = old.fields().to_map();
    policy::freshen(&mut merged, fields);
    let (validators, vary) = (Validators::of(&merged), Vary::parse(&merged));
    let terms = storability::terms(&Exchange {
        target: asked.effective(),
        method: &asked.method,
        request: &asked.fields,
        status: old.status,
        response: &merged,
        validators: &validators,
        vary: &vary,
        rules: &asked.rules,
        received: receipt.wall,
        delay: receipt.delay,
    })
    .ok()?;
    // The content was sent with the old tags and groups; a 304 may name new ones. Purges by either must reach it.
    let marks = assemble::mark(engine, asked, fields, receipt.sent).ok()?.union(&old.marks);
    tags::strip(&engine.config.cache, &mut merged);
    let variant = variant_after(old.variant(), asked, &vary)?;
    let head = assemble::pack(engine, old.status, &merged, &terms)?;
    Entry::new(NewEntry {
        key: old.key,
        head,
        body: old.body(),
        extent: old.extent().clone(),
        validators,
        terms,
        variant,
        received: receipt.at,
        received_wall: receipt.wall,
        marks,
        stamp: old.stamp.revalidated(receipt.sent),
    })
}

/// The variant of what was stored under `old`, by what it varies by now. `None`: that matches nothing.
fn variant_after(old: &Variant, asked: &Asked, vary: &Vary) -> Option<Variant> {
    match vary {
        Vary::Fields(names) if **names != *old.fields() => Some(Variant::of(names, &asked.fields)),
        Vary::Fields(_) => Some(old.clone()),
        Vary::Absent => Some(Variant::default()),
        Vary::Star => None,
    }
}

/// Freshens a stored response by what a HEAD told (RFC 9111 §4.3.5).
pub(crate) fn freshen_by_head(
    engine: &Engine,
    asked: &Asked,
    old: &Entry,
    receipt: Receipt,
    fields: &HeaderMap,
) {
    match freshened(engine, asked, old, receipt, fields) {
        Some(new) => {
            engine.store.replace(old, new);
        }
        None => engine.store.remove(old),
    }
}

/// Reads the missing bytes and joins them with a stored part. `None`: they do not fit.
pub(crate) async fn complete(
    engine: &Engine,
    asked: &Asked,
    receipt: Receipt,
    part: &Live,
    response: Box<Response<ResponseBody>>,
) -> Option<Entry> {
    let (parts, content) = response.into_parts();
    let came = ContentRange::parse(&parts.headers)?;
    let (validators, vary) = (Validators::dated(&parts.headers, receipt.date), Vary::parse(&parts.headers));
    let terms = storability::terms(&Exchange {
        target: asked.effective(),
        method: &asked.method,
        request: &asked.fields,
        status: parts.status,
        response: &parts.headers,
        validators: &validators,
        vary: &vary,
        rules: &asked.rules,
        received: receipt.wall,
        delay: receipt.delay,
    })
    .ok()?;
    let length = came.range.last - came.range.first + 1;
    let max_object = engine.config.cache.max_object;
    if length > max_object {
        return None;
    }
    let limits = Limits { max_object, window: engine.config.cache.stream_window, expected: Some(length) };
    let sealed = gather(engine, content, limits).await?;
    let marks = assemble::mark(engine, asked, &parts.headers, receipt.sent).ok()?;
    let mut fields = parts.headers;
    tags::strip(&engine.config.cache, &mut fields);
    // A 206 may leave out what the client is taken to know from the first part (RFC 9110 §15.3.7).
    let variant = match fields.contains_key(VARY) {
        true => variant_after(part.entry.variant(), asked, &vary)?,
        false => part.entry.variant().clone(),
    };
    let new = Entry::new(NewEntry {
        key: asked.key,
        head: assemble::pack(engine, parts.status, &fields, &terms)?,
        body: sealed,
        extent: Extent::Part { first: came.range.first, last: came.range.last, complete: came.complete },
        validators,
        terms,
        variant,
        received: receipt.at,
        received_wall: receipt.wall,
        marks,
        stamp: Stamp::new(receipt.sent),
    })?;
    let whole = assemble::join(engine, &part.entry, &new)?;
    if !whole.is_whole() || engine.log.check(&whole.marks, &whole.stamp).is_none() {
        return None;
    }
    engine.store.commit(whole.clone());
    Some(whole)
}

async fn gather(engine: &Engine, mut content: ResponseBody, limits: Limits) -> Option<store::Sealed> {
    let (mut writer, _body) = store::fill(engine.budget.clone(), limits);
    while let Some(frame) = content.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            writer.push(data).await.ok()?;
        }
    }
    writer.finish(None).ok()
}
