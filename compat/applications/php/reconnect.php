<?php

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPIOException;
use PhpAmqpLib\Message\AMQPMessage;

const READINGS = 'compat.php.readings';

/**
 * Reads from a durable queue over a restart of the broker. The library does not reconnect by itself: it
 * throws when the connection is lost, and we connect until somebody answers.
 */
function outlive_restart(): string
{
    [$channel, $deliveries] = open_station();
    store($channel, 'before the restart');
    expect('reading', read($channel, $deliveries), 'before the restart');
    store($channel, 'meanwhile');
    ask_for_restart();

    wait_for_end($channel);
    [$channel, $deliveries] = open_station();
    expect('reading', read($channel, $deliveries), 'meanwhile');
    store($channel, 'after the restart');
    expect('reading', read($channel, $deliveries), 'after the restart');
    $channel->queue_delete(READINGS);
    $channel->getConnection()->close();
    return 'restart: connection lost, connected again, nothing stored was lost';
}

/** Connects when the broker is there, and sets up what we need. */
function open_station(): array
{
    $channel = connect_again()->channel();
    $channel->confirm_select();
    $channel->set_nack_handler(function (AMQPMessage $message) {
        throw new RuntimeException('refused: ' . $message->getBody());
    });
    $channel->queue_declare(READINGS, false, true, false, false);
    $channel->basic_qos(0, 1, false);
    return [$channel, consume($channel, READINGS, false)];
}

function connect_again()
{
    $deadline = time() + 60;
    while (true) {
        try {
            return connect();
        } catch (AMQPIOException | AMQPConnectionClosedException $failure) {
            if (time() > $deadline) {
                throw $failure;
            }
            usleep(100000);
        }
    }
}

/** Publishes a message that survives a restart, and returns when the broker has it. */
function store(AMQPChannel $channel, string $body): void
{
    publish($channel, '', READINGS, $body, ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT]);
    $channel->wait_for_pending_acks(PATIENCE);
}

function read(AMQPChannel $channel, ArrayObject $deliveries): string
{
    $delivery = take($channel, $deliveries);
    $delivery->ack();
    return $delivery->getBody();
}

function wait_for_end(AMQPChannel $channel): void
{
    try {
        while (true) {
            $channel->wait(null, false, PATIENCE);
        }
    } catch (AMQPConnectionClosedException | AMQPIOException $end) {
        return;
    }
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
