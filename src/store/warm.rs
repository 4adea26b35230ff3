//! Heads of what is asked for a lot, unpacked.
//!
//! A packed [`Head`](super::Head) takes little room, but unpacking it takes longer than finding it. So each thread keeps the
//! fields of some hot responses as they go out. It knows a response by where it lies, and holds it by a weak handle: that
//! keeps neither the response nor its charge, only the place, so that no other comes to lie there.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::store::Entry;

/// Responses whose fields a thread keeps. Each takes a kilobyte or so, which no limit counts.
const PLACES: usize = 512;
/// Entries lie no closer to each other than this, as a power of two.
const APART: u32 = 6;

struct Warm {
    entry: Weak<Entry>,
    fields: Box<[(HeaderName, HeaderValue)]>,
}

thread_local! {
    static WARM: RefCell<Box<[Option<Warm>]>> = RefCell::new((0..PLACES).map(|_| None).collect());
}

impl Entry {
    /// Appends the fields of its head, in order.
    pub fn write_fields(self: &Arc<Self>, out: &mut HeaderMap) {
        let own = Arc::as_ptr(self);
        WARM.with_borrow_mut(|places| {
            let place = &mut places[(own.addr() >> APART) % PLACES];
            if let Some(warm) = place
                && warm.entry.as_ptr() == own
            {
                out.extend(warm.fields.iter().cloned());
            } else if self.is_worth_a_thought() {
                // Of two hot ones that fall on one place each has it for a while.
                let fields: Box<[_]> = self.head.fields().collect();
                out.extend(fields.iter().cloned());
                *place = Some(Warm { entry: Arc::downgrade(self), fields });
            } else {
                out.extend(self.head.fields());
            }
        });
    }
}
