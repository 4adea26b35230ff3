//! Binding the addresses, once per serving thread.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections that the kernel keeps for a listener.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error("{0} is already in use: stop the program that listens there, or choose another address")]
    InUse(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {addr}: {source}")]
    Other {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Bound sockets: for each serving thread one per address.
#[derive(Debug)]
pub struct Listeners {
    threads: Vec<Vec<TcpListener>>,
    addrs: Vec<SocketAddr>,
}

impl Listeners {
    /// Binds `addrs` for `threads` threads. The kernel spreads connections over the sockets of one address.
    ///
    /// # Errors
    ///
    /// An address is in use or not ours.
    pub fn bind(addrs: &[SocketAddr], threads: usize) -> Result<Self, BindError> {
        let mut listeners = Self { threads: (0..threads).map(|_| Vec::new()).collect(), addrs: Vec::new() };
        for addr in addrs {
            listeners.add(*addr)?;
        }
        Ok(listeners)
    }

    /// Where clients can connect; a configured port 0 is replaced by the one that the system gave.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The sockets of each thread.
    pub fn into_threads(self) -> Vec<Vec<TcpListener>> {
        self.threads
    }

    fn add(&mut self, addr: SocketAddr) -> Result<(), BindError> {
        let error = |source: io::Error| bind_error(addr, source);
        // Sockets that share a port would let a second Larder take half of the traffic unnoticed: only an exclusive
        // bind tells.
        let probe = socket(addr, false).map_err(error)?;
        let actual = local_addr(&probe).map_err(error)?;
        drop(probe);
        for thread in &mut self.threads {
            let socket = socket(actual, true).map_err(error)?;
            socket.listen(BACKLOG).map_err(error)?;
            thread.push(socket.into());
        }
        self.addrs.push(actual);
        Ok(())
    }
}

/// Binds one address for one thread.
///
/// # Errors
///
/// The address is in use or not ours.
pub fn bind_one(addr: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = socket(addr, false).and_then(|socket| socket.listen(128).map(|()| socket));
    bound.map(Into::into).map_err(|source| bind_error(addr, source))
}

fn bind_error(addr: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(addr),
        _ => BindError::Other { addr, source },
    }
}

fn socket(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Addresses in TIME_WAIT from an earlier run are free.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))
}
