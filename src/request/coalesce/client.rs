//! Who comes to a flight in tests.

use super::Newcomer;
use crate::request::assemble::Share;
use crate::validity::Sequence;

/// A request that takes what was begun, or sent for, when it arrived or later.
pub(crate) struct Client {
    pub(crate) since: Sequence,
}

impl Newcomer for Client {
    fn arrived(&self) -> Sequence {
        self.since
    }

    fn may_wait(&self, begun: Sequence) -> bool {
        begun >= self.since
    }

    fn may_read(&self, share: &Share) -> bool {
        share.sent >= self.since
    }
}
