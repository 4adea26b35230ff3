//! Who drives a flight: the client that caused it, as long as it waits; from then on a task of its own.
//!
//! So the client may leave whenever it likes, and a miss, as long as it is one client's, costs no task and no wake-ups between
//! two.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use http::Response;
use tokio::runtime::Handle;

use crate::request::coalesce::{Verdict, Waiter};
use crate::request::job::Job;
use crate::upstream::ResponseBody;

/// An answer for the client alone that caused the fetch.
pub(crate) type Own = Option<Box<Response<ResponseBody>>>;

/// A flight under way. Dropped before its end, it goes on by itself.
pub(crate) struct Flying(Option<Pin<Box<dyn Future<Output = Own> + Send>>>);

impl Flying {
    pub(crate) fn new(job: Box<Job>) -> Self {
        Self::of(job.fly())
    }

    fn of(flight: impl Future<Output = Own> + Send + 'static) -> Self {
        Self(Some(Box::pin(flight)))
    }

    /// Drives it until its verdict has fallen. `waiter` is a seat in this very flight, so that there is nobody else to wait
    /// for; it is given up with the verdict.
    pub(crate) async fn verdict(mut self, waiter: Waiter) -> (Verdict, Own) {
        let mut own = None;
        let verdict = poll_fn(|cx| {
            if let Some(flight) = &mut self.0 {
                // A panic is the flight's alone: it settles its obligation, and the client is one of those who go on.
                let polled = catch_unwind(AssertUnwindSafe(|| flight.as_mut().poll(cx)));
                match polled {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(answer)) => {
                        own = answer;
                        self.0 = None;
                    }
                    Err(_panic) => self.0 = None,
                }
            }
            waiter.told().map_or(Poll::Pending, Poll::Ready)
        });
        let verdict = verdict.await;
        (verdict, own)
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        if let (Some(flight), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::request::coalesce::client::Client;
    use crate::request::coalesce::{Flights, Obligation};
    use crate::validity::Log;

    fn opened() -> (Obligation, Waiter) {
        let obligation = Flights::alone(&Client { since: Log::new().published() });
        let waiter = obligation.waiter();
        (obligation, waiter)
    }

    #[tokio::test]
    async fn who_leaves_does_not_end_it() {
        let (obligation, waiter) = opened();
        let leader = obligation.waiter();
        let (go, told) = oneshot::channel();
        let flying = Flying::of(async move {
            told.await.unwrap();
            obligation.settle(Verdict::Released("no-store"));
            None
        });
        let mut driving = Box::pin(flying.verdict(leader));
        assert!(driving.as_mut().now_or_never().is_none());
        drop(driving);
        go.send(()).unwrap();
        assert!(matches!(waiter.verdict().await, Verdict::Released("no-store")));
    }

    #[tokio::test]
    async fn what_is_left_after_the_verdict_is_done_without_the_client() {
        let (obligation, waiter) = opened();
        let ((go, told), (done, is_done)) = (oneshot::channel(), oneshot::channel());
        let flying = Flying::of(async move {
            obligation.settle(Verdict::Released("no-store"));
            told.await.unwrap();
            done.send(()).unwrap();
            None
        });
        assert!(matches!(flying.verdict(waiter).await, (Verdict::Released("no-store"), None)));
        go.send(()).unwrap();
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_the_flights_own() {
        let (obligation, waiter) = opened();
        let flying = Flying::of(async move {
            let _obligation = obligation;
            panic!("this panic is meant")
        });
        assert!(matches!(flying.verdict(waiter).await, (Verdict::Abandoned, None)));
    }
}
