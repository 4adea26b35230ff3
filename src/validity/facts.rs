//! What is known about one name: the youngest hard and the youngest soft fact.

use super::stamp::{Sequence, Stamp};
use super::subject::Kind;
use crate::clock::Moment;

/// The youngest fact of each kind. Zero: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) hard: Sequence,
    pub(super) soft: Sequence,
    /// When the youngest of both was published. A soft fact decides only where no hard one is younger (or the response
    /// is dead), so this is the time of the fact that decides.
    pub(super) at: Moment,
}

/// What facts mean to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Untouched,
    Softened(Moment),
    Dead,
}

/// What a subject was last purged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// The publication's number.
    pub sequence: Sequence,
    /// When that was.
    pub at: Moment,
}

impl Facts {
    pub(super) const NONE: Facts = Facts { hard: Sequence(0), soft: Sequence(0), at: Moment::from_nanos(0) };

    pub(super) fn one(kind: Kind, number: Sequence, at: Moment) -> Self {
        match kind {
            Kind::Hard => Facts { hard: number, at, ..Self::NONE },
            Kind::Soft => Facts { soft: number, at, ..Self::NONE },
        }
    }

    /// The youngest of both. In whatever order facts are added, the same comes out.
    pub(super) fn and(self, other: Facts) -> Facts {
        Facts { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft), at: self.at.max(other.at) }
    }

    /// Hard facts count against the bytes, soft ones against their last validation.
    pub(super) fn verdict(&self, stamp: &Stamp) -> Verdict {
        if self.hard > stamp.body() {
            Verdict::Dead
        } else if self.soft > stamp.validated() {
            Verdict::Softened(self.at)
        } else {
            Verdict::Untouched
        }
    }

    /// The number of the youngest fact of either kind.
    pub(super) fn youngest(&self) -> Sequence {
        self.hard.max(self.soft)
    }

    /// The youngest fact. `None`: there is none, or none but what a cell was born with instead of facts that were
    /// forgotten, which have no time.
    pub(super) fn purged(&self) -> Option<Purged> {
        (self.at > Self::NONE.at).then(|| Purged { sequence: self.youngest(), at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn the_order_of_facts_does_not_matter() {
        let old = Facts::one(Kind::Hard, Sequence(3), at(30));
        let young = Facts::one(Kind::Hard, Sequence(5), at(50));
        let soft = Facts::one(Kind::Soft, Sequence(4), at(40));
        let all = old.and(young).and(soft);
        assert_eq!(all, soft.and(young).and(old));
        assert_eq!(all, Facts { hard: Sequence(5), soft: Sequence(4), at: at(50) });
        assert_eq!(all.purged(), Some(Purged { sequence: Sequence(5), at: at(50) }));
        assert_eq!(Facts::NONE.purged(), None);
    }

    #[test]
    fn hard_counts_from_the_bytes_and_soft_from_their_validation() {
        let soft = Facts::one(Kind::Soft, Sequence(2), at(20));
        let stamp = Stamp::new(Sequence(1));
        assert_eq!(soft.verdict(&stamp), Verdict::Softened(at(20)));
        let validated = stamp.revalidated(Sequence(2));
        assert_eq!(soft.verdict(&validated), Verdict::Untouched);
        let both = soft.and(Facts::one(Kind::Hard, Sequence(2), at(20)));
        assert_eq!(both.verdict(&validated), Verdict::Dead, "a 304 does not make the bytes younger");
        assert_eq!(both.verdict(&Stamp::new(Sequence(2))), Verdict::Untouched);
    }
}
