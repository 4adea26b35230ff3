//! What was purged, since when: purges as facts in a log.
//!
//! # The promise
//!
//! Once [`Log::publish`] has returned, no [`Log::check`] calls anything alive that was fetched before it and that the
//! facts speak of. Everything else in this room serves that sentence.
//!
//! # How
//!
//! - A **fact** says: this URL, prefix, host, tag, group, or everything, was purged. *Hard*: what was fetched before is dead.
//!   *Soft*: it is stale from then on. Facts are numbered, and never change or shrink.
//! - A stored response carries two numbers in its [`Stamp`]. `body`: what was published before the request that brought
//!   its bytes was sent. `validated`: the same for its last 200 or 304. A hard fact kills if its number is above
//!   `body`, a soft one softens if it is above `validated`.
//! - Facts live in [cells](cell), one per subject, found by name when something is purged or fetched. A stored
//!   response holds its cells directly ([`Marks`]), so a check is one load per cell, and a purge by tag is one store
//!   however many responses carry the tag.
//! - A check that found a response alive is memoised with the number published *before* it began. Until something
//!   else is published, the next check is two loads and a comparison. After that, it looks at those cells only that may
//!   have [learned](touched) something since.
//! - Facts about **prefixes** lie in a [tree](prefixes), which a check walks along the URL, if it has not been purged
//!   by any prefix since the last check. The sweep hands old ones on to the cells of the URLs that they speak of.
//! - What nobody holds and nobody in flight can ask for is [forgotten](table), so that the log stays bounded. A sweep does
//!   that, [in steps](Sweeping) between which anything may happen.
//! - Cells also carry the **tally** of what is stored of their subject: whoever stores a response [holds](Marks::hold)
//!   its marks, so that counting costs nothing on a hit, and a look at a tally no iteration.
//!
//! # The order of a fetch
//!
//! [`Log::published`] is read before the request is sent, and carried with it. The subjects are known when the response
//! head arrives: [`Log::intern`] finds their cells then, with whatever was published meanwhile, and refuses if facts
//! younger than the request may have been forgotten. [`Log::check`] follows, then and whenever the response is to be
//! used.
//!
//! Not here: who may purge, parsing of targets.

mod cell;
mod commons;
mod facts;
mod figures;
mod log;
mod marks;
mod prefixes;
mod selector;
mod stamp;
mod subject;
mod sync;
mod table;
mod touched;
mod tree;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod races;

pub use cell::Tally;
pub use facts::Purged;
pub use figures::Figures;
pub use log::{Alive, Log, Sweeping};
pub use marks::Marks;
pub use selector::Selector;
pub use stamp::{Sequence, Stamp};
pub use subject::{Fact, Group, Kind, Subject, Subjects};
