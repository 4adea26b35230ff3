//! What the kernel says of a process (Linux).

#![allow(dead_code, reason = "each bench uses its part")]

use std::fs;
use std::io;

#[path = "memfile.rs"]
mod memfile;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, or in a file in memory.
    pub(crate) taken: u64,
    /// Of that.
    pub(crate) in_file: u64,
}

/// Reads `/proc/PID/status`, and looks at the process's files.
pub(crate) fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("no {name} in the status of {pid}")))
    };
    let in_file = memfile::bytes(pid);
    // What of a file in memory is mapped is the file's.
    Ok(Memory { taken: field("VmRSS")?.saturating_sub(field("RssShmem")?) + in_file, in_file })
}
