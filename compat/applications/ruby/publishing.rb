module Publishing
  # Waits until the broker has taken responsibility for every message.
  def self.confirm(channel)
    queue = channel.queue("", exclusive: true)
    channel.confirm_select
    (1..100).each { |message| queue.publish("message #{message}") }
    expect("all accepted", channel.wait_for_confirms, true)
    expect("in the queue", queue.message_count, 100)
    "confirms: 100 messages accepted"
  end

  # Has the broker refuse what does not fit instead of dropping the oldest.
  def self.refuse_when_full(channel)
    limits = { "x-max-length" => 2, "x-overflow" => "reject-publish" }
    queue = channel.queue("", exclusive: true, arguments: limits)
    channel.confirm_select
    (1..3).each { |message| queue.publish("message #{message}") }
    expect("all accepted", channel.wait_for_confirms, false)
    expect("refused", channel.nacked_set.to_a, [3])
    "full queue: #{queue.message_count} messages accepted, the third refused"
  end

  # Gets back a mandatory message that no queue wants, before its confirmation.
  def self.return_unroutable(channel)
    returns = Queue.new
    exchange = channel.direct("amq.direct", durable: true)
    exchange.on_return { |reason, _properties, body| returns << [reason, body] }
    channel.confirm_select
    exchange.publish("hello?", routing_key: "compat.nobody", mandatory: true)
    expect("accepted", channel.wait_for_confirms, true)
    reason, body = take(returns)
    expect("body", body, "hello?")
    "mandatory: returned with #{reason.reply_code} #{reason.reply_text} from #{reason.exchange}"
  end

  # Publishes in transactions: one that is rolled back and one that is committed.
  def self.commit_together(channel)
    ledger = channel.queue("", exclusive: true)
    channel.tx_select
    ledger.publish("a slip of the pen")
    channel.tx_rollback
    ledger.publish("debit 5")
    ledger.publish("credit 5")
    expect("before the commit", ledger.message_count, 0)
    channel.tx_commit
    expect("in the ledger", ledger.message_count, 2)
    "transaction: #{ledger.message_count} messages after a rollback of 1 and a commit of 2"
  end
end
