module Requests
  # Asks for a Fibonacci number and gets the answer by direct reply-to, without a queue for replies.
  def self.answer(channel)
    requests = channel.queue("", exclusive: true)
    requests.subscribe { |_delivery, properties, body| serve(channel, properties, body) }

    replies = Queue.new
    direct = channel.queue("amq.rabbitmq.reply-to", no_declare: true)
    direct.subscribe { |_delivery, properties, body| replies << [properties.correlation_id, body] }
    requests.publish("20", correlation_id: "1", reply_to: "amq.rabbitmq.reply-to")
    expect("reply", take(replies), %w[1 6765])
    "rpc: fib(20) = 6765"
  end

  def self.serve(channel, request, body)
    answer = fibonacci(body.to_i).to_s
    channel.default_exchange.publish(answer, routing_key: request.reply_to, correlation_id: request.correlation_id)
  end

  def self.fibonacci(number)
    number < 2 ? number : fibonacci(number - 1) + fibonacci(number - 2)
  end

  # Is told by the broker when a queue is deleted under its consumer.
  def self.notice_deleted_queue(channel)
    queue = channel.queue("", exclusive: true)
    cancelled = Queue.new
    watcher = Bunny::Consumer.new(channel, queue, "watcher")
    watcher.on_cancellation { |cancel| cancelled << cancel.consumer_tag }
    queue.subscribe_with(watcher)
    queue.delete
    "cancelled: consumer #{take(cancelled)} was told that its queue is gone"
  end
end
