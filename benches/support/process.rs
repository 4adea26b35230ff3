//! What the kernel says of a process (Linux).

#![allow(dead_code, reason = "each bench uses its part")]

use std::fs;
use std::io;

#[path = "memfile.rs"]
mod memfile;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now, or in a file in memory.
    pub(crate) resident: u64,
    /// The most that was ever resident, by the kernel's own mark, which no sampling misses; without files in memory.
    pub(crate) peak: u64,
}

/// Reads `/proc/PID/status`, and looks at its files.
pub(crate) fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("no {name} in the status of {pid}")))
    };
    // What of a file in memory is mapped is the file's.
    let resident = field("VmRSS")?.saturating_sub(field("RssShmem")?) + memfile::bytes(pid);
    Ok(Memory { resident, peak: field("VmHWM")? })
}
