//! What every bench begins with.

/// Whether this is `cargo bench`. Under `cargo test --all-targets` benches are built and started too, to no purpose:
/// their numbers mean nothing there.
pub(crate) fn is_wanted() -> bool {
    let wanted = std::env::args().any(|argument| argument == "--bench");
    if !wanted {
        println!("run by cargo bench only");
    }
    wanted
}

/// Says what is measured, where and by which command: numbers without that are worth little.
pub(crate) fn introduce(name: &str, what: &str) {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{name}: {what}");
    println!("command: cargo bench --bench {name}");
    println!("machine: {cores} x {model}, {} {}\n", std::env::consts::OS, std::env::consts::ARCH);
}
