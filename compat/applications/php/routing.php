<?php

use PhpAmqpLib\Channel\AMQPChannel;

/** Lets two queues choose from one stream of log lines. */
function subscribe_by_topic(AMQPChannel $channel): string
{
    $exchange = 'compat.php.logs';
    $channel->exchange_declare($exchange, 'topic', false, false, true);
    $errors = declare_queue($channel);
    $kernel = declare_queue($channel);
    $channel->queue_bind($errors, $exchange, '*.error');
    $channel->queue_bind($kernel, $exchange, 'kernel.#');
    foreach (['kernel.error', 'kernel.info.boot', 'mail.error', 'mail.info'] as $key) {
        publish($channel, $exchange, $key, $key);
    }

    $line = 'topic:';
    foreach ([$errors, $kernel] as $queue) {
        $deliveries = consume($channel, $queue, true);
        $line .= ' ' . take($channel, $deliveries)->getRoutingKey();
        $line .= ' ' . take($channel, $deliveries)->getRoutingKey();
    }
    return $line;
}

/**
 * Rejects an order twice. Each time it waits in a second queue until it expires there and comes back; the
 * third attempt reads in its x-death header what has happened to it.
 */
function retry_later(AMQPChannel $channel): string
{
    [$orders, $later] = ['compat.php.orders', 'compat.php.orders.later'];
    declare_queue($channel, ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $later], $orders);
    declare_queue($channel, ['x-message-ttl' => 50, 'x-dead-letter-exchange' => '',
        'x-dead-letter-routing-key' => $orders], $later);
    $attempts = consume($channel, $orders, false);
    publish($channel, '', $orders, 'order 7');

    take($channel, $attempts)->reject(false);
    take($channel, $attempts)->reject(false);
    $third = take($channel, $attempts);
    $third->ack();
    $line = 'dead letters: ' . $third->getBody();
    foreach ($third->get('application_headers')->getNativeData()['x-death'] as $death) {
        $line .= ", {$death['reason']} {$death['count']} times from {$death['queue']}";
    }
    return $line;
}
