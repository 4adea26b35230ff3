//! What the machine suggests: threads, memory, and a name for this process.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::thread;

const MIB: u64 = 1 << 20;

/// The cores that this process may use, at least one.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Eight random bytes in hex. The standard library seeds its hashers from the operating system.
pub(super) fn random_instance() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A quarter of what this process may use, from 64 MiB to 1 GiB; in bytes.
pub(super) fn default_memory() -> u64 {
    share_of(usable_memory(Path::new("/")))
}

fn share_of(usable: Option<u64>) -> u64 {
    const WHERE_NOTHING_IS_KNOWN: u64 = 256 * MIB;
    usable.map_or(WHERE_NOTHING_IS_KNOWN, |bytes| (bytes / 4).clamp(64 * MIB, 1024 * MIB))
}

/// The least of the physical memory and the limits of the control groups that this process is in. `root` is `/`
/// but in tests.
fn usable_memory(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(root, line));
    limits.chain(physical_memory(root)).min()
}

/// `line` is one of `/proc/self/cgroup`: `hierarchy:controllers:path`. Version 2 has no controllers there.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        listed if listed.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // A limit further up holds as well. In a container the path may be the host's and not exist here, but the mount
    // point itself is then the container's own group.
    let mount = root.join(mount);
    let group = Path::new(path.trim_start_matches('/'));
    group.ancestors().filter_map(|ancestor| read_limit(&mount.join(ancestor).join(file))).min()
}

/// `max` (version 2) is no limit; version 1 writes a number beyond any memory, which the minimum sorts out.
fn read_limit(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|limit| *limit > 0)
}

fn physical_memory(root: &Path) -> Option<u64> {
    let table = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = table.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  1 kB\n");

    #[test]
    fn the_least_limit_of_the_groups_counts() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/kube/pod/larder\n"),
            ("sys/fs/cgroup/kube/pod/larder/memory.max", "max\n"),
            ("sys/fs/cgroup/kube/pod/memory.max", "536870912\n"),
            ("sys/fs/cgroup/kube/memory.max", "2147483648\n"),
        ]);
        assert_eq!(usable_memory(root.path()), Some(512 * MIB));
        assert_eq!(share_of(usable_memory(root.path())), 128 * MIB);
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "7:cpu,cpuacct:/docker/abc\n6:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
        ]);
        assert_eq!(usable_memory(root.path()), Some(1024 * MIB));
    }

    #[test]
    fn without_a_limit_physical_memory_counts() {
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "6:memory:/\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(usable_memory(root.path()), Some(8192 * MIB));
        assert_eq!(share_of(usable_memory(root.path())), 1024 * MIB);
    }

    #[test]
    fn where_nothing_is_known_or_little_is_there_a_default_holds() {
        assert_eq!(usable_memory(machine(&[]).path()), None);
        assert_eq!(share_of(None), 256 * MIB);
        assert_eq!(share_of(Some(MIB)), 64 * MIB);
    }

    #[test]
    fn instances_differ() {
        assert_ne!(random_instance(), random_instance());
        assert_eq!(random_instance().len(), 16);
    }
}
