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
    pub(crate) fn new(job: Job) -> Self {
        Self(Some(Box::pin(job.fly())))
    }

    /// Drives it until its verdict has fallen. `waiter` is a seat in this very flight, so that there is nobody else to wait
    /// for.
    pub(crate) async fn verdict(mut self, waiter: &Waiter) -> (Verdict, Own) {
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
