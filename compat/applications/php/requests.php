<?php

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Exception\AMQPBasicCancelException;
use PhpAmqpLib\Message\AMQPMessage;

/** Asks for a Fibonacci number and gets the answer by direct reply-to, without a queue for replies. */
function answer_requests(AMQPChannel $channel): string
{
    $queue = declare_queue($channel);
    $channel->basic_consume($queue, '', false, true, false, false, 'serve');
    $replies = consume($channel, 'amq.rabbitmq.reply-to', true);
    publish($channel, '', $queue, '20', ['correlation_id' => '1', 'reply_to' => 'amq.rabbitmq.reply-to']);
    $reply = take($channel, $replies);
    expect('reply', [$reply->get('correlation_id'), $reply->getBody()], ['1', '6765']);
    return 'rpc: fib(20) = ' . $reply->getBody();
}

function serve(AMQPMessage $request): void
{
    $answer = (string) fibonacci((int) $request->getBody());
    $properties = ['correlation_id' => $request->get('correlation_id')];
    publish($request->getChannel(), '', $request->get('reply_to'), $answer, $properties);
}

function fibonacci(int $number): int
{
    return $number < 2 ? $number : fibonacci($number - 1) + fibonacci($number - 2);
}

/** Is told by the broker when a queue is deleted under its consumer. */
function notice_deleted_queue(AMQPChannel $channel): string
{
    $queue = declare_queue($channel);
    $channel->basic_consume($queue, 'watcher', false, true, false, false, 'expect');
    $channel->queue_delete($queue);
    try {
        $channel->wait(null, false, PATIENCE);
    } catch (AMQPBasicCancelException $cancelled) {
        return "cancelled: consumer {$cancelled->consumerTag} was told that its queue is gone";
    }
    throw new RuntimeException('something else came');
}
