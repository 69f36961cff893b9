<?php

/**
 * Reads from a durable queue over a restart of the broker. The extension does not reconnect by itself: it
 * throws when the connection is lost, and we connect until somebody answers.
 */
function outlive_restart(): string
{
    $readings = open_station();
    store($readings, 'before the restart');
    expect('reading', read_one($readings), 'before the restart');
    store($readings, 'meanwhile');
    ask_for_restart();

    try {
        take($readings);
        throw new RuntimeException('the connection was not lost');
    } catch (AMQPException $lost) {
        $readings = open_station();
    }
    expect('reading', read_one($readings), 'meanwhile');
    store($readings, 'after the restart');
    expect('reading', read_one($readings), 'after the restart');
    $readings->delete();
    return 'restart: connection lost, connected again, nothing stored was lost';
}

/** Connects when the broker is there, and declares what we need. */
function open_station(): AMQPQueue
{
    $channel = new AMQPChannel(connect_again());
    $channel->confirmSelect();
    $queue = new AMQPQueue($channel);
    $queue->setName('compat.php_amqp.readings');
    $queue->setFlags(AMQP_DURABLE);
    $queue->declareQueue();
    return $queue;
}

function connect_again(): AMQPConnection
{
    $deadline = time() + 60;
    while (true) {
        try {
            return connect();
        } catch (AMQPConnectionException $failure) {
            if (time() > $deadline) {
                throw $failure;
            }
            usleep(100000);
        }
    }
}

/** Publishes a message that survives a restart, and returns when the broker has it. */
function store(AMQPQueue $queue, string $body): void
{
    $accepted = function () {
        return false; // enough for now
    };
    $refused = function () use ($body) {
        throw new RuntimeException("refused: $body");
    };
    $queue->getChannel()->setConfirmCallback($accepted, $refused);
    publish($queue, $body, ['delivery_mode' => 2]);
    $queue->getChannel()->waitForConfirm(PATIENCE);
}

function read_one(AMQPQueue $queue): string
{
    $message = take($queue);
    $queue->ack($message->getDeliveryTag());
    return $message->getBody();
}

/**
 * Has the compatibility harness restart the broker. Of all this program it is the only part that is not a
 * user's.
 */
function ask_for_restart(): void
{
    $harness = stream_socket_client('unix://' . getenv('COMPAT_CONTROL'));
    fwrite($harness, "restart\n");
    expect('the harness', fgets($harness), "ok\n");
}
