require "socket"

module Recovery
  # Consumes from a durable queue and from a queue of its own over a restart of the broker. Bunny connects
  # again, declares and binds our own queue anew, under a new name, and subscribes to both.
  def self.outlive_restart(channel)
    channel.confirm_select
    readings = channel.queue("compat.ruby.readings", durable: true)
    weather = channel.queue("", exclusive: true).bind("amq.topic", routing_key: "weather.#")
    stored, heard, recovered = Array.new(3) { Queue.new }
    readings.subscribe { |_delivery, _properties, body| stored << body }
    weather.subscribe { |_delivery, _properties, body| heard << body }
    channel.connection.after_recovery_completed { recovered << true }
    publish_both(channel, readings, "before")
    expect("before", [take(stored), take(heard)], %w[before before])

    ask_for_restart

    take(recovered)
    publish_both(channel, readings, "after")
    expect("after", [take(stored), take(heard)], %w[after after])
    readings.delete
    "restart: recovered by itself, both consumers go on"
  end

  def self.publish_both(channel, readings, body)
    confirmed(channel) { readings.publish(body, persistent: true) }
    confirmed(channel) { channel.topic("amq.topic", durable: true).publish(body, routing_key: "weather.wind") }
  end

  # One by one: after a recovery, Bunny 2.19 waits for ever if one ack stands for several messages.
  def self.confirmed(channel)
    yield
    expect("accepted", channel.wait_for_confirms, true)
  end

  # Has the compatibility harness restart the broker. Of all this program it is the only part that is
  # not a user's.
  def self.ask_for_restart
    UNIXSocket.open(ENV.fetch("COMPAT_CONTROL")) do |harness|
      harness.puts("restart")
      expect("the harness", harness.gets, "ok\n")
    end
  end
end
