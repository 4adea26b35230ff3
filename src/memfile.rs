//! Content in a file in memory, from where the kernel sends it without a copy.
//!
//! For long content the copy into the socket's buffers takes more time than all else that a hit does. Of a file the kernel
//! can send the very pages (`sendfile`). This file has no name and no disk behind it. It consists of slots, an
//! [`Extent`] in each: slots are address space, of which there is plenty; what takes memory is the pages that are
//! written, and they are given back as the extent goes.
//!
//! It is mapped as well, so that an extent is bytes like any other, and who does not know of the file copies them.
//!
//! INVARIANT: a page that has been written is not written again before it is given back, which is done to whole pages. So what
//! the kernel has not sent yet when an extent goes stays as it was: the kernel holds the page, and the next extent in the slot
//! has others.

#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "there is no such file elsewhere")
)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use parking_lot::Mutex;

/// What is shorter is copied in less time than it takes to have it here, in bytes.
pub const SHORTEST: usize = 32 * 1024;
/// A part of an extent that is shorter is copied in less time than a system call more takes, in bytes.
const WORTH: usize = 16 * 1024;
/// The longest extent, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// From one slot to the next, in bytes: the largest page that a file in memory may be made of. So two extents never share one.
const SLOT: u64 = 2 * 1024 * 1024;
/// What finds no slot lies elsewhere.
const SLOTS: u32 = 1 << 20;
const LENGTH: u64 = SLOTS as u64 * SLOT;
/// What memory is taken and given back in, in bytes.
const PAGE: usize = 4096;
/// What the kernel needs beside that to find the pages of an extent, in bytes: a node of a tree, and its share of those above.
const NODE: usize = 640;
/// And for the process to read it, in bytes: a page of its tables for each slot, which it keeps for the next extent there.
const TABLE: usize = 4096;
/// Tells whether the system makes such files of the largest pages, an extent from each.
const LARGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/// Opened for the first extent. `None`: there is no such file on this system, or we may not have it.
static MEMORY: OnceLock<Option<Memory>> = OnceLock::new();

/// The file.
#[derive(Debug)]
struct Memory {
    file: File,
    /// Where it is mapped, to be read only, as long as the process lives.
    mapped: AtomicPtr<u8>,
    /// Slots that were in use. INVARIANT: no page of theirs is the file's any more.
    free: Mutex<Vec<u32>>,
    /// From here on no slot has been used yet.
    unused: AtomicU32,
}

/// Bytes in the file. They never change.
#[derive(Debug)]
pub struct Extent {
    slot: u32,
    /// INVARIANT: at most [`LONGEST`].
    len: u32,
}

impl Extent {
    /// A copy of all `parts`, one after the other. `None`: they are too short or too long in all, or there is no room.
    pub fn of(parts: &[&[u8]]) -> Option<Self> {
        let len = parts.iter().map(|part| part.len()).sum();
        if !(SHORTEST..=LONGEST).contains(&len) {
            return None;
        }
        let memory = MEMORY.get_or_init(Memory::open_or_say_why_not).as_ref()?;
        // From here on it gives the slot back, also half-written.
        let extent = Self { slot: memory.slot()?, len: u32::try_from(len).ok()? };
        let mut at = extent.start();
        for part in parts {
            memory.file.write_all_at(part, at).ok()?;
            at += part.len() as u64;
        }
        Some(extent)
    }

    /// Bytes of memory that one of `len` bytes takes at most.
    pub const fn size(len: usize) -> usize {
        len.next_multiple_of(PAGE) + NODE + TABLE
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        let Some(Some(memory)) = MEMORY.get() else { return &[] };
        memory.bytes(self)
    }

    /// Offset in the file.
    fn start(&self) -> u64 {
        u64::from(self.slot) * SLOT
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if let Some(Some(memory)) = MEMORY.get()
            && memory.give_back(self).is_ok()
        {
            memory.free.lock().push(self.slot);
        }
        // Or else it must not be used again: something of it may still be on its way.
    }
}

/// Whether `bytes` lie in the file, and are enough to be [sent](send) from there.
pub fn is_worth(bytes: &[u8]) -> bool {
    bytes.len() >= WORTH && offset(bytes).is_some()
}

/// Sends from `bytes` without a copy. Returns how many were taken. `None`: they do not lie in the file, or the system does not
/// do that, or not for us.
///
/// # Errors
///
/// Those of the socket; [`WouldBlock`](io::ErrorKind::WouldBlock), if it takes nothing now.
pub fn send(socket: impl AsFd, bytes: &[u8]) -> Option<io::Result<usize>> {
    let (memory, offset) = offset(bytes)?;
    memory.send(socket, offset, bytes.len())
}

/// Where in the file `bytes` lie.
fn offset(bytes: &[u8]) -> Option<(&'static Memory, u64)> {
    let memory = MEMORY.get()?.as_ref()?;
    let offset = bytes.as_ptr().addr().checked_sub(memory.mapped.load(Ordering::Relaxed).addr())? as u64;
    (offset < LENGTH).then_some((memory, offset))
}

impl Memory {
    fn open_or_say_why_not() -> Option<Self> {
        let opened = Self::open();
        if let Err(error) = &opened {
            tracing::info!(%error, "long content is copied when it is sent");
        }
        opened.ok()
    }

    fn slot(&self) -> Option<u32> {
        let used = self.free.lock().pop();
        used.or_else(|| {
            let next = |slot: u32| (slot < SLOTS).then_some(slot + 1);
            self.unused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
        })
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
impl Memory {
    fn open() -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, memfd_create};
        use rustix::param::page_size;
        use rustix::process::{Resource, getrlimit};

        // The kernel would end the process for going beyond it.
        if getrlimit(Resource::Fsize).current.is_some_and(|most| most < LENGTH) {
            return Err(io::Error::other("the limit on file sizes (ulimit -f) is too low"));
        }
        let large = std::fs::read_to_string(LARGE_PAGES).unwrap_or_default();
        if page_size() != PAGE || ["[always]", "[within_size]", "[force]"].iter().any(|on| large.contains(on))
        {
            return Err(io::Error::other("pages are large, and each would hold one piece of content"));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Some systems want the first, and older ones do not know it.
        let file = memfd_create("larder", flags | MemfdFlags::NOEXEC_SEAL);
        Self::of(file.or_else(|_| memfd_create("larder", flags))?.into())
    }

    fn of(file: File) -> io::Result<Self> {
        use rustix::fs::{SealFlags, fcntl_add_seals};
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};

        file.set_len(LENGTH)?;
        // Some systems (gVisor) have all of this but holes: nothing would ever be given back.
        punch(&file, 0)?;
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        // SAFETY: a new mapping, where the kernel likes, and what is said of it changes nothing of it. The file is sealed, so it
        // never ends before the mapping does.
        #[allow(unsafe_code, reason = "a hit of 64 KiB takes two thirds of the time: docs/performance.md")]
        let mapped = unsafe {
            let flags = MapFlags::SHARED | MapFlags::NORESERVE;
            let mapped = mmap(std::ptr::null_mut(), LENGTH as usize, ProtFlags::READ, flags, &file, 0)?;
            // A core dump would look for every page that there may be.
            madvise(mapped, LENGTH as usize, Advice::LinuxDontDump)?;
            mapped
        };
        Ok(Self {
            file,
            mapped: AtomicPtr::new(mapped.cast()),
            free: Mutex::default(),
            unused: AtomicU32::new(0),
        })
    }

    fn bytes<'a>(&self, extent: &'a Extent) -> &'a [u8] {
        let start = self.mapped.load(Ordering::Relaxed).wrapping_add(extent.start() as usize);
        // SAFETY: a slot and its length lie within the mapping, which is never undone. They were written before the
        // extent was there, and nobody writes to the slot before it is gone, to which `'a` is bound.
        #[allow(unsafe_code, reason = "as above: who does not send from the file reads the mapping")]
        unsafe {
            std::slice::from_raw_parts(start, extent.len as usize)
        }
    }

    fn give_back(&self, extent: &Extent) -> io::Result<()> {
        punch(&self.file, extent.start())
    }

    fn send(&self, socket: impl AsFd, mut offset: u64, len: usize) -> Option<io::Result<usize>> {
        use rustix::io::Errno;

        match rustix::fs::sendfile(socket, &self.file, Some(&mut offset), len) {
            // The last of these, if the user has no room left for the pipe that the kernel does it with.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::NOMEM) => None,
            sent => Some(sent.map_err(io::Error::from)),
        }
    }
}

/// Gives back the pages of the slot that begins there.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn punch(file: &File, start: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, hole, start, SLOT)?)
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
impl Memory {
    fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn bytes<'a>(&self, _: &'a Extent) -> &'a [u8] {
        &[]
    }

    fn give_back(&self, _: &Extent) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn send(&self, _: impl AsFd, _: u64, _: usize) -> Option<io::Result<usize>> {
        None
    }
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test, of what the kernel does")]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn content(seed: u32, len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(seed) >> 3) as u8).collect()
    }

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    #[test]
    fn every_length_comes_out_as_it_went_in() {
        for len in [SHORTEST, SHORTEST + 1, 40_000, LONGEST - 1, LONGEST] {
            let content = content(7, len);
            let (a, b) = content.split_at(len / 3);
            let extents = [Extent::of(&[&content]).unwrap(), Extent::of(&[a, b]).unwrap()];
            assert!(extents.iter().all(|extent| extent.bytes() == content && is_worth(extent.bytes())));
        }
        assert!(!is_worth(&vec![0; LONGEST]));
        let extent = Extent::of(&[&content(7, LONGEST)]).unwrap();
        assert!(is_worth(&extent.bytes()[..WORTH]) && !is_worth(&extent.bytes()[..WORTH - 1]));
    }

    #[test]
    fn neither_what_is_short_nor_what_is_too_long_lies_here() {
        let bytes = vec![1; LONGEST + 1];
        assert!(Extent::of(&[&bytes[..SHORTEST - 1]]).is_none());
        assert!(Extent::of(&[&bytes]).is_none() && Extent::of(&[&bytes, &bytes]).is_none());
    }

    #[test]
    fn any_part_can_be_sent() {
        let (server, mut client) = connected();
        let extent = Extent::of(&[&content(3, LONGEST)]).unwrap();
        for (from, to) in [(0, 1), (5000, 9000), (LONGEST - 10, LONGEST)] {
            let part = &extent.bytes()[from..to];
            assert_eq!(send(&server, part).unwrap().unwrap(), to - from);
            let mut came = vec![0; to - from];
            client.read_exact(&mut came).unwrap();
            assert_eq!(came, part);
        }
        assert!(send(&server, b"of something else").is_none());
    }

    /// What is on its way is not what comes into its place.
    #[test]
    fn what_the_kernel_has_not_sent_stays_as_it_was() {
        let (server, mut client) = connected();
        server.set_nonblocking(true).unwrap();
        let mut sent = Vec::new();
        let mut places = Vec::new();
        for seed in 1.. {
            let extent = Extent::of(&[&content(seed, LONGEST)]).unwrap();
            let taken = match send(&server, extent.bytes()).unwrap() {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            sent.extend_from_slice(&extent.bytes()[..taken]);
            places.push(extent.slot);
        }
        places.dedup();
        assert!(places.len() < sent.len() / LONGEST, "the same place is used again and again: {places:?}");
        // Pages that were given back are others' now.
        let _others: Vec<Extent> = (0..64).map(|_| Extent::of(&[&[9; LONGEST]]).unwrap()).collect();
        drop(server);
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        assert!(came == sent, "{} and {} bytes", came.len(), sent.len());
    }

    /// What is written to it and what is in it fails, as where the system forbids it.
    fn forbidden() -> File {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        let file = memfd_create("forbidden", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        fcntl_add_seals(&file, SealFlags::WRITE).unwrap();
        file.into()
    }

    #[test]
    fn there_is_no_such_file_where_nothing_could_be_given_back() {
        Memory::of(forbidden()).unwrap_err();
    }

    /// Where the system lets nobody send like that, content is still to be copied.
    #[test]
    fn what_may_not_be_sent_like_that_is_left_to_others() {
        let extent = Extent::of(&[&content(3, LONGEST)]).unwrap();
        assert!(send(forbidden(), extent.bytes()).is_none());
        let (server, client) = connected();
        drop(client);
        let failed = std::iter::repeat_with(|| send(&server, extent.bytes()).unwrap()).find_map(Result::err);
        assert!(failed.is_some(), "what is wrong with the socket is told");
    }

    /// The kernel's tables for the mapping are memory, too.
    #[test]
    fn what_is_read_takes_no_more_than_is_charged() {
        let taken = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let tables = status.lines().find_map(|line| line.strip_prefix("VmPTE:")).unwrap();
            tables.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        let extents: Vec<Extent> = (0..500).map(|_| Extent::of(&[&[1; SHORTEST]]).unwrap()).collect();
        let before = taken();
        assert!(extents.iter().all(|extent| extent.bytes()[9] == 1));
        let charged = extents.len() * (Extent::size(SHORTEST) - SHORTEST);
        assert!(taken() - before <= charged as u64, "{} beside content, {charged} charged", taken() - before);
    }

    #[test]
    fn memory_is_given_back() {
        let taken = || {
            use std::os::unix::fs::MetadataExt;
            MEMORY.get().unwrap().as_ref().unwrap().file.metadata().unwrap().blocks() * 512
        };
        let many: Vec<Extent> = (0..100).map(|_| Extent::of(&[&[1; 40_000]]).unwrap()).collect();
        let with = taken();
        let size = 40_960;
        assert!(with >= 100 * size);
        drop(many);
        // Other tests of this process hold a few.
        assert!(taken() <= with - 80 * size);
    }
}
