<?php

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Message\AMQPMessage;

/** Waits until the broker has taken responsibility for every message. */
function confirm_publishing(AMQPChannel $channel): string
{
    [$accepted, $refused] = publish_confirmed($channel, declare_queue($channel), 100);
    expect('refused', $refused, []);
    expect('accepted', count($accepted), 100);
    return 'confirms: 100 messages accepted';
}

/** Has the broker refuse what does not fit instead of dropping the oldest. */
function refuse_when_full(AMQPChannel $channel): string
{
    $queue = declare_queue($channel, ['x-max-length' => 2, 'x-overflow' => 'reject-publish']);
    [$accepted, $refused] = publish_confirmed($channel, $queue, 3);
    expect('refused', $refused, ['message 3']);
    return 'full queue: ' . count($accepted) . ' messages accepted, the third refused';
}

function publish_confirmed(AMQPChannel $channel, string $queue, int $messages): array
{
    $accepted = $refused = [];
    $channel->set_ack_handler(function (AMQPMessage $message) use (&$accepted) {
        $accepted[] = $message->getBody();
    });
    $channel->set_nack_handler(function (AMQPMessage $message) use (&$refused) {
        $refused[] = $message->getBody();
    });
    $channel->confirm_select();
    for ($message = 1; $message <= $messages; $message++) {
        publish($channel, '', $queue, "message $message");
    }
    $channel->wait_for_pending_acks(PATIENCE);
    return [$accepted, $refused];
}

/** Gets back a mandatory message that no queue wants, before its confirmation. */
function return_unroutable(AMQPChannel $channel): string
{
    $returned = [];
    $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$returned) {
        $returned = [$code, $text, $exchange, $key, $message->getBody()];
    });
    $channel->confirm_select();
    $channel->basic_publish(new AMQPMessage('hello?'), 'amq.direct', 'compat.nobody', true);
    $channel->wait_for_pending_acks_returns(PATIENCE);
    [$code, $text, $exchange, $key, $body] = $returned;
    expect('returned', [$key, $body], ['compat.nobody', 'hello?']);
    return "mandatory: returned with $code $text from $exchange";
}

/** Publishes in transactions: one that is rolled back and one that is committed. */
function commit_together(AMQPChannel $channel): string
{
    $ledger = declare_queue($channel);
    $channel->tx_select();
    publish($channel, '', $ledger, 'a slip of the pen');
    $channel->tx_rollback();
    publish($channel, '', $ledger, 'debit 5');
    publish($channel, '', $ledger, 'credit 5');
    expect('before the commit', messages_in($channel, $ledger), 0);
    $channel->tx_commit();
    expect('in the ledger', messages_in($channel, $ledger), 2);
    return 'transaction: 2 messages after a rollback of 1 and a commit of 2';
}
