//! Listening sockets: one per address and thread.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// How many connections the kernel may queue for one listener; it caps the number by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where the kernel spreads connections over sockets bound to the same port. Elsewhere the last one bound may get
/// them all, so the threads share one socket.
const BALANCES: bool = cfg!(target_os = "linux");

/// A socket for one accept loop.
#[derive(Debug)]
pub struct Listener(pub(super) TcpListener);

/// The sockets of all addresses and threads, bound and listening.
#[derive(Debug)]
pub struct Listeners {
    threads: Vec<Vec<Listener>>,
    addrs: Vec<SocketAddr>,
}

/// An address that cannot be listened on.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{0} is already in use")]
    InUse(SocketAddr),
    /// Anything else: no such address, no right to the port.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl BindError {
    fn of(addr: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(addr),
            _ => Self::Other(addr, error),
        }
    }
}

impl Listeners {
    /// Binds every address for each of `threads` threads.
    ///
    /// With port 0 the system chooses a port, the same for all threads. An IPv6 wildcard also takes IPv4 clients where
    /// the system does so, unless an IPv4 address with the same port is listed beside it.
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first address that does not work; nothing stays bound.
    pub fn bind(addrs: &[SocketAddr], threads: usize) -> Result<Self, BindError> {
        let threads = threads.max(1);
        let mut listeners: Vec<Vec<Listener>> = (0..threads).map(|_| Vec::new()).collect();
        let mut bound = Vec::with_capacity(addrs.len());
        for addr in addrs {
            let only_v6 = addrs.iter().any(|other| other.is_ipv4() && other.port() == addr.port());
            let place = Place { addr: *addr, only_v6 };
            let sockets = place.sockets(threads).map_err(|error| BindError::of(*addr, error))?;
            bound.push(sockets[0].local_addr().map_err(|error| BindError::Other(*addr, error))?);
            for (thread, socket) in listeners.iter_mut().zip(sockets) {
                thread.push(Listener(socket));
            }
        }
        Ok(Self { threads: listeners, addrs: bound })
    }

    /// The addresses in the order given, with the ports that the system chose.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The sockets, a list for each thread.
    pub fn into_threads(self) -> Vec<Vec<Listener>> {
        self.threads
    }
}

/// Binds one address for one thread, for listeners that are served elsewhere.
///
/// # Errors
///
/// The address does not work.
pub fn bind_one(addr: SocketAddr) -> Result<TcpListener, BindError> {
    Place { addr, only_v6: false }.bind(false).map_err(|error| BindError::of(addr, error))
}

#[derive(Clone, Copy)]
struct Place {
    addr: SocketAddr,
    only_v6: bool,
}

impl Place {
    /// At least one socket, all on the same port.
    fn sockets(self, threads: usize) -> io::Result<Vec<TcpListener>> {
        let first = self.first(threads)?;
        let place = Place { addr: first.local_addr()?, ..self };
        let mut sockets = vec![first];
        for _ in 1..threads {
            sockets.push(if BALANCES { place.bind(true)? } else { sockets[0].try_clone()? });
        }
        Ok(sockets)
    }

    /// Sockets that share a port also share it with another process of the same user, which would then silently get
    /// half of the clients. So a port is first bound without sharing, which fails if anybody is there; a port
    /// that the system chooses is one that nobody has.
    fn first(self, threads: usize) -> io::Result<TcpListener> {
        if !BALANCES || threads == 1 {
            return self.bind(false);
        }
        if self.addr.port() != 0 {
            drop(self.bind(false)?);
        }
        self.bind(true)
    }

    fn bind(self, shared: bool) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM, Some(Protocol::TCP))?;
        // On Unix this only forgives connections of an earlier process that are still being closed.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        #[cfg(target_os = "linux")]
        socket.set_reuse_port(shared)?;
        #[cfg(not(target_os = "linux"))]
        let _ = shared;
        if self.addr.is_ipv6() && self.only_v6 {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&self.addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}
