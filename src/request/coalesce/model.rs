//! tokio's watch as tests have it: the real one, but inside [`explore`](crate::validity::model::explore) the model
//! checker chooses before each operation who goes on. An operation is one step; that it is sound within is for tokio
//! to show.

pub(super) mod watch {
    use tokio::sync::watch;
    pub(crate) use tokio::sync::watch::Ref;
    use tokio::sync::watch::error::RecvError;

    use crate::validity::model::switch;

    pub(crate) struct Sender<T>(watch::Sender<T>);

    impl<T> Sender<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(watch::Sender::new(value))
        }

        /// Nothing that lets others go on may be called while the value is held: they would wait for it in earnest.
        pub(crate) fn borrow(&self) -> Ref<'_, T> {
            switch();
            self.0.borrow()
        }

        pub(crate) fn send_replace(&self, value: T) -> T {
            switch();
            self.0.send_replace(value)
        }

        pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
            switch();
            self.0.send_if_modified(modify)
        }

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            switch();
            Receiver(self.0.subscribe())
        }
    }

    pub(crate) struct Receiver<T>(watch::Receiver<T>);

    impl<T> Receiver<T> {
        pub(crate) fn borrow(&self) -> Ref<'_, T> {
            switch();
            self.0.borrow()
        }

        pub(crate) async fn wait_for(
            &mut self,
            test: impl FnMut(&T) -> bool,
        ) -> Result<Ref<'_, T>, RecvError> {
            switch();
            self.0.wait_for(test).await
        }
    }
}
