<?php
// A tour of php-amqplib against whatever broker AMQP_URL names.
//
// Every part has its own channel, checks what it was promised and returns a line about it.

require_once 'PhpAmqpLib/autoload.php';
require_once __DIR__ . '/work_queue.php';
require_once __DIR__ . '/publishing.php';
require_once __DIR__ . '/routing.php';
require_once __DIR__ . '/requests.php';
require_once __DIR__ . '/reconnect.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const PATIENCE = 10; // seconds for anything the broker owes us

function connect(): AMQPStreamConnection
{
    $url = parse_url(getenv('AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/%2F');
    $vhost = urldecode(substr($url['path'], 1));
    return new AMQPStreamConnection($url['host'], $url['port'], $url['user'], $url['pass'], $vhost);
}

function expect(string $what, $got, $wanted): void
{
    if ($got !== $wanted) {
        throw new RuntimeException("$what: got " . json_encode($got) . ', wanted ' . json_encode($wanted));
    }
}

/** A queue that goes with our connection; without a name, the broker chooses one. */
function declare_queue(AMQPChannel $channel, array $arguments = [], string $name = ''): string
{
    return $channel->queue_declare($name, false, false, true, true, false, new AMQPTable($arguments))[0];
}

function publish(AMQPChannel $channel, string $exchange, string $key, string $body, array $properties = []): void
{
    $channel->basic_publish(new AMQPMessage($body, $properties), $exchange, $key);
}

/** Consumes into an ArrayObject, from which `take` takes one by one. */
function consume(AMQPChannel $channel, string $queue, bool $no_ack): ArrayObject
{
    $deliveries = new ArrayObject();
    $channel->basic_consume($queue, '', false, $no_ack, false, false, [$deliveries, 'append']);
    return $deliveries;
}

function take(AMQPChannel $channel, ArrayObject $deliveries): AMQPMessage
{
    while (count($deliveries) === 0) {
        $channel->wait(null, false, PATIENCE); // throws when there is nothing within that time
    }
    $messages = $deliveries->getArrayCopy();
    $message = array_shift($messages);
    $deliveries->exchangeArray($messages);
    return $message;
}

function messages_in(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, true)[1];
}

$parts = ['share_work', 'confirm_publishing', 'refuse_when_full', 'return_unroutable', 'commit_together',
    'subscribe_by_topic', 'retry_later', 'answer_requests', 'notice_deleted_queue'];
$connection = connect();
foreach ($parts as $part) {
    $channel = $connection->channel();
    echo $part($channel), "\n";
    $channel->close();
}
$connection->close();
echo outlive_restart(), "\n";
