//! The method `PURGE`: the door of the main listener. It is answered here or refused here, and never forwarded, so that
//! no origin or cache behind this one sees who may purge, or purges on somebody's word.

use crate::purge::Purge;
use crate::request::error::Refusal;
use crate::request::receive::{self, Client, Head, Refused};
use crate::request::worker::Engine;

/// Whether a request is for this door.
pub(crate) fn is_purge(head: &Head) -> bool {
    head.method.as_str() == "PURGE"
}

/// Purges, if the client may: first that is asked, then what the request says.
pub(crate) fn answer(engine: &Engine, head: &Head, client: &Client) -> Refused {
    let at = engine.clock.moment();
    let line = receive::line(engine, head, client, at);
    Refused { method: head.method.clone(), at, refusal: purge(engine, head, client), line }
}

fn purge(engine: &Engine, head: &Head, client: &Client) -> Refusal {
    let purger = &engine.purger;
    let who = match purger.rights().listener(&head.fields, client.addr.ip()) {
        Ok(who) => who,
        Err(denied) => return denied.into(),
    };
    match Purge::from_request(&head.authority, head.target.as_str(), &head.fields, purger.limits()) {
        Ok(purge) => Refusal::purged(purger.run(&purge, &who).to_json(&engine.config.server.instance)),
        Err(fault) => fault.into(),
    }
}
