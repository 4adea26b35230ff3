//! The timer that hyper sets for each request head.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::time;

/// hyper's timer for one connection.
///
/// hyper makes a timer whenever it begins to wait for a head, and drops it when the head is there. To enter a timer and take
/// it out again is dear, and nearly all would be taken out unused. So there is one for the connection: it is left to run,
/// and when it ends too early for what is waited for by then, it is set anew.
#[derive(Clone)]
pub(super) struct HeadTimer(Arc<Mutex<Pin<Box<time::Sleep>>>>);

impl HeadTimer {
    /// `shortest`: no wait is shorter, in the connection's whole life.
    pub(super) fn new(shortest: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(time::sleep(shortest)))))
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { timer: self.clone(), deadline })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// A wait on the connection's timer.
struct Wait {
    timer: HeadTimer,
    deadline: Instant,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        let mut timer = self.timer.0.lock();
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a wait has ended by now.
    async fn is_over(wait: &mut Pin<Box<dyn Sleep>>) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_lasts_as_long_as_it_should() {
        const T: Duration = Duration::from_secs(10);
        let timer = HeadTimer::new(T);
        let mut first = timer.sleep(T);
        assert!(!is_over(&mut first).await);
        time::advance(T * 7 / 10).await;
        drop(first);

        let mut second = timer.sleep(T);
        time::advance(T * 7 / 10).await;
        assert!(!is_over(&mut second).await, "the timer has ended, this wait has not");
        time::advance(T * 2 / 10).await;
        assert!(!is_over(&mut second).await);
        time::advance(T / 10 + Duration::from_millis(2)).await;
        assert!(is_over(&mut second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_is_woken_when_the_wait_is_over() {
        const T: Duration = Duration::from_secs(10);
        let timer = HeadTimer::new(T);
        let began = timer.now();
        drop(timer.sleep(T));
        time::advance(T / 2).await;
        timer.sleep(T).await;
        let waited = timer.now() - began;
        assert!((T * 3 / 2..T * 3 / 2 + Duration::from_millis(5)).contains(&waited), "{waited:?}");
    }
}
