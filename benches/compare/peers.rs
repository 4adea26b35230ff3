//! Who takes part, and how each is started. Their configurations, with the reasons, are in `benches/peers`.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::arguments::Arguments;
use crate::server::Recipe;

/// Larder on its other runtime.
const SHARED: &str = "larder-shared";

/// A cache that takes part.
pub(crate) struct Peer {
    pub(crate) name: String,
    /// The Debian package, for whom lacks it.
    pub(crate) package: Option<&'static str>,
    pub(crate) recipe: Recipe,
    /// What `@LOG@` is without and with an access log; without the second, it takes no part where there is one.
    pub(crate) log: (&'static str, Option<&'static str>),
}

/// All of them, Larder first, and the other builds of it that the command line names last.
pub(crate) fn all(arguments: &Arguments) -> io::Result<Vec<Peer>> {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_larder"));
    let program = arguments.larder.as_ref().map_or_else(|| Ok(built()), std::path::absolute)?;
    let mut peers = vec![
        larder("larder", program.clone()),
        on_the_shared_runtime(program),
        peer(
            "haproxy",
            "haproxy",
            &["haproxy", "-db", "-f", "@DIR@/haproxy.cfg"],
            &[("haproxy.cfg", include_str!("../peers/haproxy.cfg"))],
        ),
        Peer {
            log: ("off", Some("@DIR@/access.log combined buffer=64k")),
            ..peer(
                "nginx",
                "nginx-light",
                &["nginx", "-e", "@DIR@/error.log", "-c", "@DIR@/nginx.conf"],
                &[("nginx.conf", include_str!("../peers/nginx.conf"))],
            )
        },
        varnish(),
        trafficserver(),
        peer(
            "squid",
            "squid",
            &["squid", "-N", "-f", "@DIR@/squid.conf"],
            &[("squid.conf", include_str!("../peers/squid.conf"))],
        ),
    ];
    peers.extend(arguments.also.iter().map(|(name, path)| larder(name, path.clone())));
    Ok(peers)
}

/// A Larder: this build's, or another to compare it with.
fn larder(name: &str, program: PathBuf) -> Peer {
    let config = include_str!("../peers/larder.toml");
    Peer {
        name: name.to_owned(),
        package: None,
        recipe: Recipe {
            program,
            args: ["serve", "--config", "@DIR@/larder.toml"].map(str::to_owned).into(),
            files: vec![("larder.toml".to_owned(), config.to_owned())],
            ..Recipe::default()
        },
        log: ("off", Some("text")),
    }
}

/// The same build with its other runtime. It has one worker, so what is compared is the runtimes' own cost.
fn on_the_shared_runtime(program: PathBuf) -> Peer {
    let mut peer = larder(SHARED, program);
    for (_, text) in &mut peer.recipe.files {
        *text = text.replace("threads = 1", "threads = 1\nruntime = \"shared\"");
    }
    peer
}

/// The origin that all of them stand before.
pub(crate) fn origin() -> Recipe {
    peer(
        "origin",
        "nginx-light",
        &["nginx", "-e", "@DIR@/error.log", "-c", "@DIR@/origin.conf"],
        &[("origin.conf", include_str!("../peers/origin.conf"))],
    )
    .recipe
}

fn varnish() -> Peer {
    peer(
        "varnish",
        "varnish",
        &[
            "varnishd",
            "-F",
            "-j",
            "none",
            "-n",
            "@DIR@/work",
            "-a",
            "@HOST@:@PORT@",
            "-T",
            "none",
            "-f",
            "@DIR@/varnish.vcl",
            "-s",
            "malloc,@MEMORY@m",
            "-p",
            "thread_pools=1",
        ],
        &[("varnish.vcl", include_str!("../peers/varnish.vcl"))],
    )
}

fn trafficserver() -> Peer {
    // What it would look for below /etc, /var and /run.
    let root = "prefix: @DIR@\nexec_prefix: @DIR@\nbindir: /usr/bin\nsbindir: /usr/sbin\nsysconfdir: @DIR@\n\
                datadir: @DIR@/data\nincludedir: @DIR@\nlibdir: /usr/lib/trafficserver\n\
                libexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: @DIR@\nruntimedir: @DIR@/run\n\
                logdir: @DIR@/log\ncachedir: @DIR@/cache\n";
    let files = [
        ("runroot.yaml", root),
        ("records.config", include_str!("../peers/trafficserver.records")),
        ("remap.config", "map / http://@ORIGIN@/\n"),
        ("storage.config", "@DIR@/cache @MEMORY@M\n"),
        ("plugin.config", ""),
        ("ip_allow.yaml", "ip_allow:\n  - {apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}\n"),
    ];
    let mut peer = peer("trafficserver", "trafficserver", &["traffic_server"], &files);
    peer.recipe.directories = ["data", "run", "log", "cache"].map(|name| format!("@DIR@/{name}")).into();
    peer.recipe.env = vec![("TS_RUNROOT".to_owned(), "@DIR@/runroot.yaml".to_owned())];
    peer
}

fn peer(name: &str, package: &'static str, command: &[&str], files: &[(&str, &str)]) -> Peer {
    let (program, args) = command.split_first().unwrap_or((&"false", &[]));
    Peer {
        name: name.to_owned(),
        package: Some(package),
        recipe: Recipe {
            program: PathBuf::from(program),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            files: files.iter().map(|&(file, text)| (file.to_owned(), text.to_owned())).collect(),
            ..Recipe::default()
        },
        log: ("off", None),
    }
}

impl Peer {
    /// Whether its program is there to be run.
    pub(crate) fn is_installed(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(&self.recipe.program).is_file())
    }

    /// Whether the command line wants it. Who says nothing gets everybody, but where a lot is stored fewer.
    pub(crate) fn takes_part(&self, arguments: &Arguments) -> bool {
        let name = self.name.as_str();
        if !arguments.peers.is_empty() {
            return arguments.peers.iter().any(|wanted| wanted == name);
        }
        let is_extra = arguments.also.iter().any(|(also, _)| also == name);
        match name {
            "larder" => true,
            SHARED => arguments.runtimes,
            "varnish" => !arguments.growth,
            _ => is_extra || !arguments.growth && !arguments.memory,
        }
    }

    /// Its own word for its version, in one line.
    pub(crate) fn version(&self) -> String {
        let flag = match self.name.as_str() {
            "squid" | "haproxy" | "nginx" => "-v",
            "varnish" | "trafficserver" => "-V",
            _ => "--version",
        };
        let output = Command::new(&self.recipe.program).arg(flag).output();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    }
}
