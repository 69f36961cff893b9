//! config.toml is the manual of the settings; it, the schema and the defaults may not drift apart.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::super::document::join;
use super::super::environment;
use super::super::file::{
    File, KEYS, Key, Kind, LOG_KEYS, LogTable, PERMISSION_KEYS, POLICY_KEYS, PermissionTable,
    PolicyTable, TOPIC_PERMISSION_KEYS, TopicPermissionTable, USER_KEYS, UserTable, VHOST_KEYS,
    VHostTable,
};
use super::*;

const MANUAL: &str = include_str!("../../../config.toml");
/// Cannot stand beside `password`, so the manual shows it in prose.
const IN_PROSE: &str = "users.password_hash";
/// Its elements have no defaults, so the manual shows one in prose.
const TOPIC_PERMISSIONS: &str = "topic_permissions = [{";
/// Tables without defaults; the manual shows examples.
const EXAMPLES: [&str; 3] = ["vhost_settings", "policies", "operator_policies"];

/// The manual with every setting switched on: a line that starts with '#' and no space is a setting.
fn switched_on() -> String {
    let lines = MANUAL.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands as an example in the manual.
fn examples() -> String {
    let lines = MANUAL.lines().filter_map(|line| line.strip_prefix("#   "));
    let mut lines = lines.skip_while(|line| !line.starts_with("[[")).collect::<Vec<_>>();
    lines.push("");
    lines.join("\n")
}

fn is_example(path: &str) -> bool {
    EXAMPLES.iter().any(|table| path.split('.').next() == Some(table))
}

#[test]
fn the_manual_as_it_comes_sets_nothing() {
    let table: Table = MANUAL.parse().unwrap();
    assert!(table.is_empty(), "{table}");
}

#[test]
fn the_manual_with_every_setting_switched_on_is_the_defaults() {
    // But for one: guest is written down then.
    let written = Settings { only_guest: false, ..Settings::default() };
    assert_eq!(file(&switched_on()).settings(), written);
}

#[test]
fn every_key_stands_in_the_manual() {
    let mut keys = paths_of_keys(KEYS, "");
    assert!(keys.remove(IN_PROSE));
    keys.retain(|path| !is_example(path) && !path.starts_with("users.topic_permissions."));
    let manual: Table = switched_on().parse().unwrap();
    assert_eq!(paths_of_values(&manual, ""), keys);
    assert!(MANUAL.contains("#   password_hash = "));
}

#[test]
fn every_key_of_a_topic_permission_stands_in_an_example_that_can_be_used() {
    let mut examples = MANUAL.lines().filter_map(|line| line.strip_prefix("#   "));
    let example = examples.find(|line| line.starts_with(TOPIC_PERMISSIONS)).unwrap();

    let table: Table = example.parse().unwrap();
    let shown = table["topic_permissions"].as_array().unwrap()[0].as_table().unwrap();
    assert_eq!(
        paths_of_values(shown, ""),
        names(TOPIC_PERMISSION_KEYS).into_iter().collect::<BTreeSet<_>>()
    );
    let user = format!("[[users]]\nname = 'ada'\npassword = 'x'\n{example}");
    let settings = file(&user).settings();
    assert!(settings.users[0].topic_permissions[0].write.matches("ada.1"));
}

#[test]
fn every_key_of_a_table_without_defaults_stands_in_an_example_that_can_be_used() {
    let mut keys = paths_of_keys(KEYS, "");
    keys.retain(|path| is_example(path));
    let shown: Table = examples().parse().unwrap();
    let mut values = paths_of_values(&shown, "");
    values.retain(|path| !path.contains(".definition."));
    assert_eq!(values, keys);

    let settings = file(&examples()).settings();
    let configured = &settings.virtual_hosts.vhosts["/"];
    assert_eq!(configured.limits.max_queues, Some(500));
    let names: Vec<_> = configured.policies.iter().map(|policy| &*policy.name).collect();
    assert_eq!(names, ["limit", "cap"]);
}

#[test]
fn the_manual_says_something_before_every_setting() {
    let lines: Vec<_> = MANUAL.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let follows_nothing = at == 0 || lines[at - 1].is_empty();
        let is_setting = line.starts_with('#') && !line.starts_with("# ");
        assert!(!(is_setting && follows_nothing), "line {}: {line} is not explained", at + 1);
    }
}

#[test]
fn the_manual_fits_a_screen() {
    for (at, line) in MANUAL.lines().enumerate() {
        assert!(line.chars().count() <= 110, "line {} is too long", at + 1);
    }
}

#[test]
fn the_list_of_keys_is_what_serde_reads() {
    assert_eq!(read_by_serde::<File>(), names(KEYS));
    assert_eq!(read_by_serde::<LogTable>(), names(LOG_KEYS));
    assert_eq!(read_by_serde::<UserTable>(), names(USER_KEYS));
    assert_eq!(read_by_serde::<PermissionTable>(), names(PERMISSION_KEYS));
    assert_eq!(read_by_serde::<TopicPermissionTable>(), names(TOPIC_PERMISSION_KEYS));
    assert_eq!(read_by_serde::<VHostTable>(), names(VHOST_KEYS));
    assert_eq!(read_by_serde::<PolicyTable>(), names(POLICY_KEYS));
}

#[test]
fn no_two_settings_share_a_variable() {
    let settings = environment::settings();
    let variables: BTreeSet<_> = settings.iter().map(|setting| &setting.variable).collect();
    assert_eq!(variables.len(), settings.len());
}

#[test]
fn every_setting_but_users_and_virtual_hosts_has_a_variable() {
    let settings: BTreeSet<_> =
        environment::settings().into_iter().map(|setting| setting.path).collect();
    let mut keys = paths_of_keys(KEYS, "");
    keys.retain(|path| path != "log" && !path.starts_with("users") && !is_example(path));
    assert_eq!(settings, keys);
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| key.name.to_owned()).collect()
}

/// The fields of `T`, from serde's complaint about one it does not know.
fn read_by_serde<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = toml::from_str::<T>("no_such_field = 1") else {
        panic!("unknown fields are not denied");
    };
    let (_, fields) = error.message().split_once("expected ").unwrap();
    fields.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn paths_of_keys(keys: &[Key], parent: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for key in keys {
        let path = join(parent, key.name);
        if let Kind::Table(inner) | Kind::Tables(inner) = key.kind {
            paths.extend(paths_of_keys(inner, &path));
        }
        paths.insert(path);
    }
    paths
}

fn paths_of_values(table: &Table, parent: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (key, value) in table {
        let path = join(parent, key);
        let elements = value.as_array().into_iter().flatten().chain([value]);
        for inner in elements.filter_map(Value::as_table) {
            paths.extend(paths_of_values(inner, &path));
        }
        paths.insert(path);
    }
    paths
}
