//! CPU time of a process, as the kernel counts it (Linux).

use std::fs;
use std::io;
use std::time::Duration;

/// User and system time of all threads that the process has had, to the kernel's tick of 10 ms (`USER_HZ` is 100
/// wherever Linux runs).
pub(crate) fn time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').skip(11).take(2));
    let ticks = fields.into_iter().flatten().map(|field| field.parse::<u64>());
    let ticks = ticks.sum::<Result<u64, _>>().map_err(io::Error::other)?;
    Ok(Duration::from_millis(ticks * 10))
}
