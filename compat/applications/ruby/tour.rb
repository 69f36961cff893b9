# A tour of Bunny against whatever broker AMQP_URL names.
#
# Every part has its own channel, checks what it was promised and returns a line about it.

require "bunny"
require "timeout"
require_relative "work_queue"
require_relative "publishing"
require_relative "routing"
require_relative "requests"
require_relative "recovery"

PATIENCE = 10 # seconds for anything the broker owes us

def expect(what, got, wanted)
  raise "#{what}: got #{got.inspect}, wanted #{wanted.inspect}" unless got == wanted
end

# What comes into a Ruby queue from Bunny's threads, one by one.
def take(queue)
  Timeout.timeout(PATIENCE) { queue.pop }
end

def connect
  url = ENV.fetch("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")
  Bunny.new(url, network_recovery_interval: 0.1, log_level: :fatal).start
end

PARTS = [WorkQueue.method(:share), Publishing.method(:confirm), Publishing.method(:refuse_when_full),
         Publishing.method(:return_unroutable), Publishing.method(:commit_together),
         Routing.method(:subscribe_by_topic), Routing.method(:retry_later),
         Requests.method(:answer), Requests.method(:notice_deleted_queue), Recovery.method(:outlive_restart)]

Thread.abort_on_exception = true
$stdout.sync = true
connection = connect
PARTS.each do |part|
  channel = connection.create_channel
  puts part.call(channel)
  channel.close
end
connection.close
