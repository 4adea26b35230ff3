//! The fields of a request, which a fetch shares with the client that caused it.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;

/// They are one client's own, and become shared when something is fetched by them that may outlive that client. A hit is
/// spared the place that this takes.
#[derive(Debug)]
pub(crate) enum Fields {
    Own(HeaderMap),
    Shared(Arc<HeaderMap>),
}

impl Fields {
    /// From now on [`handle`](Self::handle) copies nothing.
    pub(crate) fn share(&mut self) {
        if let Self::Own(own) = self {
            *self = Self::Shared(Arc::new(std::mem::take(own)));
        }
    }

    /// For who needs them for longer.
    pub(crate) fn handle(&self) -> Arc<HeaderMap> {
        match self {
            Self::Own(own) => Arc::new(own.clone()),
            Self::Shared(shared) => shared.clone(),
        }
    }

    /// The map to put other fields into, emptied. It is a new one if this one is shared.
    pub(crate) fn take_emptied(&mut self) -> HeaderMap {
        match self {
            Self::Own(own) => {
                let mut map = std::mem::take(own);
                map.clear();
                map
            }
            Self::Shared(_) => HeaderMap::new(),
        }
    }
}

impl From<HeaderMap> for Fields {
    fn from(own: HeaderMap) -> Self {
        Self::Own(own)
    }
}

impl Deref for Fields {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        match self {
            Self::Own(own) => own,
            Self::Shared(shared) => shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;

    fn fields() -> Fields {
        HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.test"))]).into()
    }

    #[test]
    fn what_is_shared_stays_when_the_client_has_done_with_it() {
        let mut shared = fields();
        shared.share();
        let handle = shared.handle();
        assert!(Arc::ptr_eq(&handle, &shared.handle()), "nothing is copied");
        assert!(shared.take_emptied().is_empty());
        assert_eq!(handle[HOST], "a.test");
    }

    #[test]
    fn who_has_them_alone_has_the_map() {
        let mut own = fields();
        let (handle, room) = (own.handle(), own.capacity());
        let map = own.take_emptied();
        assert_eq!((map.len(), map.capacity()), (0, room));
        assert_eq!(handle[HOST], "a.test");
    }
}
