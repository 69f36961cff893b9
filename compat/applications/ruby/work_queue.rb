module WorkQueue
  # Gives ten tasks to two workers with a prefetch of one. The slow worker holds its first task until
  # the quick one has done all others, so it must not have been given a second.
  def self.share(channel)
    queue = channel.queue("", exclusive: true)
    channel.prefetch(1) # for each new consumer
    slow = work(queue)
    quick = work(queue)
    (1..10).each { |task| queue.publish("task #{task}") }

    held, = take(slow)
    failed, task = take(quick)
    channel.nack(failed.delivery_tag, false, true) # to be tried again
    again, same_task = take(quick)
    expect("handed back", same_task, task)
    expect("redelivered", again.redelivered?, true)
    channel.ack(again.delivery_tag)
    8.times { channel.ack(take(quick).first.delivery_tag) }
    channel.ack(held.delivery_tag)
    expect("left in the queue", queue.message_count, 0)
    expect("more for the slow worker", slow.size, 0)
    "work queue: the slow worker did 1 task, the quick one 9, one of them at the second attempt"
  end

  def self.work(queue)
    tasks = Queue.new
    queue.subscribe(manual_ack: true) { |delivery, _properties, body| tasks << [delivery, body] }
    tasks
  end
end
