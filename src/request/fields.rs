//! The fields of a request, which a fetch shares with the client that caused it.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;

/// They are one client's own, and become shared when something is fetched by them that may outlive that client.
#[derive(Debug)]
pub(crate) struct Fields {
    /// INVARIANT: empty while they are shared.
    own: HeaderMap,
    shared: Option<Arc<HeaderMap>>,
}

impl Fields {
    /// From now on [`handle`](Self::handle) copies nothing.
    pub(crate) fn share(&mut self) {
        if self.shared.is_none() {
            self.shared = Some(Arc::new(std::mem::take(&mut self.own)));
        }
    }

    /// For who needs them for longer.
    pub(crate) fn handle(&self) -> Arc<HeaderMap> {
        self.shared.clone().unwrap_or_else(|| Arc::new(self.own.clone()))
    }

    /// The map to put other fields into, emptied. It is a new one if these are shared.
    pub(crate) fn emptied(&mut self) -> &mut HeaderMap {
        self.shared = None;
        self.own.clear();
        &mut self.own
    }
}

impl From<HeaderMap> for Fields {
    fn from(own: HeaderMap) -> Self {
        Self { own, shared: None }
    }
}

impl Deref for Fields {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        self.shared.as_deref().unwrap_or(&self.own)
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
        assert!(shared.emptied().is_empty());
        assert_eq!(handle[HOST], "a.test");
    }

    #[test]
    fn who_has_them_alone_has_the_map() {
        let mut own = fields();
        let (handle, room) = (own.handle(), own.capacity());
        let map = own.emptied();
        assert_eq!((map.len(), map.capacity()), (0, room));
        assert_eq!(handle[HOST], "a.test");
    }
}
