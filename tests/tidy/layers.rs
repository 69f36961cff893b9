//! Who may know whom. This table is the architecture; a new arrow in it needs a decision record.

use super::Complaint;
use super::paths::{Named, paths};
use super::source::Source;

/// What one layer may name.
struct Layer {
    name: &'static str,
    /// Layers of this crate, apart from itself.
    may_use: &'static [&'static str],
    /// Foreign crates, or modules of them.
    crates: &'static [&'static str],
}

const fn layer(
    name: &'static str,
    may_use: &'static [&'static str],
    crates: &'static [&'static str],
) -> Layer {
    Layer { name, may_use, crates }
}

/// Lowest first: a layer may only use those above it in this list, so nothing goes round in circles.
const LAYERS: &[Layer] = &[
    layer("limits", &[], &[]),
    layer("sync", &[], &["parking_lot", "tracing"]),
    layer("clock", &["sync"], &[]),
    layer("auth", &["limits", "sync"], &["base64", "getrandom", "regex", "sha2", "subtle"]),
    // Shares nothing with the broker it measures: decision 0020.
    layer("bench", &[], &["clap", "indicatif", "rustix", "serde_json"]),
    // What was typed, as plain values; `config` resolves it.
    layer("cli", &["limits", "bench"], &["clap"]),
    layer("amqp::wire", &["limits"], &["amq_protocol", "bytes"]),
    // Field tables are the values of this domain, so the broker holds them; frames and methods are not. Of
    // `wire` it uses how properties lie in a message: decision 0013.
    layer(
        "broker",
        &["limits", "sync", "clock", "auth", "amqp::wire"],
        &[
            "amq_protocol::types",
            "bytes",
            "dashmap",
            "parking_lot::Condvar",
            "regex",
            "smallvec",
            "tracing",
        ],
    ),
    // Settings hold users ready for `auth` and policies ready for `broker` (decision 0014); `cli`'s arguments are
    // their last layer.
    layer(
        "config",
        &["limits", "auth", "cli", "broker"],
        &["amq_protocol::types", "serde", "strsim", "toml"],
    ),
    layer("telemetry", &["limits", "config"], &["tracing", "tracing_subscriber"]),
    layer(
        "store",
        &["limits", "sync"],
        &["bytes", "crc32c", "fjall", "getrandom", "rustix", "tracing"],
    ),
    // A message is read back alone, outside of its frame, so its record has a checksum of its own.
    layer(
        "durability",
        &["limits", "sync", "clock", "auth", "broker", "store"],
        &["amq_protocol::types", "bytes", "crc32c", "parking_lot::Condvar", "smallvec", "tracing"],
    ),
    layer(
        "amqp::protocol",
        &["limits", "sync", "amqp::wire"],
        &["amq_protocol", "bytes", "subtle"],
    ),
    layer(
        "amqp::session",
        &["limits", "sync", "clock", "auth", "broker", "amqp::wire", "amqp::protocol"],
        &[
            "amq_protocol",
            "base64",
            "bytes",
            "getrandom",
            "hashbrown",
            "slab",
            "smallvec",
            "tracing",
        ],
    ),
    // Definitions are declared as clients declare, so they meet the same checks of arguments.
    layer(
        "definitions",
        &["limits", "auth", "broker", "amqp::session"],
        &["amq_protocol", "serde_json", "tracing"],
    ),
    // Only says which floors the folder has.
    layer("amqp", &[], &[]),
    layer(
        "server",
        &[
            "limits",
            "sync",
            "clock",
            "config",
            "auth",
            "broker",
            "amqp::wire",
            "amqp::protocol",
            "amqp::session",
        ],
        // The lines of the control socket are JSON: decision 0017.
        &["bytes", "serde_json", "tokio", "tracing"],
    ),
    layer(
        "main",
        &["*"],
        &["amq_protocol::types", "clap", "mimalloc", "serde_json", "tokio", "tracing"],
    ),
];

/// Crates that only some files of a layer may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("dashmap", &["src/broker/registry.rs"]),
    ("fjall", &["src/store/checkpoint.rs", "src/store/checkpoint/"]),
    ("rustix", &["src/bench/", "src/store/disk.rs", "src/store/directory.rs"]),
];

/// Paths out of a layer that the table does not allow.
pub(crate) fn check_arrows(sources: &[Source]) -> Vec<Complaint> {
    sources.iter().flat_map(check_arrows_of).collect()
}

fn check_arrows_of(source: &Source) -> Vec<Complaint> {
    let own = layer_of_file(&source.path);
    let Some(layer) = find(&own) else { return vec![homeless(source, &own)] };
    let mut complaints = Vec::new();
    for named in paths(source) {
        let Some(target) = target_layer(&source.path, &named) else { continue };
        let is_allowed =
            target == own || layer.may_use == ["*"] || layer.may_use.contains(&&*target);
        if !is_allowed {
            let known = layer.may_use.join(", ");
            let what = format!(
                "`{own}` names `{}`, but it may only know [{known}]. Move what both need into one of \
                 these or pass it in as a value or a trait; if `{own}` must know `{target}`, write down \
                 why in docs/decisions and add the arrow to tests/tidy/layers.rs",
                named.parts.join("::"),
            );
            complaints.push(Complaint::new(&source.path, named.line, what));
        }
    }
    complaints
}

fn homeless(source: &Source, own: &str) -> Complaint {
    let what = format!(
        "`{own}` is no layer of this house. Move the file into one, or give the new layer its row in \
         tests/tidy/layers.rs and its paragraph in ARCHITECTURE.md"
    );
    Complaint::new(&source.path, 1, what)
}

/// Foreign crates out of place. `dependencies` are the names the package knows them by.
pub(crate) fn check_crates(sources: &[Source], dependencies: &[String]) -> Vec<Complaint> {
    let check = |source| check_crates_of(source, dependencies);
    sources.iter().flat_map(check).collect()
}

fn check_crates_of(source: &Source, dependencies: &[String]) -> Vec<Complaint> {
    let own = layer_of_file(&source.path);
    let Some(layer) = find(&own) else { return Vec::new() };
    let mut complaints = Vec::new();
    for named in paths(source) {
        let name = &named.parts[0];
        if !dependencies.contains(name) {
            continue;
        }
        let path = named.parts.join("::");
        if !layer.crates.iter().any(|allowed| is_within(&path, allowed)) {
            let known = layer.crates.join(", ");
            let what = format!(
                "`{own}` names `{path}`, but of foreign crates it may only name [{known}]. Ask the layer \
                 that may, or write down why in docs/decisions and add it in tests/tidy/layers.rs"
            );
            complaints.push(Complaint::new(&source.path, named.line, what));
        } else if let Some(homes) = misplaced(name, &source.path) {
            let what = format!(
                "only {} may name `{name}`. Put what you need there, behind a function of ours",
                homes.join(" and ")
            );
            complaints.push(Complaint::new(&source.path, named.line, what));
        }
    }
    complaints
}

/// Where `name` belongs, if that is not in `file`.
fn misplaced(name: &str, file: &str) -> Option<&'static [&'static str]> {
    let (_, homes) = ONLY_IN.iter().find(|(only, _)| *only == name)?;
    let is_home = |home: &&str| file == *home || (home.ends_with('/') && file.starts_with(*home));
    (!homes.iter().any(is_home)).then_some(*homes)
}

fn is_within(path: &str, allowed: &str) -> bool {
    path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn find(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// The first layer of the table that may use one which does not stand before it.
#[cfg(test)]
pub(crate) fn first_circle() -> Option<&'static str> {
    let stands_before = |at: usize, name: &str| LAYERS[..at].iter().any(|layer| layer.name == name);
    let circular = |(at, layer): &(usize, &Layer)| {
        layer.may_use.iter().any(|used| *used != "*" && !stands_before(*at, used))
    };
    LAYERS.iter().enumerate().find(circular).map(|(_, layer)| layer.name)
}

/// `src/broker/queue/state.rs` is `broker`; the floors of `amqp` are layers of their own.
fn layer_of_file(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    // The binary, and the file that only lists the modules.
    if matches!(inside, "main.rs" | "run.rs" | "commands.rs" | "lib.rs") {
        return "main".to_owned();
    }
    layer_of_module(&module_of(path))
}

fn layer_of_module(module: &[String]) -> String {
    match module {
        [first, second, ..] if first == "amqp" => format!("amqp::{second}"),
        [first, ..] => first.clone(),
        [] => "main".to_owned(),
    }
}

/// The module that a file is.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    stem.split('/').map(str::to_owned).collect()
}

/// The layer of ours that a path leads into.
fn target_layer(file: &str, named: &Named) -> Option<String> {
    let absolute = absolute(file, &named.parts)?;
    let target = layer_of_module(&absolute);
    let is_layer = find(&target).is_some();
    // What is not a layer is an item at the top, a macro for example.
    if is_layer { Some(target) } else { None }
}

/// The path from the crate's root; `None` for paths into foreign crates and relative ones.
fn absolute(file: &str, parts: &[String]) -> Option<Vec<String>> {
    let ups = parts.iter().take_while(|part| *part == "super").count();
    match parts[0].as_str() {
        "crate" | "leveret" => Some(parts[1..].to_vec()),
        "super" => {
            let module = module_of(file);
            let kept = module.len().checked_sub(ups)?;
            Some(module[..kept].iter().chain(&parts[ups..]).cloned().collect())
        }
        _ => None,
    }
}

/// Names in `[dependencies]`, as code spells them.
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect()
}
