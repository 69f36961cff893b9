//! `declares`: how long many durable queues take to declare, and how much memory each needs.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::connection::{Connection, unexpected};
use crate::bench::steps::report::Report;
use crate::bench::steps::{Task, bytes_each};
use crate::bench::wire::{Fields, Frame, HEARTBEAT, MethodId, MethodWriter, method};

const CHANNEL: u16 = 1;
const DURABLE: u8 = 1 << 1;

/// Declares the queues, and deletes them.
pub(super) fn run(task: &Task) -> Result<Report> {
    let names: Vec<_> = (0..task.queues).map(|number| format!("load.declares.{number}")).collect();
    let mut connection = Connection::open(&task.target)?;
    connection.open_channel(CHANNEL)?;
    // What an interrupted run left behind must not count in this one.
    delete(&mut connection, &names)?;
    let server = &task.server;
    let (before_mib, before_disk) = (server.settled_mib(), server.disk_mib());

    let declaring = declare(&mut connection, &names)?;
    let (after_mib, after_disk) = (server.settled_mib(), server.disk_mib());
    let deleting = delete(&mut connection, &names)?;
    connection.close()?;

    let mut report = Report::default();
    let each = |before, after| bytes_each(before, after, f64::from(task.queues));
    let (per_queue, disk_per_queue) = (each(before_mib, after_mib), each(before_disk, after_disk));
    report.add("queues", f64::from(task.queues));
    report.add("declare_seconds", declaring.as_secs_f64());
    report.add("delete_seconds", deleting.as_secs_f64());
    report.add_known("rss_before_mib", before_mib);
    report.add_known("rss_after_mib", after_mib);
    report.add_known("rss_per_queue_bytes", per_queue);
    report.add_known("disk_per_queue_bytes", disk_per_queue);
    report.add_known("rss_deleted_mib", server.settled_mib());
    Ok(report)
}

fn declare(connection: &mut Connection, names: &[String]) -> Result<Duration> {
    let request = |name: &String| {
        let declare = MethodWriter::new(CHANNEL, method::QUEUE_DECLARE).u16(0).short_string(name);
        declare.u8(DURABLE).u32(0).finish()
    };
    pipeline(connection, names, request, method::QUEUE_DECLARE_OK, |name, mut reply| {
        let (declared, ready) = (reply.short_string(), reply.u32());
        declared == Some(name.as_bytes()) && ready == Some(0)
    })
}

fn delete(connection: &mut Connection, names: &[String]) -> Result<Duration> {
    let request = |name: &String| {
        MethodWriter::new(CHANNEL, method::QUEUE_DELETE).u16(0).short_string(name).u8(0).finish()
    };
    pipeline(connection, names, request, method::QUEUE_DELETE_OK, |_, _| true)
}

/// Sends all requests at once and waits for as many replies, each of which must be right for its name.
fn pipeline(
    connection: &mut Connection,
    names: &[String],
    request: impl Fn(&String) -> Vec<u8>,
    reply: MethodId,
    is_right: impl Fn(&str, Fields) -> bool,
) -> Result<Duration> {
    let requests: Vec<u8> = names.iter().flat_map(request).collect();
    let mut writer = connection.stream.try_clone()?;
    let start = Instant::now();
    // Written beside the reading: a broker may stop to read when nobody takes its answers.
    thread::scope(|scope| {
        let writing = scope.spawn(move || writer.write_all(&requests));
        let replies = read_replies(connection, names, reply, is_right);
        let written = writing.join().map_err(|_| "a thread of the generator panicked")?;
        replies?;
        Ok(written?)
    })
    .map(|()| start.elapsed())
}

fn read_replies(
    connection: &mut Connection,
    names: &[String],
    reply: MethodId,
    is_right: impl Fn(&str, Fields) -> bool,
) -> Result<()> {
    let mut names = names.iter().peekable();
    while names.peek().is_some() {
        connection.inbound.fill(&mut connection.stream)?;
        while let Some((frame, length)) = Frame::first(connection.inbound.unread())? {
            match frame.method() {
                Some((id, fields)) if id == reply => {
                    let name = names.next().ok_or("more replies than requests")?;
                    if !is_right(name, fields) {
                        return Err(format!("the reply for {name} is wrong").into());
                    }
                }
                _ if frame.kind == HEARTBEAT => {}
                _ => return Err(unexpected(&frame)),
            }
            connection.inbound.consume(length);
        }
    }
    Ok(())
}
