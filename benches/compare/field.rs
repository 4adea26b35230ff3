//! The servers that take part, started as workloads need them.

use std::io;
use std::net::SocketAddr;

use crate::arguments::Arguments;
use crate::floor;
use crate::peers::{self, Peer};
use crate::server::{self, Place, Recipe, Server};
use crate::workloads::House;

/// The path by which a server is asked whether it is ready.
const READY: &str = "/plain/256/ready";
/// Makes this binary the raw floor; the address and the number of copies follow.
pub(crate) const RAW: &str = "--be-the-raw-floor";
/// The same for the one that sends content from a file.
pub(crate) const SENDFILE: &str = "--be-the-sendfile-floor";
/// Makes this binary the hyper proxy; its address and the origin's follow.
pub(crate) const PROXY: &str = "--be-the-proxy";

/// Everything that is running.
pub(crate) struct Field<'a> {
    arguments: &'a Arguments,
    peers: Vec<Peer>,
    origin: Server,
    /// By peer and house.
    servers: Vec<(String, House, Server)>,
}

impl<'a> Field<'a> {
    /// Starts the origin and says who takes part, and who not.
    pub(crate) fn open(arguments: &'a Arguments, sizes: &[usize]) -> io::Result<Self> {
        let mut recipe = peers::origin();
        recipe.directories.push("@DIR@/files".to_owned());
        for &size in sizes.iter().chain(&[256]) {
            let content = String::from_utf8(content(size)).map_err(io::Error::other)?;
            recipe.files.push((format!("files/{size}"), content));
        }
        let place = Place {
            directory: &arguments.directory,
            origin: SocketAddr::from(([127, 0, 0, 1], 0)),
            core: arguments.cores.1,
            memory_mib: 0,
            log: "off",
            probe: READY,
        };
        let origin = Server::start("origin", &recipe, &place)?;
        let mut peers = peers::all(arguments)?;
        if let Some(name) = arguments.peers.iter().find(|name| peers.iter().all(|peer| peer.name != **name)) {
            return Err(io::Error::other(format!("no server is called {name}")));
        }
        peers.retain(|peer| peer.takes_part(arguments));
        peers.retain(is_there);
        Ok(Self { arguments, peers, origin, servers: Vec::new() })
    }

    /// Who can do what this house asks for.
    pub(crate) fn peers(&self, house: House) -> Vec<String> {
        let able = self.peers.iter().filter(|peer| !house.log || peer.log.1.is_some());
        able.map(|peer| peer.name.clone()).collect()
    }

    /// The peer's server in this house, started if this is the first time that somebody asks.
    pub(crate) fn server(&mut self, name: &str, house: House) -> io::Result<&Server> {
        let known = self.servers.iter().position(|(peer, its, _)| peer == name && *its == house);
        let index = match known {
            Some(index) => index,
            None => {
                let server = self.start(name, house)?;
                self.servers.push((name.to_owned(), house, server));
                self.servers.len() - 1
            }
        };
        Ok(&self.servers[index].2)
    }

    /// A server of its own, for whoever wants to look at it from the start.
    pub(crate) fn spawn(&self, name: &str, house: House) -> io::Result<Server> {
        let peer = self.peers.iter().find(|peer| peer.name == name);
        let peer = peer.ok_or_else(|| io::Error::other(format!("{name} does not take part")))?;
        let log = if house.log { peer.log.1.unwrap_or(peer.log.0) } else { peer.log.0 };
        Server::spawn(name, &peer.recipe, &Place { log, ..self.place(house.memory_mib) })
    }

    fn start(&self, name: &str, house: House) -> io::Result<Server> {
        let mut server = self.spawn(name, house)?;
        server.wait(std::time::Duration::from_millis(20))?;
        Ok(server)
    }

    /// A floor, by one of its [names](crate::report::FLOORS), that answers all with copies of these bytes.
    pub(crate) fn floor(&self, name: &str, answer: Vec<u8>, copies: u64) -> io::Result<Server> {
        let argument = match name {
            "hyper" => floor::ARGUMENT,
            "sendfile" => SENDFILE,
            _ => RAW,
        };
        self.own(name, &[argument, "@HOST@:@PORT@", &copies.to_string()], answer)
    }

    /// The floor of misses.
    pub(crate) fn proxy(&self) -> io::Result<Server> {
        self.own("proxy", &[PROXY, "@HOST@:@PORT@", "@ORIGIN@"], Vec::new())
    }

    /// This very binary as a server.
    fn own(&self, name: &str, args: &[&str], input: Vec<u8>) -> io::Result<Server> {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut server = Server::spawn(
            name,
            &Recipe { program: std::env::current_exe()?, args, input, ..Recipe::default() },
            &self.place(0),
        )?;
        server.wait_until_it_listens()?;
        Ok(server)
    }

    fn place(&self, memory_mib: u64) -> Place<'_> {
        Place {
            directory: &self.arguments.directory,
            origin: self.origin.addr(),
            core: self.arguments.cores.0,
            memory_mib,
            log: "off",
            probe: READY,
        }
    }

    /// Where the origin listens.
    pub(crate) fn origin(&self) -> SocketAddr {
        self.origin.addr()
    }
}

/// How many requests an origin has answered, this one included.
pub(crate) fn count(origin: SocketAddr) -> io::Result<u64> {
    let answer = server::ask(origin, &server::request("/count", "Connection: close\r\n"))?;
    let answer = String::from_utf8_lossy(&answer);
    // Three numbers stand below their names: connections accepted, connections handled, requests.
    let numbers = answer.lines().skip_while(|line| !line.starts_with("server accepts")).nth(1);
    let requests = numbers.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    requests.ok_or_else(|| io::Error::other(format!("the origin does not count: {answer}")))
}

/// The content of the resource of this size.
pub(crate) fn content(size: usize) -> Vec<u8> {
    // A number in each line: a piece in the wrong place shows.
    let lines = (0..).flat_map(|line| format!("{{\"line\": {line}}}\n").into_bytes());
    lines.take(size).collect()
}

fn is_there(peer: &Peer) -> bool {
    let there = peer.is_installed();
    if !there {
        println!("left out: {}, which is not installed (package {})", peer.name, peer.package.unwrap_or("?"));
    }
    there
}
