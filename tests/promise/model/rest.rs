//! Tells when a thread of this process has nothing left to do: it sleeps until somebody sends it something. On loopback
//! what was sent has arrived when the call that sends it returns, and has woken whoever waits for it. So a serving thread that
//! sleeps has done all that follows from what it was sent.
//!
//! That is Linux's to tell; elsewhere there is no [`Rest`], and the world makes do with pings.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(20);

const TASKS: &str = "/proc/self/task";

/// A thread that can be watched.
pub(crate) struct Rest {
    stat: File,
}

/// The threads there are.
pub(crate) fn threads() -> BTreeSet<String> {
    let tasks = fs::read_dir(TASKS).into_iter().flatten().flatten();
    tasks.map(|task| task.file_name().to_string_lossy().into_owned()).collect()
}

impl Rest {
    /// The thread of this name that has come since there were `others`.
    pub(crate) fn of(name: &str, others: &BTreeSet<String>) -> Option<Self> {
        let is_it = |thread: &&String| {
            let comm = fs::read_to_string(format!("{TASKS}/{thread}/comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        let new: BTreeSet<String> = threads().difference(others).cloned().collect();
        let thread = new.iter().find(is_it)?;
        File::open(format!("{TASKS}/{thread}/stat")).ok().map(|stat| Self { stat })
    }

    /// Waits until the thread sleeps.
    pub(crate) fn wait(&self) {
        while !self.is_asleep() {
            // It needs the processor more than this thread does.
            thread::sleep(PAUSE);
        }
    }

    fn is_asleep(&self) -> bool {
        let mut line = [0; 64];
        let length = self.stat.read_at(&mut line, 0).unwrap();
        // The state stands behind the name, which is in parentheses.
        let name_end = line[..length].iter().rposition(|byte| *byte == b')').unwrap();
        line.get(name_end + 2) == Some(&b'S')
    }
}
