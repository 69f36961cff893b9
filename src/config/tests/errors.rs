//! The exact words of errors: each names the place, the key, and what is allowed.

use super::super::file::{KEYS, Kind};
use super::*;

#[test]
fn an_unknown_key_names_the_closest_and_all_that_are_allowed() {
    let error = file("# comment\n\nlisen = []").error();
    assert_eq!(
        error,
        "config.toml line 3: unknown key 'lisen'; did you mean 'listen'? (allowed here: listen, \
         data_dir, transient, vhosts, trace, event_exchange, users, default_queue_type, vhost_settings, policies, \
         operator_policies, load_definitions, loopback_users, product, version, platform, \
         information, cluster_name, frame_max, channel_max, heartbeat, handshake_timeout_ms, \
         max_message_size, consumer_timeout_ms, max_connections, worker_threads, unsaved_bytes, \
         resident_bytes, transient_bytes, memory_high_watermark, disk_free_limit, linger_ms, checkpoint_interval_ms, log)"
    );
}

#[test]
fn an_unknown_key_of_a_table_names_the_table() {
    assert_eq!(
        file("[log]\nlevel = 'info'\nformt = 'text'").error(),
        "config.toml line 3: log: unknown key 'formt'; did you mean 'format'? (allowed here: level, format)"
    );
    assert_eq!(
        file("[[users]]\nname = 'a'\n[[users]]\npasword = 'b'").error(),
        "config.toml line 4: users: unknown key 'pasword'; did you mean 'password'? \
         (allowed here: name, password, password_hash, tags, permissions, topic_permissions, \
         max_connections, max_channels)"
    );
}

#[test]
fn a_policy_that_cannot_be_names_its_line_in_rabbitmqs_words() {
    let policy = |rest: &str| file(&format!("\n[[policies]]\n{rest}")).error();
    let named = "name = 'p'\npattern = '^q'\n";
    for (rest, line, error) in [
        ("pattern = ''", 2, "policies: a policy needs a name"),
        ("name = 'p'", 2, "policies: a policy needs a pattern"),
        (named, 2, "policies: a policy needs a definition"),
        (
            &format!("{named}definition = {{ bogus = 5 }}"),
            2,
            "policies: [{<<\"bogus\">>,5}] are not recognised policy settings",
        ),
        (
            &format!("{named}definition = {{ expires = 0 }}"),
            2,
            "policies: 0 is not a valid queue expiry",
        ),
        (
            &format!("{named}definition = {{ expires = 1979-05-27 }}"),
            5,
            "policies.definition: 1979-05-27 is a date, which no policy sets",
        ),
        (&format!("{named}vhost = 'x'"), 5, "policies.vhost: 'x' is not one of vhosts (/)"),
        (
            &format!("{named}definition = 5"),
            5,
            "policies.definition: expected a table, found a whole number",
        ),
    ] {
        assert_eq!(policy(rest), format!("config.toml line {line}: {error}"));
    }
    let twice = "{ name = 'p', pattern = '', definition = { expires = 1 } }";
    assert_eq!(
        file(&format!("operator_policies = [\n{twice},\n{twice}]")).error(),
        "config.toml line 3: operator_policies.name: 'p' is there twice"
    );
}

#[test]
fn what_cannot_be_said_about_a_virtual_host_names_its_line() {
    for (text, error) in [
        ("default_queue_type = 'stream'", "default_queue_type: queue type stream is not supported"),
        (
            "default_queue_type = 'x'",
            "default_queue_type: 'x' is not a type of queue (allowed: classic, quorum)",
        ),
        (
            "vhost_settings = [{ max_queues = -2 }]",
            "vhost_settings.max_queues: -2 is not a limit (0 or more, -1: none)",
        ),
        ("vhost_settings = [{}, {}]", "vhost_settings.vhost: '/' is there twice"),
    ] {
        assert_eq!(file(text).error(), format!("config.toml line 1: {error}"));
    }
}

#[test]
fn the_first_of_several_mistakes_is_named() {
    let error = file("zebra = 1\naardvark = 1").error();
    assert!(error.starts_with("config.toml line 1: unknown key 'zebra'"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_says_what_is_expected() {
    for (text, error) in [
        ("heartbeat = '60'", "heartbeat: expected a whole number, found a text"),
        ("heartbeat = 1.5", "heartbeat: expected a whole number, found a decimal number"),
        ("listen = '127.0.0.1:1'", "listen: expected a list of texts in brackets, found a text"),
        ("vhosts = [1]", "vhosts: expected a text in quotes, found a whole number"),
        ("transient = 'yes'", "transient: expected true or false, found a text"),
        ("log = 'info'", "log: expected a table, found a text"),
        ("users = 'guest'", "users: expected a list of tables, found a text"),
        ("[users]", "users: expected a list of tables, found a table"),
    ] {
        assert_eq!(file(text).error(), format!("config.toml line 1: {error}"));
    }
}

#[test]
fn a_port_that_does_not_fit_is_named_in_its_line_of_the_list() {
    let error = file("listen = [\n  '127.0.0.1:5672',\n  '127.0.0.1:70000',\n]").error();
    assert_eq!(
        error,
        "config.toml line 3: listen: '127.0.0.1:70000': 70000 does not fit a port \
         (1-65535, or 0 for any free one)"
    );
}

#[test]
fn an_address_that_is_none_shows_what_one_looks_like() {
    let example = "such as 127.0.0.1:5672, 0.0.0.0:5672 or [::1]:5672";
    for (address, problem) in [
        ("127.0.0.1", "has no port; expected an address and a port"),
        ("localhost:5672", "is not an IP address and a port"),
        ("127.0.0.1:", "is not an IP address and a port"),
        ("127.0.0.1:http", "is not an IP address and a port"),
    ] {
        assert_eq!(
            file(&format!("listen = ['{address}']")).error(),
            format!("config.toml line 1: listen: '{address}' {problem} {example}")
        );
    }
}

#[test]
fn every_number_out_of_range_is_refused_under_its_own_key() {
    for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Whole)) {
        let error = file(&format!("\n{} = -1", key.name)).error();
        let start = format!("config.toml line 2: {}: -1 is not within ", key.name);
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn a_number_out_of_range_names_the_range_and_the_unit() {
    for (text, error) in [
        ("frame_max = 4095", "frame_max: 4095 is not within 4096-2147483648 bytes"),
        ("heartbeat = 65536", "heartbeat: 65536 is not within 0-65535 seconds"),
        (
            "max_message_size = 536870913",
            "max_message_size: 536870913 is not within 1-536870912 bytes",
        ),
        ("linger_ms = 10001", "linger_ms: 10001 is not within 0-10000 milliseconds"),
        ("heartbeat = 99999999999999999999", "heartbeat: 99999999999999999999 is too large"),
    ] {
        assert_eq!(file(text).error(), format!("config.toml line 1: {error}"));
    }
}

#[test]
fn an_empty_value_where_one_is_needed_is_refused() {
    for (text, error) in [
        ("listen = []", "listen: needs at least one address"),
        ("vhosts = []", "vhosts: needs at least one virtual host"),
        ("vhosts = ['']", "vhosts: must not be empty"),
        ("vhosts = ['/', '/']", "vhosts: '/' is there twice"),
        ("data_dir = ''", "data_dir: must not be empty"),
    ] {
        assert_eq!(file(text).error(), format!("config.toml line 1: {error}"));
    }
}

#[test]
fn a_name_too_long_for_the_protocol_is_refused() {
    let text = format!("product = '{}'", "x".repeat(256));
    assert_eq!(file(&text).error(), "config.toml line 1: product: longer than 255 bytes");
}

#[test]
fn a_misspelt_level_is_refused() {
    assert_eq!(
        file("[log]\nlevel = 'info,debgu'").error(),
        "config.toml line 2: log.level: 'debgu' is not a level \
         (allowed: off, error, warn, info, debug, trace, or target=level)"
    );
    assert_eq!(
        file("log.format = 'xml'").error(),
        "config.toml line 1: log.format: 'xml' is not a format (allowed: text)"
    );
}

#[test]
fn a_user_needs_a_name_and_one_proof() {
    for (user, error) in [
        ("password = 'x'", "line 2: users: a user needs a name"),
        ("name = ''", "line 3: users.name: must not be empty"),
        ("name = 'a'", "line 2: users: user 'a' needs either password or password_hash"),
        (
            "name = 'a'\npassword = 'b'\npassword_hash = 'c'",
            "line 2: users: user 'a' needs either password or password_hash",
        ),
        ("name = 'a'\npassword = ''", "line 4: users.password: must not be empty"),
        ("name = 'a'\npassword_hash = '?'", "line 4: users.password_hash: not base64"),
    ] {
        let text = format!("\n[[users]]\n{user}");
        assert_eq!(file(&text).error(), format!("config.toml {error}"));
    }
}

#[test]
fn two_users_of_one_name_are_refused_at_the_second() {
    let user = "[[users]]\nname = 'a'\npassword = 'b'\n";
    assert_eq!(file(&user.repeat(2)).error(), "config.toml line 5: users.name: 'a' is there twice");
}

#[test]
fn a_permission_must_be_for_a_virtual_host_that_exists() {
    let user = "[[users]]\nname = 'a'\npassword = 'b'\npermissions = [\n  { vhost = 'ap' },\n]";
    assert_eq!(
        file(user).error(),
        "config.toml line 5: users.permissions.vhost: 'ap' is not one of vhosts (/)"
    );
    let known = Asked { environment: &[("LEVERET_VHOSTS", "/,ap")], ..file(user) };
    assert!(known.load().is_ok());
}

#[test]
fn two_permissions_for_one_virtual_host_are_refused() {
    let user = "[[users]]\nname = 'a'\npassword = 'b'\n";
    let permission = "[[users.permissions]]\nvhost = '/'\n";
    assert_eq!(
        file(&format!("{user}{permission}{permission}")).error(),
        "config.toml line 7: users.permissions.vhost: '/' is there twice"
    );
}

#[test]
fn a_topic_permission_that_cannot_be_names_its_place() {
    let user = "[[users]]\nname = 'a'\npassword = 'b'\n";
    for (topics, error) in [
        ("{ exchange = 'x' }", ": a topic permission needs a vhost"),
        ("{ vhost = '/' }", ": a topic permission needs an exchange"),
        ("{ vhost = '/', exchange = '' }", ".exchange: must not be empty"),
        ("{ vhost = 'ap', exchange = 'x' }", ".vhost: 'ap' is not one of vhosts (/)"),
        (
            "{ vhost = '/', exchange = 'x', write = '({username}' }",
            ".write: '({username}' is not a usable regular expression: unclosed group",
        ),
        (
            "{ vhost = '/', exchange = 'x' }, { vhost = '/', exchange = 'x' }",
            ".exchange: 'x' is there twice",
        ),
    ] {
        let error = format!("config.toml line 4: users.topic_permissions{error}");
        assert_eq!(file(&format!("{user}topic_permissions = [{topics}]")).error(), error);
    }
}

#[test]
fn a_pattern_that_cannot_be_used_names_its_place() {
    let user = "[[users]]\nname = 'a'\npassword = 'b'\npermissions = [{ vhost = '/', read = '(' }]";
    assert_eq!(
        file(user).error(),
        "config.toml line 4: users.permissions.read: '(' is not a usable regular expression: \
         unclosed group"
    );
}

#[test]
fn a_text_that_is_not_toml_names_the_line() {
    let error = file("heartbeat = 1\nlisten [").error();
    assert!(error.starts_with("config.toml line 2: not TOML: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn an_unknown_variable_names_the_closest() {
    assert_eq!(
        environment(&[("LEVERET_LISEN", "127.0.0.1:1")]).error(),
        "LEVERET_LISEN: sets nothing; did you mean LEVERET_LISTEN?"
    );
    assert_eq!(
        environment(&[("LEVERET_LOGLEVEL", "info")]).error(),
        "LEVERET_LOGLEVEL: sets nothing; did you mean LEVERET_LOG_LEVEL?"
    );
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    for (name, value, problem) in [
        ("LEVERET_HEARTBEAT", "soon", "expected a whole number, found 'soon'"),
        ("LEVERET_HEARTBEAT", "-1", "-1 is not within 0-65535 seconds"),
        ("LEVERET_TRANSIENT", "yes", "expected true or false, found 'yes'"),
        ("LEVERET_LOG_FORMAT", "xml", "'xml' is not a format (allowed: text)"),
        ("LEVERET_VHOSTS", "/,,a", "must not be empty"),
    ] {
        assert_eq!(environment(&[(name, value)]).error(), format!("{name}: {problem}"));
    }
}

#[test]
#[cfg(unix)]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;

    let value = OsString::from_vec(vec![0xFF]);
    let variables = [(OsString::from("LEVERET_DATA_DIR"), value)];
    let error = merge("config.toml", "", variables, &Arguments::default()).unwrap_err();
    assert_eq!(error.to_string(), "LEVERET_DATA_DIR: not valid UTF-8");
}

#[test]
fn an_argument_with_a_wrong_value_is_named() {
    let listen = Arguments { listen: vec!["127.0.0.1:70000".to_owned()], ..Arguments::default() };
    assert_eq!(
        arguments(listen).error(),
        "--listen: '127.0.0.1:70000': 70000 does not fit a port (1-65535, or 0 for any free one)"
    );
    let data_dir = Arguments { data_dir: Some("".into()), ..Arguments::default() };
    assert_eq!(arguments(data_dir).error(), "--data-dir: must not be empty");
    let log = Arguments { log: Some("loud".to_owned()), ..Arguments::default() };
    assert_eq!(
        arguments(log).error(),
        "--log: 'loud' is not a level (allowed: off, error, warn, info, debug, trace, or target=level)"
    );
}

#[test]
fn a_missing_file_that_was_asked_for_is_an_error() {
    let error = read(Some(Path::new("/no/such.toml")), Path::new("config.toml")).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("/no/such.toml: cannot be read: "), "{error}");
}
