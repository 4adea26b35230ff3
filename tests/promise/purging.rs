//! How these tests purge. A purge has returned when these functions have.

use larder::validity::{Fact, Kind, Sequence, Subject};

use crate::proxy::Proxy;

/// What these answer to is dead from now on.
pub(crate) fn purge(proxy: &Proxy, subject: Subject<'_>) -> Sequence {
    publish(proxy, Fact { subject, kind: Kind::Hard })
}

/// What these answer to is stale from now on.
pub(crate) fn soften(proxy: &Proxy, subject: Subject<'_>) -> Sequence {
    publish(proxy, Fact { subject, kind: Kind::Soft })
}

fn publish(proxy: &Proxy, fact: Fact<'_>) -> Sequence {
    proxy.log().publish(&[fact], proxy.moment())
}
