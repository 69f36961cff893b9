# Stands in for Bundler in bunny's suite: Debian's Ruby has the libraries already, and the port must be told
# to the many tests that leave it to the default.

require "amq/protocol/client"

module Bundler
  def self.require(*)
    AMQ::Protocol.send(:remove_const, :DEFAULT_PORT)
    AMQ::Protocol.const_set(:DEFAULT_PORT, Integer(ENV.fetch("AMQP_PORT")))
  end
end
