module Routing
  # Lets two queues choose from one stream of log lines.
  def self.subscribe_by_topic(channel)
    logs = channel.topic("compat.ruby.logs", auto_delete: true)
    errors = channel.queue("", exclusive: true).bind(logs, routing_key: "*.error")
    kernel = channel.queue("", exclusive: true).bind(logs, routing_key: "kernel.#")
    %w[kernel.error kernel.info.boot mail.error mail.info].each do |key|
      logs.publish(key, routing_key: key)
    end

    keys = Queue.new
    lines = [errors, kernel].flat_map do |queue|
      queue.subscribe { |delivery, _properties, _body| keys << delivery.routing_key }
      [take(keys), take(keys)]
    end
    "topic: #{lines.join(' ')}"
  end

  # Rejects an order twice. Each time it waits in a second queue until it expires there and comes
  # back; the third attempt reads in its x-death header what has happened to it.
  def self.retry_later(channel)
    orders = dead_lettering(channel, "compat.ruby.orders", "compat.ruby.orders.later")
    dead_lettering(channel, "compat.ruby.orders.later", "compat.ruby.orders", "x-message-ttl" => 50)
    attempts = Queue.new
    orders.subscribe(manual_ack: true) { |*delivery| attempts << delivery }
    orders.publish("order 7")

    2.times { channel.reject(take(attempts).first.delivery_tag) }
    third, properties, body = take(attempts)
    channel.ack(third.delivery_tag)
    deaths = properties.headers["x-death"].map do |death|
      "#{death['reason']} #{death['count']} times from #{death['queue']}"
    end
    "dead letters: #{[body, *deaths].join(', ')}"
  end

  def self.dead_lettering(channel, name, to, more = {})
    arguments = { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => to, **more }
    channel.queue(name, exclusive: true, arguments: arguments)
  end
end
