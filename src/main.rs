//! The `larder` binary: parses the command line and calls the library.

use std::process::ExitCode;

use clap::Parser;
use larder::cli::{self, Cli};

/// jemalloc gives memory back page by page, wherever in the heap it was freed. Under an allocator that keeps what was
/// evicted, the process outgrows its memory limit however well that is kept.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc is told before it starts, where it looks for it.
///
/// Freed pages are kept for 50 ms for the next use. At 0, each piece of content from an origin costs page faults; at
/// jemalloc's ten seconds a cache that is being filled keeps tens of MiB that it does not use.
///
/// Threads have room for at least 128 freed blocks of each size up to 14 KiB, as many as connections have under way. Of the
/// buffers of 8 KiB that requests and responses are read into they would keep 20, and fetch the others from an arena that they
/// share.
///
/// Of the sizes of which jemalloc cuts one page at a time, four pages are cut at once. What it notes of what it cut is 128 bytes, a
/// 32nd of a page.
#[allow(unsafe_code, reason = "misses take a tenth less time: docs/performance.md")]
// SAFETY: nobody else defines the name, and jemalloc takes it for a pointer to a string that ends with a zero, as this is.
#[used]
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 103] = b"dirty_decay_ms:50,tcache_nslots_small_min:128,\
    slab_sizes:512-512:4|1024-1024:4|2048-2048:4|4096-4096:4\0";

fn main() -> ExitCode {
    // Usage errors exit 2 from within.
    cli::run(Cli::parse())
}

#[cfg(all(test, target_os = "linux"))]
#[allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, of what the kernel sees, in its time"
)]
mod tests {
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
