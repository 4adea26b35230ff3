//! tokio's bell as tests have it: the real one, but inside [`explore`](crate::validity::model::explore) the model
//! checker chooses before each operation who goes on. An operation is one step; that it is sound within is for tokio
//! to show.

use tokio::sync::futures::Notified;

use crate::validity::model::switch;

pub(crate) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(tokio::sync::Notify::new())
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        switch();
        self.0.notified()
    }

    pub(crate) fn notify_waiters(&self) {
        switch();
        self.0.notify_waiters();
    }
}
