"""Why tests that RabbitMQ passes cannot pass here: the frames of both, for README's list."""

UNKNOWN_EXCHANGE_TYPE = (
    "exchange.declare of an unknown type. RabbitMQ 3.10.8: `connection.close 503 COMMAND_INVALID - unknown exchange type "
    "'x'`; Leveret: `channel.close 406 PRECONDITION_FAILED - unknown exchange type 'x'`, as RabbitMQ 4")
STREAMS = (
    "queue.declare with `x-queue-type=stream`. RabbitMQ 3.10.8: `queue.declare-ok`; Leveret, which has no streams: "
    "`connection.close 540 NOT_IMPLEMENTED - queue type stream is not supported`")
