<?php

use PhpAmqpLib\Channel\AMQPChannel;

/**
 * Gives ten tasks to two workers with a prefetch of one. The slow worker holds its first task until the
 * quick one has done all others, so it must not have been given a second.
 */
function share_work(AMQPChannel $channel): string
{
    $queue = declare_queue($channel);
    $channel->basic_qos(0, 1, false); // for each new consumer
    $slow = consume($channel, $queue, false);
    $quick = consume($channel, $queue, false);
    for ($task = 1; $task <= 10; $task++) {
        publish($channel, '', $queue, "task $task");
    }

    $held = take($channel, $slow);
    $failed = take($channel, $quick);
    $failed->nack(true); // to be tried again
    $again = take($channel, $quick);
    expect('handed back', $again->getBody(), $failed->getBody());
    expect('redelivered', $again->isRedelivered(), true);
    $again->ack();
    for ($done = 1; $done < 9; $done++) {
        take($channel, $quick)->ack();
    }
    $held->ack();
    expect('left in the queue', messages_in($channel, $queue), 0);
    expect('more for the slow worker', count($slow), 0);
    return 'work queue: the slow worker did 1 task, the quick one 9, one of them at the second attempt';
}
