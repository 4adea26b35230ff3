//! Memory that a process has in a file without a name (Linux).

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Bytes of all such files that the process holds open.
pub(crate) fn bytes(pid: u32) -> u64 {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let in_memory = files.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:"))
    });
    // The kernel counts blocks of 512 bytes, of those pages that are there.
    in_memory.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.blocks() * 512).sum()
}
