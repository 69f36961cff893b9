<?php
// A tour of php-amqp, the extension on top of librabbitmq, against whatever broker AMQP_URL names.
//
// Every part has its own channel, checks what it was promised and returns a line about it.

require_once __DIR__ . '/publishing.php';
require_once __DIR__ . '/routing.php';
require_once __DIR__ . '/reconnect.php';

const PATIENCE = 10; // seconds for anything the broker owes us

function connect(): AMQPConnection
{
    $url = parse_url(getenv('AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/%2F');
    $connection = new AMQPConnection(['host' => $url['host'], 'port' => $url['port'], 'login' => $url['user'],
        'password' => $url['pass'], 'vhost' => urldecode(substr($url['path'], 1)),
        'read_timeout' => PATIENCE, 'rpc_timeout' => PATIENCE]);
    $connection->connect();
    return $connection;
}

function expect(string $what, $got, $wanted): void
{
    if ($got !== $wanted) {
        throw new RuntimeException("$what: got " . json_encode($got) . ', wanted ' . json_encode($wanted));
    }
}

/** A queue that goes with our connection; without a name, the broker chooses one. */
function declare_queue(AMQPChannel $channel, array $arguments = [], string $name = ''): AMQPQueue
{
    $queue = new AMQPQueue($channel);
    if ($name !== '') {
        $queue->setName($name);
    }
    $queue->setFlags(AMQP_EXCLUSIVE);
    $queue->setArguments($arguments);
    $queue->declareQueue();
    return $queue;
}

/** Publishes to a queue by its name. */
function publish(AMQPQueue $queue, string $body, array $properties = []): void
{
    $everybody = new AMQPExchange($queue->getChannel());
    $everybody->publish($body, $queue->getName(), AMQP_NOPARAM, $properties);
}

/** The next message; throws AMQPQueueException when there is none within the connection's read_timeout. */
function take(AMQPQueue $queue, int $flags = AMQP_NOPARAM): AMQPEnvelope
{
    $taken = null;
    $queue->consume(function (AMQPEnvelope $message) use (&$taken) {
        $taken = $message;
        return false; // enough for now
    }, $flags);
    $queue->cancel($queue->getConsumerTag());
    return $taken;
}

/** Consumes ten tasks one by one; the first fails once and is tried again. */
function share_work(AMQPChannel $channel): string
{
    $channel->setPrefetchCount(1);
    $queue = declare_queue($channel);
    for ($task = 1; $task <= 10; $task++) {
        publish($queue, "task $task");
    }
    $done = [];
    $queue->consume(function (AMQPEnvelope $task) use ($queue, &$done) {
        if ($task->getBody() === 'task 1' && !$task->isRedelivery()) {
            $queue->nack($task->getDeliveryTag(), AMQP_REQUEUE);
            return true;
        }
        $done[] = $task->getBody();
        $queue->ack($task->getDeliveryTag());
        return count($done) < 10;
    });
    expect('done', $done, array_map(fn ($task) => "task $task", range(1, 10)));
    return 'work queue: ' . count($done) . ' tasks done, in order though the first was tried twice';
}

/** Asks for a Fibonacci number and gets the answer by direct reply-to, without a queue for replies. */
function answer_requests(AMQPChannel $channel): string
{
    $requests = declare_queue($channel);
    $replies = new AMQPQueue($channel);
    $replies->setName('amq.rabbitmq.reply-to');
    $replies->consume(null, AMQP_AUTOACK);
    publish($requests, '20', ['correlation_id' => '1', 'reply_to' => 'amq.rabbitmq.reply-to']);

    $server = new AMQPChannel($channel->getConnection());
    $everybody = new AMQPExchange($server);
    $request = $requests->get(AMQP_AUTOACK);
    $properties = ['correlation_id' => $request->getCorrelationId()];
    $answer = (string) fibonacci((int) $request->getBody());
    $everybody->publish($answer, $request->getReplyTo(), AMQP_NOPARAM, $properties);

    $reply = take($replies, AMQP_JUST_CONSUME);
    expect('reply', [$reply->getCorrelationId(), $reply->getBody()], ['1', '6765']);
    return 'rpc: fib(20) = ' . $reply->getBody();
}

function fibonacci(int $number): int
{
    return $number < 2 ? $number : fibonacci($number - 1) + fibonacci($number - 2);
}

$parts = ['share_work', 'confirm_publishing', 'refuse_when_full', 'return_unroutable', 'commit_together',
    'subscribe_by_topic', 'retry_later', 'answer_requests'];
$connection = connect();
foreach ($parts as $part) {
    $channel = new AMQPChannel($connection);
    echo $part($channel), "\n";
    $channel->close();
}
$connection->disconnect();
echo outlive_restart(), "\n";
