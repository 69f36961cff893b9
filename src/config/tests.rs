//! What all of configuration promises. `errors` holds the exact texts, `manual` the agreement of config.toml,
//! schema and defaults.

mod errors;
mod manual;

use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use super::load::{merge, read};
use super::*;
use crate::auth::Users;
use crate::broker::options::QueueType;
use crate::broker::policy::{ApplyTo, PolicyKind};
use crate::broker::vhost::VHostLimits;
use crate::cli::Arguments;

/// The four layers but the first, in the words of the operator.
#[derive(Default)]
struct Asked<'a> {
    file: &'a str,
    environment: &'a [(&'a str, &'a str)],
    arguments: Arguments,
}

impl Asked<'_> {
    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> String {
        self.load().unwrap_err().to_string()
    }

    fn load(&self) -> Result<Settings, ConfigError> {
        let variables = self.environment.iter();
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        merge("config.toml", self.file, variables, &self.arguments)
    }
}

fn file(text: &str) -> Asked<'_> {
    Asked { file: text, ..Asked::default() }
}

fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> Asked<'a> {
    Asked { environment: variables, ..Asked::default() }
}

fn arguments(arguments: Arguments) -> Asked<'static> {
    Asked { arguments, ..Asked::default() }
}

#[test]
fn nothing_asked_for_gives_the_defaults() {
    assert_eq!(file("").settings(), Settings::default());
}

#[test]
fn the_file_wins_over_the_default() {
    let settings = file("data_dir = '/file'\nheartbeat = 5").settings();
    assert_eq!(settings.data_dir, Path::new("/file"));
    assert_eq!(settings.heartbeat, 5);
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = Asked {
        file: "data_dir = '/file'\nheartbeat = 5",
        environment: &[("LEVERET_DATA_DIR", "/environment")],
        ..Asked::default()
    }
    .settings();
    assert_eq!(settings.data_dir, Path::new("/environment"));
    assert_eq!(settings.heartbeat, 5);
}

#[test]
fn arguments_win_over_the_environment() {
    let settings = Asked {
        environment: &[
            ("LEVERET_DATA_DIR", "/environment"),
            ("LEVERET_LISTEN", "127.0.0.1:1"),
            ("LEVERET_LOG_LEVEL", "warn"),
            ("LEVERET_TRANSIENT", "false"),
        ],
        arguments: Arguments {
            command: None,
            config: None,
            data_dir: Some("/argument".into()),
            listen: vec!["127.0.0.1:2".to_owned(), "[::1]:3".to_owned()],
            transient: true,
            log: Some("debug".to_owned()),
        },
        ..Asked::default()
    }
    .settings();
    assert_eq!(settings.data_dir, Path::new("/argument"));
    assert_eq!(settings.listen, ["127.0.0.1:2", "[::1]:3"].map(|a| a.parse().unwrap()));
    assert_eq!(settings.log.level, "debug");
    assert!(settings.transient);
}

#[test]
fn arguments_not_given_leave_the_other_layers_alone() {
    let settings = file("transient = true\nlisten = ['127.0.0.1:9']\nlog.level = 'off'").settings();
    assert!(settings.transient);
    assert_eq!(settings.listen, ["127.0.0.1:9".parse().unwrap()]);
    assert_eq!(settings.log.level, "off");
}

#[test]
fn variables_take_every_kind_of_value() {
    let settings = environment(&[
        ("PATH", "/bin"),
        ("LEVERET_VHOSTS", "/, app"),
        ("LEVERET_LOOPBACK_USERS", ""),
        ("LEVERET_VERSION", "4.0"),
        ("LEVERET_LINGER_MS", "7"),
        ("LEVERET_TRANSIENT", "true"),
        ("LEVERET_LOG_LEVEL", "info,leveret::server=debug"),
    ])
    .settings();
    assert_eq!(settings.vhosts, ["/", "app"]);
    assert!(settings.loopback_users.is_empty());
    assert_eq!(settings.version, "4.0");
    assert_eq!(settings.linger, Duration::from_millis(7));
    assert!(settings.transient);
    assert_eq!(settings.log.level, "info,leveret::server=debug");
}

#[test]
fn guest_has_every_right_in_every_virtual_host() {
    let settings = environment(&[("LEVERET_VHOSTS", "one,two")]).settings();
    assert_eq!(settings.users.len(), 1);
    let permissions = ["one", "two"].map(Permission::all);
    assert_eq!(settings.users[0].permissions, permissions);
}

#[test]
fn users_of_the_file_replace_guest() {
    let settings = file(
        r#"
        vhosts = ["/", "app"]
        [[users]]
        name = "ada"
        password_hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
        [[users]]
        name = "bo"
        password = "secret"
        tags = ["monitoring", "mine"]
        permissions = [{ vhost = "app", read = "^public" }]
        topic_permissions = [{ vhost = "app", exchange = "news", read = "^{username}$" }]
        "#,
    )
    .settings();
    let users = Users::new(settings.users, settings.loopback_users).unwrap();

    assert!(users.get("guest").is_none());
    let ada = users.authenticate("ada", b"test12", false).unwrap();
    assert!(!ada.may_enter("/"));
    let bo = users.authenticate("bo", b"secret", false).unwrap();
    assert!(bo.has_tag("mine"));
    assert!(bo.may("app", crate::auth::Access::Read, "public.news"));
    assert!(!bo.may("app", crate::auth::Access::Write, "public.news"));
    assert!(bo.may_with_key("app", crate::auth::Access::Read, "news", "bo"));
    assert!(!bo.may_with_key("app", crate::auth::Access::Read, "news", "ada"));
    assert!(!bo.may_with_key("app", crate::auth::Access::Write, "news", "bo"));
}

#[test]
fn what_is_said_about_virtual_hosts_comes_ready_for_the_broker() {
    let settings = file(
        r#"
        vhosts = ["/", "app"]
        default_queue_type = "quorum"
        [[vhost_settings]]
        vhost = "app"
        default_queue_type = "classic"
        max_queues = 0
        max_connections = -1
        [[policies]]
        name = "limit"
        pattern = "^q"
        definition = { max-length = 5, overflow = "reject-publish" }
        [[policies]]
        vhost = "app"
        name = "limit"
        pattern = ""
        apply_to = "exchanges"
        priority = -2
        definition = { alternate-exchange = "spill" }
        [[operator_policies]]
        name = "limit"
        pattern = ""
        definition = { message-ttl = 7 }
        "#,
    )
    .settings();
    let hosts = &settings.virtual_hosts;
    assert_eq!(hosts.default_queue_type, Some(QueueType::Quorum));
    let app = &hosts.vhosts["app"];
    assert_eq!(app.default_queue_type, Some(QueueType::Classic));
    let limits = VHostLimits { max_queues: Some(0), ..VHostLimits::default() };
    assert_eq!(app.limits, limits);
    assert_eq!(app.policies[0].apply_to, ApplyTo::Exchanges);
    assert_eq!(app.policies[0].priority, -2);
    assert_eq!(app.policies[0].definition.alternate_exchange.as_deref(), Some("spill"));
    let [user, operator] = hosts.vhosts["/"].policies.as_slice() else { panic!("two are set") };
    assert_eq!((user.kind, operator.kind), (PolicyKind::User, PolicyKind::Operator));
    assert_eq!(user.definition.max_length, Some(5));
    assert_eq!(operator.definition.message_ttl_ms, Some(7));
}

#[test]
fn guest_is_there_for_want_of_others_only() {
    assert!(file("").settings().only_guest);
    let settings = file("users = [{name='guest', password='guest'}]").settings();
    assert!(!settings.only_guest);
}

#[test]
fn no_definitions_are_loaded_unless_asked_for() {
    let settings = file("load_definitions = 'export.json'").settings();
    assert_eq!(settings.load_definitions.as_deref(), Some(Path::new("export.json")));
    assert_eq!(file("load_definitions = ''").settings(), Settings::default());
}

#[test]
fn users_have_limits() {
    let text = "users = [{name='a', password='x', max_connections=3, max_channels=-1}]";
    let limits = file(text).settings().users[0].limits;
    assert_eq!((limits.max_connections, limits.max_channels), (Some(3), None));
}

#[test]
fn worker_threads_zero_means_the_processors() {
    assert_eq!(file("worker_threads = 0").settings().worker_threads, cores());
    assert_eq!(file("worker_threads = 3").settings().worker_threads, 3);
}

#[test]
fn limits_are_allowed_up_to_their_ends() {
    let settings = file("frame_max = 2147483648\nmax_message_size = 536870912").settings();
    assert_eq!(settings.frame_max, 1 << 31);
    assert_eq!(settings.max_message_size, 512 * 1024 * 1024);
    assert_eq!(file("frame_max = 4096").settings().frame_max, 4096);
}

#[test]
fn port_zero_is_allowed_for_any_free_port() {
    assert_eq!(file("listen = ['127.0.0.1:0']").settings().listen[0].port(), 0);
}

#[test]
fn settings_shown_for_debugging_hold_no_password() {
    let shown = format!("{:?}", file("users = [{name='a', password='hunter2'}]").settings());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_missing_default_file_is_an_empty_one() {
    let directory = tempfile::tempdir().unwrap();
    let (_, text) = read(None, &directory.path().join("config.toml")).unwrap();
    assert_eq!(text, "");
}

#[test]
fn a_file_that_was_asked_for_is_read_in_place_of_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let (asked, default) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
    std::fs::write(&asked, "asked").unwrap();
    std::fs::write(&default, "default").unwrap();

    assert_eq!(read(Some(&asked), &default).unwrap().1, "asked");
    assert_eq!(read(None, &default).unwrap().1, "default");
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "[a-z_\\[\\]{}='\"., \n0-9-]{0,80}") {
        let _refused_or_read = file(&text).load();
    }

    #[test]
    fn every_number_is_either_taken_or_refused_with_its_line(number in any::<i64>()) {
        let text = format!("\nchannel_max = {number}");
        match file(&text).load() {
            Ok(settings) => prop_assert_eq!(i64::from(settings.channel_max), number),
            Err(error) => prop_assert_eq!(
                error.to_string(),
                format!("config.toml line 2: channel_max: {number} is not within 1-65535 channels")
            ),
        }
    }
}
