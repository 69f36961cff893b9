//! A broker's life: recover, serve, stop in order.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};
use leveret::amqp::protocol::handshake::{Mechanism, Offer};
use leveret::amqp::session::Shared;
use leveret::auth::Users;
use leveret::broker::Broker;
use leveret::cli::Arguments;
use leveret::clock::Clock;
use leveret::config::{self, Settings};
use leveret::definitions::{Definitions, Imported};
use leveret::durability::{self, Backups, Durability, DurabilityOptions, RecoveryReport, Store};
use leveret::server::control::{BackupDone, Control, WriteBackup};
use leveret::server::{Server, ServerOptions};
use leveret::store::{DataDirectory, SpillArea};
use leveret::telemetry;
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn Error>;

/// Runs a broker until SIGTERM or SIGINT.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = config::load(arguments, std::env::vars_os())?;
    telemetry::init(&settings.log)?;
    let definitions = settings.load_definitions.as_deref().map(read_definitions).transpose()?;
    let users = settings.users.clone();
    let users = match &definitions {
        // As in RabbitMQ: who brings users has no guest besides.
        Some(definitions) if settings.only_guest && !definitions.users.is_empty() => {
            definitions.users_beside(Vec::new())?
        }
        Some(definitions) => definitions.users_beside(users)?,
        None => users,
    };
    let users = Users::new(users, settings.loopback_users.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.worker_threads)
        .thread_name("worker")
        .enable_all()
        .build()?;

    // Held to the end: it keeps other processes out.
    let directory =
        if settings.transient { None } else { Some(DataDirectory::open(&settings.data_dir)?) };
    let (broker, durability, report) = start_broker(&settings, directory.as_ref(), definitions)?;
    for vhost in settings.trace.iter().filter_map(|name| broker.vhost(name)) {
        vhost.set_traced(true);
    }
    if let Some(vhost) = settings.event_exchange.as_ref().and_then(|name| broker.vhost(name)) {
        broker.publish_events(&vhost);
    }
    let shared = Shared {
        broker: Arc::clone(&broker),
        users,
        offer: Arc::new(offer(&settings)),
        consumer_timeout: settings.consumer_timeout,
        shelf: Arc::default(),
    };
    let backups =
        directory.as_ref().map(|it| durability.backups(it.path().into(), settings.disk_free_limit));
    let served = runtime.block_on(serve(&settings, Arc::new(shared), report.as_ref(), backups));
    // Tasks are gone before the last commit, so nothing changes any more.
    drop(runtime);
    if !durability.stop() {
        return Err("a storage thread ended before its time; see the log".into());
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

type Started = (Arc<Broker>, Durability, Option<RecoveryReport>);

fn start_broker(
    settings: &Settings,
    directory: Option<&DataDirectory>,
    definitions: Option<Definitions>,
) -> Result<Started, Failure> {
    let clock = Arc::new(Clock::real());
    let Some(directory) = directory else {
        let broker = Broker::new(settings.vhosts.iter().map(String::as_str), 1, clock);
        bring_in(settings, definitions, &broker)?;
        let durability = Durability::transient(&broker)?;
        return Ok((Arc::new(broker), durability, None));
    };
    let (recovered, checkpoint) =
        durability::recover_directory(directory, &settings.vhosts, &clock)?;
    let broker = Arc::new(recovered.broker);
    bring_in(settings, definitions, &broker)?;
    broker.paging().set_budget(settings.resident_bytes);
    let options = DurabilityOptions {
        linger: settings.linger,
        checkpoint_interval: settings.checkpoint_interval,
        disk_free_limit: settings.disk_free_limit,
        ..DurabilityOptions::default()
    };
    let store = Store { log: recovered.log, checkpoint, state: recovered.state };
    broker.paging().set_transient_budget(settings.transient_bytes);
    let spill = spill_area(directory, settings.disk_free_limit);
    let on_fatal = durability::exit_process();
    let durability = Durability::start_with(&broker, store, spill, options, on_fatal)?;
    // Time has passed since the broker stopped.
    broker.look_at_all();
    Ok((broker, durability, Some(recovered.report)))
}

/// Where messages go that need not survive. A broker that has none keeps them in memory.
fn spill_area(directory: &DataDirectory, reserve: u64) -> Option<SpillArea> {
    let area = directory.spill(reserve);
    area.inspect_err(|error| tracing::warn!(%error, "transient messages stay in memory")).ok()
}

fn read_definitions(path: &Path) -> Result<Definitions, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("load_definitions: {name} cannot be read: {error}"))?;
    Ok(Definitions::parse(&name, &text)?)
}

/// What the configuration says about virtual hosts, and definitions.
fn bring_in(
    settings: &Settings,
    definitions: Option<Definitions>,
    broker: &Broker,
) -> Result<(), Failure> {
    // Queues of the definitions that name no type have the configured one.
    broker.configure(&settings.virtual_hosts);
    if let Some(definitions) = definitions {
        for left_out in &definitions.left_out {
            tracing::warn!("definitions: {left_out}");
        }
        let Imported { exchanges, queues } = definitions.import(broker)?;
        tracing::info!(exchanges, queues, "definitions brought in");
        // The configuration has the last word.
        broker.configure(&settings.virtual_hosts);
    }
    let mut turn = broker.begin_turn();
    broker.apply_policies(&mut turn);
    turn.finish(broker);
    Ok(())
}

async fn serve(
    settings: &Settings,
    shared: Arc<Shared>,
    report: Option<&RecoveryReport>,
    backups: Option<Backups>,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let options = ServerOptions {
        listen: settings.listen.clone(),
        max_connections: settings.max_connections,
        handshake_timeout: settings.handshake_timeout,
        unsaved_bytes: settings.unsaved_bytes,
        memory_high_watermark: settings.memory_high_watermark,
        control: backups.and_then(|backups| control(&settings.data_dir, backups)),
    };
    let server = Server::start(shared, options).await?;
    announce(settings, &server, report);
    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal, "stopping");
    server.stop().await;
    Ok(())
}

/// The socket for commands. A broker that cannot have one serves all the same.
fn control(data_dir: &Path, backups: Backups) -> Option<Control> {
    let write: Arc<WriteBackup> = Arc::new(move |target, is_cancelled| {
        let done = backups.write(target, is_cancelled).map_err(|error| error.to_string())?;
        Ok(BackupDone { segments: done.segments, bytes: done.bytes })
    });
    let bound = Control::bind(data_dir, write);
    bound
        .inspect_err(
            |error| tracing::warn!(%error, "no control socket, so no backups while running"),
        )
        .ok()
}

/// The line an operator looks for: version, listeners, data directory, what was recovered.
fn announce(settings: &Settings, server: &Server, report: Option<&RecoveryReport>) {
    let version = env!("CARGO_PKG_VERSION");
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let listening = addresses.join(", ");
    let Some(report) = report else {
        tracing::info!("leveret {version} listening on {listening}; transient, nothing is kept");
        return;
    };
    tracing::info!(
        "leveret {version} listening on {listening}; data in {}; recovered {} queues, {} exchanges, \
         {} bindings, {} messages in {} ms",
        settings.data_dir.display(),
        report.queues,
        report.exchanges,
        report.bindings,
        report.messages,
        report.took.as_millis(),
    );
}

/// What connection.start and connection.tune say.
fn offer(settings: &Settings) -> Offer {
    Offer {
        server_properties: server_properties(settings),
        mechanisms: vec![Mechanism::AmqPlain, Mechanism::Plain],
        channel_max: settings.channel_max,
        frame_max: settings.frame_max,
        heartbeat: settings.heartbeat,
        max_message_size: settings.max_message_size,
    }
}

/// The capabilities RabbitMQ announces; clients switch features on by them.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

fn server_properties(settings: &Settings) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for capability in CAPABILITIES {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    let texts = [
        ("cluster_name", &settings.cluster_name),
        ("information", &settings.information),
        ("platform", &settings.platform),
        ("product", &settings.product),
        ("version", &settings.version),
    ];
    for (key, text) in texts {
        properties.insert(key.into(), AMQPValue::LongString(text.as_str().into()));
    }
    properties
}
