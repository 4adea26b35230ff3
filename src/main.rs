//! The `larder` binary: parses the command line and calls the library.

use std::process::ExitCode;

use clap::Parser;
use larder::cli::{self, Cli};
use tikv_jemalloc_ctl::{Access, AsName};

/// jemalloc gives memory back page by page, wherever in the heap it was freed. Under an allocator that keeps what was
/// evicted, the process outgrows its memory limit however well that is kept.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long freed pages are kept for the next use, in milliseconds. At 0, each piece of content from an origin costs page
/// faults; at jemalloc's ten seconds a cache that is being filled keeps tens of MiB that it does not use.
const KEPT_FREE: isize = 50;
/// jemalloc's names for that: for the arenas of threads to come, and for the main thread's.
const DECAY: [&[u8]; 2] = [b"arenas.dirty_decay_ms\0", b"arena.0.dirty_decay_ms\0"];

fn main() -> ExitCode {
    if let Err(error) = give_back_soon() {
        eprintln!("larder: freed memory will be given back late: {error}");
    }
    // Usage errors exit 2 from within.
    cli::run(Cli::parse())
}

fn give_back_soon() -> Result<(), tikv_jemalloc_ctl::Error> {
    DECAY.into_iter().try_for_each(|name| name.name().write(KEPT_FREE))
}

#[cfg(all(test, target_os = "linux"))]
#[allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, of what the kernel sees, in its time"
)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::{Duration, Instant};

    const MIB: usize = 1 << 20;
    /// Less than half of jemalloc's own ten seconds, in which most would be kept.
    const SOON: Duration = Duration::from_secs(4);

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    #[test]
    fn what_is_freed_goes_back_soon() {
        give_back_soon().unwrap();
        // A thread of its own gets an arena that is made now.
        let (before, full) = thread::spawn(|| {
            let before = resident();
            let blocks: Vec<_> = (0..1024).map(|_| vec![1u8; MIB / 16]).collect();
            let full = resident() - before;
            drop(blocks);
            (before, full)
        })
        .join()
        .unwrap();
        assert!(full > 60 * MIB, "{full}");
        let began = Instant::now();
        while resident() > before + 10 * MIB {
            assert!(began.elapsed() < SOON, "{} of {full} bytes are kept", resident() - before);
            thread::sleep(Duration::from_millis(10));
        }
    }
}
