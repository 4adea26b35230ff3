//! Configuration files: every one in `fixtures/config/valid` is read without a fault, and every one in
//! `fixtures/config/invalid` is answered with exactly the text beside it.
//!
//! `LARDER_BLESS=1 cargo nextest run --test config` writes the expected texts and `config.example.toml` anew; read
//! the difference before you commit it.

// Clippy lets these pass in test functions, but not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::config::{Config, LogFormat, Overrides, Runtime, TagSeparator, parse_origin, reference};
use larder::policy::{ClientCacheControl, Heuristic, Rules};
use proptest::prelude::*;

fn fixtures(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config").join(directory);
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty());
    files
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Compares with a committed file, or writes it if asked to.
fn compare(path: &Path, actual: &str, differences: &mut Vec<String>) {
    if std::env::var_os("LARDER_BLESS").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        differences.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", path.display()));
    }
}

fn parse(text: &str) -> Config {
    Config::from_str("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

#[test]
fn valid_files_have_no_faults() {
    for path in fixtures("valid") {
        if let Err(faults) = Config::from_file(&path) {
            panic!("{faults}");
        }
    }
}

#[test]
fn every_fault_of_an_invalid_file_is_told() {
    let mut differences = Vec::new();
    for path in fixtures("invalid") {
        let text = fs::read_to_string(&path).unwrap();
        match Config::from_str(file_name(&path), &text) {
            Ok(_) => differences.push(format!("{} has no fault", path.display())),
            Err(faults) => {
                let told = format!("{faults}\n---- on a terminal\n{}", faults.render(false));
                compare(&path.with_extension("txt"), &told, &mut differences);
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn the_example_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let mut differences = Vec::new();
    compare(&path, &reference::render_example(), &mut differences);
    assert!(differences.is_empty(), "LARDER_BLESS=1 writes it anew\n{}", differences.join("\n"));
}

#[test]
fn the_example_is_valid_as_it_stands_and_with_every_key_set() {
    let example = reference::render_example();
    let plain = parse(&example);
    let everything: String = example.lines().map(|line| uncomment(line).to_owned() + "\n").collect();
    assert!(everything.lines().any(|line| line.starts_with("stale_if_error = ")), "keys are behind a bare #");
    let full = parse(&everything);

    assert_eq!(plain.upstreams[0].servers, full.upstreams[0].servers);
    assert_eq!(full.routes[0].rules.stale_if_error, Some(Duration::from_secs(3600)));
    assert_eq!(full.routes[0].hosts.len(), 2);
    assert_eq!(full.server.threads, 4);
    assert_eq!(full.log.access_file.as_deref(), Some(Path::new("access.log")));
}

fn uncomment(line: &str) -> &str {
    match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    }
}

/// The lines of the example that are not comments, uncommented.
fn example_lines() -> Vec<String> {
    let example = reference::render_example();
    example.lines().map(uncomment).filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_reference_is_read() {
    // A key that no code asks for would be accepted with any value. A date is wrong for every kind.
    let mut table = String::new();
    for line in example_lines() {
        if line.starts_with('[') {
            table = line;
            continue;
        }
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let text = format!("{table}\n{key} = 1979-05-27\n");
        let faults = Config::from_str("test.toml", &text).expect_err(&text).to_string();
        assert!(faults.contains(&format!("`{key}`: it cannot be a date")), "{text}{faults}");
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let origin = parse_origin("http://127.0.0.1:3000").unwrap();
    let config = Config::for_origins(&[origin], &Overrides::default()).unwrap();
    let seconds = Duration::from_secs;

    let server = &config.server;
    assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(server.threads >= 1);
    assert_eq!(server.runtime, Runtime::PerThread);
    assert_eq!((server.name.as_str(), server.instance.len()), ("larder", 16));
    assert_eq!((server.header_timeout, server.stall_timeout), (seconds(30), seconds(60)));
    assert_eq!((server.max_head, server.max_fields, server.max_target), (65_536, 100, 8192));
    assert_eq!((server.max_connections, server.drain_timeout), (16_384, seconds(30)));
    assert_eq!(config.admin.listen, Some("127.0.0.1:8081".parse().unwrap()));
    assert_eq!(config.admin.probe_listen, None);

    let purge = &config.purge;
    assert_eq!((&purge.token_file, &purge.token, purge.allow.len()), (&None, &None, 0));
    assert_eq!((purge.max_targets, purge.max_body), (1000, 256 << 10));
    assert_eq!((purge.refresh_entries, purge.refresh_concurrency), (100, 4));

    let cache = &config.cache;
    assert!((64 << 20..=1 << 30).contains(&cache.memory));
    assert_eq!(cache.max_object, (16 << 20).min(cache.memory / 4));
    assert_eq!((cache.max_variants, cache.max_ranges), (64, 16));
    assert_eq!((cache.keep, cache.retry_after_error), (seconds(600), seconds(1)));
    assert_eq!((cache.stream_window, cache.hit_for_miss), (256 << 10, seconds(120)));
    let tag_fields = cache.tag_fields.iter().map(|field| (field.name.as_str(), field.separator));
    let (comma, space) = (TagSeparator::Comma, TagSeparator::Space);
    let expected = [("cache-tag", comma), ("surrogate-key", space), ("xkey", space)];
    assert_eq!(tag_fields.collect::<Vec<_>>(), expected);
    assert_eq!((cache.max_tags, cache.max_tag_length), (256, 1024));
    assert_eq!((config.log.filter.as_str(), config.log.format), ("info", LogFormat::Text));
    assert_eq!((config.log.access, config.log.access_file), (None, None));

    let [upstream] = config.upstreams.as_slice() else { panic!("one upstream") };
    assert_eq!(upstream.name, "origin");
    assert_eq!(upstream.servers[0].authority, "127.0.0.1:3000");
    assert_eq!((upstream.connect_timeout, upstream.first_byte_timeout), (seconds(3), seconds(30)));
    assert_eq!((upstream.between_bytes_timeout, upstream.idle_timeout), (seconds(30), seconds(60)));
    assert_eq!((upstream.max_connections, &upstream.host, &upstream.ca_file), (1024, &None, &None));

    let [route] = config.routes.as_slice() else { panic!("one route") };
    assert_eq!((route.name.as_str(), route.upstream), ("default", 0));
    assert_eq!(*route.rules, Rules::default());
}

#[test]
fn a_route_lays_down_its_rules() {
    let config = parse(
        "[[upstream]]\nservers = 'http://h'\n\
         [[route]]\npath = '/a/**'\nttl = '5m'\nmin_ttl = '1s'\nmax_ttl = '1d'\nstale_while_revalidate = '30s'\n\
         stale_if_error = '1h'\nheuristic = true\nclient_cache_control = 'honor'\nallow_set_cookie = true\n\
         [[route]]\npath = '/b/**'\ncache = false\nheuristic = { fraction = 0.2 }\n\
         [[route]]\nheuristic = false\n",
    );
    assert_eq!(
        *config.routes[0].rules,
        Rules {
            cache: true,
            ttl: Some(Duration::from_secs(300)),
            min_ttl: Some(Duration::from_secs(1)),
            max_ttl: Some(Duration::from_secs(86_400)),
            stale_while_revalidate: Some(Duration::from_secs(30)),
            stale_if_error: Some(Duration::from_secs(3600)),
            heuristic: Some(Heuristic { fraction: 0.1, max: Duration::from_secs(86_400) }),
            client_cache_control: ClientCacheControl::Honor,
            allow_set_cookie: true,
        }
    );
    let heuristic = Some(Heuristic { fraction: 0.2, max: Duration::from_secs(86_400) });
    assert_eq!(*config.routes[1].rules, Rules { cache: false, heuristic, ..Rules::default() });
    assert_eq!(*config.routes[2].rules, Rules::default());
    assert_eq!(config.routes.len(), 3, "nothing is left over for another");
    assert_eq!(config.routes[1].name, "route-2");
}

#[test]
fn options_replace_what_the_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    // The admin address would be refused; what an option replaces is not looked at.
    fs::write(
        &file,
        "server.listen = '127.0.0.1:1'\nadmin.listen = '0.0.0.0:2'\ncache.memory = '2MiB'\n\
         [[upstream]]\nname = 'api'\nconnect_timeout = '7s'\nservers = 'http://127.0.0.1:3'\n",
    )
    .unwrap();
    let overrides = Overrides {
        listen: vec!["127.0.0.1:4".parse().unwrap(), "[::1]:4".parse().unwrap()],
        origins: vec![
            parse_origin("http://127.0.0.1:5").unwrap(),
            parse_origin("http://127.0.0.1:6").unwrap(),
        ],
        admin: Some("127.0.0.1:7".parse().unwrap()),
        memory: Some(8 << 20),
        threads: Some(3),
        token: None,
    };
    let config = Config::load(&file, &overrides).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.server.listen, overrides.listen);
    assert_eq!(config.upstreams[0].servers, overrides.origins);
    assert_eq!(config.upstreams[0].connect_timeout, Duration::from_secs(7), "the rest of the upstream stays");
    assert_eq!(config.admin.listen, overrides.admin);
    assert_eq!((config.cache.memory, config.cache.max_object), (8 << 20, 2 << 20));
    assert_eq!(config.server.threads, 3);
}

#[test]
fn a_fault_of_an_option_names_the_option() {
    let origin = parse_origin("http://127.0.0.1:5").unwrap();
    let overrides = Overrides { admin: Some("0.0.0.0:8081".parse().unwrap()), ..Overrides::default() };
    let faults = Config::for_origins(std::slice::from_ref(&origin), &overrides).unwrap_err().to_string();
    assert!(faults.starts_with("--admin: 0.0.0.0:8081 can be reached from outside"), "{faults}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    fs::write(
        &file,
        "[[upstream]]\nname='a'\nservers='http://a'\n[[upstream]]\nname='b'\nservers='http://b'\n",
    )
    .unwrap();
    let overrides = Overrides { origins: vec![origin], ..Overrides::default() };
    let faults = Config::load(&file, &overrides).unwrap_err().to_string();
    assert!(faults.starts_with("--origin: the file has 2 upstreams"), "{faults}");
}

#[test]
fn relative_paths_start_from_the_directory_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    let text = "log.access_file = 'access.log'\n[[upstream]]\nservers = 'https://h'\nca_file = 'ca.pem'\n";
    fs::write(&file, text).unwrap();
    let faults = Config::from_file(&file).unwrap_err().to_string();
    assert!(faults.contains("larder.toml:4:11: `ca_file`: "), "{faults}");
    assert!(faults.contains("ca.pem cannot be read: No such file"), "{faults}");

    fs::write(directory.path().join("ca.pem"), "").unwrap();
    let config = Config::from_file(&file).unwrap();
    assert_eq!(config.upstreams[0].ca_file, Some(directory.path().join("ca.pem")));
    assert_eq!(config.log.access_file, Some(directory.path().join("access.log")));
}

#[test]
fn the_admin_listener_may_be_in_the_open_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("larder.toml");
    let text = "[admin]\nlisten = '0.0.0.0:8081'\n[purge]\ntoken_file = 'tokens'\n\
                [[upstream]]\nservers = 'http://h'\n";
    fs::write(&file, text).unwrap();
    let tokens = directory.path().join("tokens");
    let faults = || Config::from_file(&file).unwrap_err().to_string();
    assert!(faults().contains("larder.toml:4:14: `token_file`: "), "{}", faults());
    assert!(faults().contains("tokens cannot be read: No such file"), "{}", faults());
    for (content, what) in [
        ("# none\n", "there is no token in "),
        ("abc\n", "tokens, line 1: a token of 3 characters can be guessed"),
    ] {
        fs::write(&tokens, content).unwrap();
        assert!(faults().contains(what) && faults().contains("openssl rand -hex 32"), "{}", faults());
    }
    fs::write(&tokens, "deploy 0123456789abcdef0123456789abcdef\n").unwrap();
    let config = Config::from_file(&file).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.purge.token_file.as_ref(), Some(&tokens));
    assert!(!format!("{config:?}").contains("0123456789abcdef"), "a token shows");

    // The environment's will do as well.
    fs::write(&file, text.replace("token_file = 'tokens'", "")).unwrap();
    assert!(Config::from_file(&file).unwrap_err().to_string().contains("or set LARDER_TOKEN"));
    let token = larder::config::read_tokens("0123456789abcdef").unwrap().pop();
    let overrides = Overrides { token, ..Overrides::default() };
    Config::load(&file, &overrides).unwrap_or_else(|faults| panic!("{faults}"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("none.toml");
    let faults = Config::from_file(&file).unwrap_err().to_string();
    assert!(faults.starts_with(&format!("{}: it cannot be read: No such file", file.display())), "{faults}");

    fs::write(&file, b"[server]\nname = \"\xff\"\n").unwrap();
    let faults = Config::from_file(&file).unwrap_err().to_string();
    assert!(faults.contains("it is not UTF-8"), "{faults}");
}

#[test]
fn a_coloured_picture_has_colours_and_a_plain_one_has_none() {
    let faults = Config::from_str("test.toml", "[sever]\n").unwrap_err();
    assert!(faults.render(true).contains('\u{1b}'));
    assert!(!faults.render(false).contains('\u{1b}'));
}

/// Text that looks enough like a configuration to come far.
fn nearly_toml() -> impl Strategy<Value = String> {
    let lines = example_lines();
    let line = prop_oneof![
        4 => prop::sample::select(lines.clone()),
        2 => (prop::sample::select(lines), ".{0,8}").prop_map(|(line, text)| {
            let key = line.split(' ').next().unwrap_or("x");
            format!("{key} = '{text}'")
        }),
        1 => "[a-z_]{1,8} = (true|1|-1|0x1f|1\\.5|nan|\\[\\]|\\{\\}|\\[\\[1\\]\\])",
        1 => "\\[{1,2}[a-z]{1,8}\\]{1,2}",
        1 => ".{0,20}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_places_in_it(text in prop_oneof![3 => nearly_toml(), 1 => "(?s).{0,60}"]) {
        if let Err(faults) = Config::from_str("test.toml", &text) {
            prop_assert!(faults.iter().len() > 0);
            let lines = text.split('\n').count();
            for fault in faults.iter() {
                if let Some((line, column)) = faults.line_and_column(fault) {
                    prop_assert!((1..=lines).contains(&line) && column >= 1);
                }
            }
            let _ = (faults.to_string(), faults.render(true), faults.render(false));
        }
    }
}
