//! A process with all its descendants: some servers are several processes (Linux).

#![allow(dead_code, reason = "each bench uses its part")]

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use crate::cpu;

#[path = "memfile.rs"]
mod memfile;

/// The process and its descendants, the process first.
pub(crate) fn of(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = pid.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).into_iter().flatten());
        next += 1;
    }
    tree
}

/// User and system time of the tree. What ends meanwhile takes its time with it.
pub(crate) fn cpu(root: u32) -> Duration {
    of(root).into_iter().filter_map(|pid| cpu::time(pid).ok()).sum()
}

/// Memory of a tree, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident; a page that two processes share counts twice.
    pub(crate) resident: u64,
    /// Resident, a shared page divided among those who share it ("proportional set size").
    pub(crate) proportional: u64,
}

/// What the tree holds now, shared memory and files without a name in memory included, files on a tmpfs not.
pub(crate) fn memory(root: u32) -> io::Result<Memory> {
    let mut sum = Memory { resident: 0, proportional: 0 };
    for pid in of(root) {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        let file = memfile::bytes(pid);
        // What of it is mapped is counted with it.
        let mapped = if file == 0 { 0 } else { field(&text, "Pss_Shmem:") };
        sum.resident += field(&text, "Rss:").saturating_sub(mapped) + file;
        sum.proportional += field(&text, "Pss:").saturating_sub(mapped) + file;
    }
    if sum.resident == 0 { Err(io::Error::other(format!("no memory to be seen of {root}"))) } else { Ok(sum) }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; behind it stand the state and the parent.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Whether the process still runs, and whoever started it does not.
pub(crate) fn is_orphan(pid: u32) -> bool {
    parent(pid) == Some(1)
}
