<?php

/** Lets two queues choose from one stream of log lines. */
function subscribe_by_topic(AMQPChannel $channel): string
{
    $logs = new AMQPExchange($channel);
    $logs->setName('compat.php_amqp.logs');
    $logs->setType(AMQP_EX_TYPE_TOPIC);
    $logs->setFlags(AMQP_AUTODELETE);
    $logs->declareExchange();
    [$errors, $kernel] = [declare_queue($channel), declare_queue($channel)];
    $errors->bind($logs->getName(), '*.error');
    $kernel->bind($logs->getName(), 'kernel.#');
    foreach (['kernel.error', 'kernel.info.boot', 'mail.error', 'mail.info'] as $key) {
        $logs->publish($key, $key);
    }

    $line = 'topic:';
    foreach ([$errors, $errors, $kernel, $kernel] as $queue) {
        $line .= ' ' . $queue->get(AMQP_AUTOACK)->getRoutingKey();
    }
    return $line;
}

/**
 * Rejects an order twice. Each time it waits in a second queue until it expires there and comes back; the
 * third attempt reads in its x-death header what has happened to it.
 */
function retry_later(AMQPChannel $channel): string
{
    [$orders_name, $later] = ['compat.php_amqp.orders', 'compat.php_amqp.orders.later'];
    $orders = declare_queue($channel, ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $later],
        $orders_name);
    declare_queue($channel, ['x-message-ttl' => 50, 'x-dead-letter-exchange' => '',
        'x-dead-letter-routing-key' => $orders_name], $later);
    publish($orders, 'order 7');

    $orders->reject(take($orders)->getDeliveryTag());
    $orders->reject(take($orders)->getDeliveryTag());
    $third = take($orders);
    $orders->ack($third->getDeliveryTag());
    $line = 'dead letters: ' . $third->getBody();
    foreach ($third->getHeader('x-death') as $death) {
        $line .= ", {$death['reason']} {$death['count']} times from {$death['queue']}";
    }
    return $line;
}
