//! Keeps hyper from waking a connection that has nothing to do.
//!
//! Whenever a piece of a response is taken, hyper wakes the task of the connection that it came on, so that it reads the
//! next. As a rule it has read the whole response by then, and waits for its next request: it is woken in vain, and looks
//! once more at all that it has to do. So its task has a waker that is deaf to what happens [`quietly`], which is on one
//! thread and for a moment. Whoever else wakes it, such as its socket, gets through.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something, which must not await anything, of which no [driven](drive) connection is to hear.
pub(super) fn quietly<T>(act: impl FnOnce() -> T) -> T {
    let _over = Quiet::begin();
    act()
}

/// Drives a connection, on a task of its own: what wakes that task is heard unless it happens [`quietly`].
pub(super) async fn drive<F: Future>(mut connection: Pin<&mut F>) -> F::Output {
    let mut hushed = None;
    poll_fn(|cx| {
        // A task has the same waker all its life.
        let waker = hushed.get_or_insert_with(|| Waker::from(Arc::new(Hushed(cx.waker().clone()))));
        connection.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

struct Quiet;

impl Quiet {
    fn begin() -> Self {
        QUIET.set(true);
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(false);
    }
}

/// A task's waker, but for when it is to be quiet.
struct Hushed(Waker);

impl Wake for Hushed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !QUIET.get() {
            self.0.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures_util::FutureExt as _;
    use futures_util::task::AtomicWaker;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_hears_all_but_what_is_done_quietly() {
        let (heard, bell) = (Arc::new(Count::default()), AtomicWaker::new());
        let connection = pin!(poll_fn(|cx| {
            bell.register(cx.waker());
            Poll::<()>::Pending
        }));
        let mut driven = pin!(drive(connection));
        let waker = Waker::from(Arc::clone(&heard));
        let mut ring = |ring: &dyn Fn()| {
            assert!(driven.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            ring();
            heard.0.load(Ordering::Relaxed)
        };
        assert_eq!(ring(&|| bell.wake()), 1);
        assert_eq!(ring(&|| quietly(|| bell.wake())), 1);
        assert_eq!(ring(&|| bell.wake()), 2, "it is over");
        let elsewhere = || std::thread::scope(|scope| drop(scope.spawn(|| bell.wake()).join()));
        assert_eq!(ring(&|| quietly(elsewhere)), 3, "it is one thread's");
    }

    #[test]
    fn what_it_comes_to_is_passed_on() {
        assert_eq!(pin!(drive(pin!(async { 7 }))).now_or_never(), Some(7));
    }
}
