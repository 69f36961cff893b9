//! Every bound of the process, with the arithmetic behind it. Sizes are bytes unless the name says otherwise.

use std::time::Duration;

// ---- One connection, on the wire -----------------------------------------------------------------

/// Smallest `frame_max` a client may negotiate. AMQP 0-9-1 `frame-min-size`; RabbitMQ 4.1 raised it to
/// 8192, which broke clients that send 4096, so the protocol's own minimum stays.
pub const FRAME_MIN: u32 = 4096;
/// `frame_max` offered in connection.tune (RabbitMQ's default).
pub const FRAME_MAX_DEFAULT: u32 = 131_072;
/// Largest frame before tune-ok (RabbitMQ 4.x `initial_frame_max`).
pub const FRAME_MAX_BEFORE_TUNE: u32 = 8192;
/// Frame header (7) and end octet (1).
pub const FRAME_OVERHEAD: u32 = 8;
/// `channel_max` offered in connection.tune (RabbitMQ's default).
pub const CHANNEL_MAX_DEFAULT: u16 = 2047;
/// Heartbeat offered in connection.tune, seconds (RabbitMQ's default).
pub const HEARTBEAT_DEFAULT_SECONDS: u16 = 60;
/// From accept to connection.open (RabbitMQ's `handshake_timeout`).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused client is left without an answer before its socket is closed (RabbitMQ: 3 s).
pub const SILENT_CLOSE: Duration = Duration::from_secs(3);
/// How long the broker waits for a connection.close-ok before it closes the socket.
pub const CLOSE_OK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client that has closed may take to hang up; so does RabbitMQ. Closed from here, what it still sends would be
/// answered with a reset, which can overtake close-ok.
pub const HANG_UP_PATIENCE: Duration = Duration::from_secs(30);
/// How long clients have to answer connection.close when the broker stops. Those that read at all do so by then; one that
/// reads only when it is called (pika's `BlockingConnection`, PHP) would only make a restart longer. RabbitMQ does not wait.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(1);
/// How long all connections may take to end then, with giving back what they had. Supervisors kill after ten seconds, and
/// the last commit and checkpoint must be done by then.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(6);
/// Read buffer of a busy connection, and so the longest turn. 256 KiB costs 40-70 % more CPU at 16 B
/// and lifts the neighbours' latency; 16 KiB costs 20 % at 1 KiB.
pub const READ_BUFFER: usize = 64 * 1024;
/// Octets of its socket that a connection may work through while others wait, if there are always more: some hundred
/// microseconds. Left to itself, tokio lets it go on for 128 reads.
pub const READ_SHARE: usize = 2 * READ_BUFFER;
/// Read buffer of an idle connection.
pub const READ_BUFFER_IDLE: usize = 4 * 1024;
/// Depth of nested tables and arrays that is still parsed.
pub const TABLE_DEPTH_MAX: usize = 32;
/// Fields in one table with everything nested in it.
pub const TABLE_FIELDS_MAX: usize = 4096;
/// Octets in a short string.
pub const SHORT_STRING_MAX: usize = 255;
/// Largest message body unless configured otherwise (RabbitMQ 3.x `max_message_size`, as the version that is announced).
pub const MESSAGE_SIZE_DEFAULT: u64 = 128 * 1024 * 1024;
/// Largest message body that may be configured (RabbitMQ's ceiling).
pub const MESSAGE_SIZE_CEILING: u64 = 512 * 1024 * 1024;
/// Body bytes that are reserved on the word of a content header alone; more grows with what arrives.
pub const BODY_RESERVE: usize = 256 * 1024;
/// Octets of a body frame that must be missing for them to be read into the message instead of the read buffer.
/// Below that a read into the buffer brings more than one message, which is worth more than the copy.
pub const BYPASS_LEAST: usize = READ_BUFFER / 2;
/// Octets of it that must have come: what an error shows of a frame, and a sign that it is not only announced.
pub const BYPASS_BEGUN: usize = 32;
/// Octets read together with the end of such a frame: the next message's method, header, and the beginning of its
/// body, so that a message takes one read. They stay unused behind the body.
pub const BYPASS_LOOKAHEAD: usize = 1024;
/// Bytes of memory of large messages that is kept for the next ones. Half as much lets a backlog that comes and goes
/// return its memory to the system and fault it in again.
pub const SHELF_BYTES: usize = 32 * 1024 * 1024;
/// Largest piece of it.
pub const SHELF_PIECE: usize = SHELF_BYTES / 8;
/// Bytes of bodies that a connection's channels have received in part, all together, beyond one message
/// of the largest size. Without it 2047 channels could each hold the largest message but for its last octet.
pub const PARTIAL_BODIES: u64 = 64 * 1024 * 1024;

// ---- One connection, towards the socket ----------------------------------------------------------

/// Largest chunk of memory the messages of one read batch share: a whole read buffer of them.
pub const ARENA_CHUNK: usize = READ_BUFFER;
/// Messages above this size get memory of their own, so that a chunk is not held by a few large ones.
pub const ARENA_MESSAGE: usize = ARENA_CHUNK / 4;

/// Bytes in an outbox above which consumers are parked.
pub const OUTBOX_BYTES: usize = 1024 * 1024;
/// Items in an outbox above which consumers are parked.
pub const OUTBOX_ITEMS: usize = 4096;
/// The same for everything else that is to be sent (replies, returned messages): above it the connection is
/// not read, so that a client which asks but does not listen is held to this.
pub const OUTBOX_REPLY_BYTES: usize = 4 * OUTBOX_BYTES;
/// Items for which the same holds.
pub const OUTBOX_REPLY_ITEMS: usize = 4 * OUTBOX_ITEMS;
/// Bytes encoded before the socket is written. 64 KiB costs 31 % at 1 KiB messages.
pub const WRITE_BATCH: usize = 256 * 1024;
/// Bodies from this size on are written from where they lie, not copied.
pub const VECTORED_BODY: usize = 16 * 1024;
/// File descriptors that connections leave to the store and to what the process has open besides: some 16
/// segments ([`SEGMENTS_OPEN`]), 64 tables ([`CHECKPOINT_FILES`]), journals, listeners.
pub const FILES_RESERVED: usize = 128;
/// Connections waiting for login or open, together with all others.
pub const CONNECTIONS_DEFAULT: usize = 16_384;
/// Bytes that the routes a connection remembers may take, about; forgotten when it is more. Some ten thousand.
pub const ROUTE_CACHE: usize = 2 * 1024 * 1024;

// ---- One channel ---------------------------------------------------------------------------------

/// Bytes a transaction may hold back before commit.
pub const TRANSACTION_BYTES: usize = 256 * 1024 * 1024;
/// Messages and acknowledgements a transaction may hold back before commit.
pub const TRANSACTION_ITEMS: usize = 1_000_000;

/// How often, at most, a connection wakes up to see whether a delivery is overdue that it had not got when it
/// looked last; so a consumer timeout below this is as long as this.
pub const CONSUMER_TIMEOUT_STEP: Duration = Duration::from_millis(100);

// ---- Firehose and events -------------------------------------------------------------------------

/// Properties of a message that the broker itself publishes, at most: what fits one content header frame (12
/// octets are class, weight and body size) of a client that took the frame size we offer. They show the
/// properties and the queues of a client's message, which may have been as large.
pub const NOTICE_PROPERTIES: usize = (FRAME_MAX_DEFAULT - FRAME_OVERHEAD - 12) as usize;

/// Events that wait for the end of a turn; what is beyond is lost. A turn makes at most a few for each frame it
/// reads, and the largest, the end of a connection, one for each channel, consumer and exclusive queue.
pub const EVENTS_PENDING: usize = 65_536;

// ---- Dead letters --------------------------------------------------------------------------------

/// Properties of a message beyond which its history of deaths does not grow: what fits one content header
/// frame (12 octets are class, weight and body size) of a client that took the frame size we offer. One death
/// is some 100 octets and the routing keys; RabbitMQ has no bound.
pub const DEAD_LETTER_PROPERTIES: usize = (FRAME_MAX_DEFAULT - FRAME_OVERHEAD - 12) as usize;
/// Deaths in the history of a message, each of another queue or for another reason. With eight fields and
/// routing keys each they stay below `TABLE_FIELDS_MAX`, so that the message can be published again.
pub const DEATHS_KEPT: usize = 256;

// ---- Queues and the log --------------------------------------------------------------------------

/// Bytes one `x-recent-history` exchange keeps, whatever length it was declared with: four messages of the largest
/// default size, or the usual twenty of 3 MiB each.
pub const HISTORY_BYTES: usize = 64 * 1024 * 1024;
/// What a remembered message costs beside its own octets.
pub const HISTORY_ENTRY_BYTES: usize = 128;
/// Deliveries after which dispatch lets go of the queue's lock.
pub const DISPATCH_BURST: usize = 256;
/// Messages that expire under one hold of the queue's lock, and after which a turn of the timer is over. A dead
/// letter takes a microsecond or two, so others wait for a few milliseconds.
pub const EXPIRY_BURST: usize = 1024;
/// Queues that are looked at in one turn of the timer.
pub const TIMER_BURST: usize = 256;
/// Bytes of messages that are not collected, of all queues, above which the timer goes on only after a commit: what
/// dead letters leave of [`UNSAVED_BYTES`] is the publishers'.
pub const TIMER_UNSAVED_BYTES: usize = UNSAVED_BYTES / 4;
/// Longest delay a message may ask of an exchange, ms: as long as its `expiration` may be.
pub const DELAY_MAX_MS: u64 = 315_360_000_000;
/// Dead letters that are placed under one hold of the collection gate, except those of a transaction.
pub const DEAD_LETTER_BURST: usize = 256;
/// How long a quorum queue that dead-letters at least once waits before it tries again, ms.
pub const DEAD_LETTER_RETRY_MS: u64 = 5_000;
/// Bytes of messages all queues hold that the committer has not collected; above it publishers wait.
pub const UNSAVED_BYTES: usize = 64 * 1024 * 1024;
/// How long changes nobody waits for may stay uncollected, so that inserts and acks meet and cancel.
pub const LINGER: Duration = Duration::from_millis(50);
/// Unsaved bytes that end the linger early.
pub const LINGER_BYTES: usize = 1024 * 1024;
/// A segment of the log. Preallocated, recycled by rename.
pub const SEGMENT: u64 = 32 * 1024 * 1024;
/// Free disk space below which publishers are not read, unless configured otherwise. What they have sent
/// already (`UNSAVED_BYTES`) still fits, and then acknowledgements, which are what makes space again.
pub const DISK_FREE_LIMIT: u64 = UNSAVED_BYTES as u64 + 2 * SEGMENT;
/// Memory above which publishers are not read, percent of what the machine or the container has (RabbitMQ 3's
/// `vm_memory_high_watermark`).
pub const MEMORY_HIGH_WATERMARK_PERCENT: u64 = 40;
/// How often it is looked whether a client that is held back by an alarm has hung up.
pub const BLOCKED_INTERVAL: Duration = Duration::from_secs(1);
/// How often the process's memory is looked at.
pub const MEMORY_INTERVAL: Duration = Duration::from_millis(250);
/// How often the free space is looked at while nothing new is begun on disk.
pub const SPACE_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of durable messages that all queues together keep in memory, unless configured.
pub const RESIDENT_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of messages that are in no log which all queues together keep in memory, unless configured.
pub const TRANSIENT_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of messages that are spilled with one write, and read again with one read; at least one message is.
pub const SPILL_EXTENT: usize = 1024 * 1024;
/// Bytes that are worth a write of their own while others may be found: a few messages that came back to their
/// places are not.
pub const SPILL_LEAST: usize = 64 * 1024;
/// What expires within this time is not spilled: it goes by itself, and would only be read again for that, ms.
pub const SPILL_EXPIRES_MS: u64 = 5_000;
/// Bytes that are spilled before the page thread looks who wants something read: some ten milliseconds of a disk's time.
pub const SPILL_BURST: usize = 8 * SPILL_EXTENT;
/// Bytes of a file of spilled messages, or one message. It goes when the last of them has gone.
pub const SPILL_FILE: u64 = 16 * 1024 * 1024;
/// Bytes these files may take up beyond twice what lives in them, before the sparsest are moved together.
pub const SPILL_SLACK: u64 = 4 * SPILL_FILE;
/// Bytes that are moved before the page thread does something else.
pub const SPILL_MOVE: u64 = 4 * 1024 * 1024;
/// Time after which too much in memory of which nothing could be spilled is looked at again.
pub const SPILL_PAUSE: Duration = Duration::from_millis(100);
/// Such files that are kept open.
pub const SPILL_FILES_OPEN: usize = 4;
/// Bytes that are counted for a message in memory besides its own.
pub const ENTRY_OVERHEAD: usize = 128;
/// Most messages in a stretch that leaves memory together.
pub const STRETCH_ENTRIES: usize = 1024;
/// Most bytes of their bodies, but for the last of them.
pub const STRETCH_BYTES: usize = 1024 * 1024;
/// Bytes of unacknowledged messages that a channel keeps in memory, as far as they are on disk as well.
pub const LENT_BYTES: usize = 1024 * 1024;
/// Bytes of the log that are read at once for a queue; at least one message is.
pub const PAGE_IN_BYTES: u64 = 1024 * 1024;
/// Time after which too much in memory is looked at again of which nothing could leave.
pub const PAGE_OUT_PAUSE: Duration = Duration::from_millis(10);
/// Time after which a start that takes long says how far it is.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Damages that are remembered, to be told once each.
pub const DAMAGES_KEPT: usize = 1024;
/// Most messages that leave memory under one hold of a queue's lock.
pub const PAGE_OUT_BURST: usize = 1024;
/// Messages at the front of a queue below which it asks for more, and that stay when others leave memory.
pub const AT_HAND_LOW: usize = 1024;
/// The same in bytes, with what is kept about them; at least one message counts. Less if so many queues have something
/// stored that is in demand that twice as much for each is more than may be in memory: a queue reads as much again.
pub const AT_HAND_BYTES: usize = 1024 * 1024;
/// But not less than this, however many queues there are: ten thousand of them keep up to 320 MiB at hand.
pub const AT_HAND_LEAST: usize = 16 * 1024;

/// Recycled segments kept ready.
pub const SEGMENT_POOL: usize = 4;
/// Payload after which the committer ends a frame and starts another of the same batch.
pub const FRAME_TARGET: usize = 1024 * 1024;
/// Log bytes after which a checkpoint is due.
pub const CHECKPOINT_BYTES: u64 = 64 * 1024 * 1024;
/// Time after which a checkpoint is due if anything changed.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes the segments may take up beyond twice what lives in them, before sparse ones are moved together. Room for
/// what comes between two checkpoints, which is not looked at, twice over.
pub const RECLAIM_SLACK: u64 = 8 * SEGMENT;
/// Bytes of messages that are moved in one commit cycle, or one message: some milliseconds of a disk's time. A cycle
/// that writes more itself moves as much again: mixed thinly with what will soon be gone, it would be moved again.
pub const FORWARD_PORTION: u64 = 1024 * 1024;
/// As many at most, however much a cycle writes.
pub const FORWARD_PORTION_MOST: u64 = 8 * 1024 * 1024;
/// Chunks of the index looked at under one hold of the lock that the commit thread needs, to find what lives in a
/// segment, and how many of them are read, perhaps from disk: well below a millisecond.
pub const FORWARD_LOOKS: usize = 4096;
/// See [`FORWARD_LOOKS`].
pub const FORWARD_READS: usize = 8;
/// Index entries in one checkpoint chunk: positions that share all but their low ten bits.
pub const INDEX_CHUNK: u64 = 1024;
/// Chunks whose summaries are one value of the checkpoint: 256 are some 6 KiB, and forty values are ten million entries.
pub const INDEX_PAGE: u64 = 256;
/// Index entries of all queues kept in memory; the others are read when they are needed. 24 octets each: 6 MiB.
pub const INDEX_WARM_SLOTS: usize = 256 * 1024;
/// Changed index entries in memory after which a checkpoint is due. Only a checkpoint lets them go, and 64 MiB of
/// log may be 1.6 million tiny messages.
pub const INDEX_CHANGED_SLOTS: usize = 256 * 1024;

// ---- Users ---------------------------------------------------------------------------------------

/// Memory one compiled permission pattern may take. RabbitMQ's own defaults take under 1 KiB; a
/// pattern that needs more than this is a mistake or an attack.
pub const PERMISSION_PATTERN_BYTES: usize = 1024 * 1024;
/// Segments whose files are kept open for reading. A backlog of any length is read with this many.
pub const SEGMENTS_OPEN: usize = 16;

// ---- Policies ------------------------------------------------------------------------------------

/// Octets in a policy's pattern (RabbitMQ 4.3's `max_pattern_length`).
pub const POLICY_PATTERN_LENGTH: usize = 1024;
/// Memory one compiled pattern of a policy may take, as for permissions.
pub const POLICY_PATTERN_BYTES: usize = PERMISSION_PATTERN_BYTES;

// ---- The checkpoint's database -------------------------------------------------------------------

/// Changes the database holds in memory before it writes them into a table.
pub const CHECKPOINT_MEMTABLE: u64 = 8 * 1024 * 1024;
/// Its journals together; the least it accepts. Only a checkpoint writes there, so this is some ten
/// checkpoints of the largest kind.
pub const CHECKPOINT_JOURNAL: u64 = 64 * 1024 * 1024;
/// Blocks of its tables kept in memory.
pub const CHECKPOINT_CACHE: u64 = 4 * 1024 * 1024;
/// Free space without which it is not opened again after a failed write: its new journal and a table.
pub const CHECKPOINT_REOPEN_SPACE: u64 = 2 * CHECKPOINT_MEMTABLE;
/// Its table files kept open.
pub const CHECKPOINT_FILES: usize = 64;

// ---- Durability ----------------------------------------------------------------------------------

/// How long what was written may stay unsynced when nobody waits for it.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(200);
/// How often an idle committer looks for housekeeping.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(1);
/// How often a write that found the disk full is tried again.
pub const DISK_FULL_RETRY: Duration = Duration::from_millis(500);
/// One read of recovery: messages that lie together are read together.
pub const RECOVERY_READ: u32 = 1024 * 1024;
/// Bytes between two messages that are rather read than skipped.
pub const RECOVERY_GAP: u32 = 64 * 1024;

// ---- The control socket --------------------------------------------------------------------------

/// Octets of one request: a path of the longest kind, escaped.
pub const CONTROL_LINE: u64 = 32 * 1024;
/// How long a request may take to arrive, and an answer to leave.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections at the same time. One may wait for a backup.
pub const CONTROL_PEERS: usize = 8;
/// After a failed accept: let others end before the next try.
pub const CONTROL_BACK_OFF: Duration = Duration::from_millis(100);
