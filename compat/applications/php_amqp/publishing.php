<?php

/** Waits until the broker has taken responsibility for every message. */
function confirm_publishing(AMQPChannel $channel): string
{
    [$accepted, $refused] = publish_confirmed(declare_queue($channel), 100);
    expect('accepted and refused', [$accepted, $refused], [100, 0]);
    return "confirms: $accepted messages accepted";
}

/** Has the broker refuse what does not fit instead of dropping the oldest. */
function refuse_when_full(AMQPChannel $channel): string
{
    $queue = declare_queue($channel, ['x-max-length' => 2, 'x-overflow' => 'reject-publish']);
    [$accepted, $refused] = publish_confirmed($queue, 3);
    expect('accepted and refused', [$accepted, $refused], [2, 1]);
    return "full queue: $accepted messages accepted, the third refused";
}

function publish_confirmed(AMQPQueue $queue, int $messages): array
{
    $accepted = $refused = 0; // up to these tags
    $channel = $queue->getChannel();
    $channel->setConfirmCallback(
        function (int $tag, bool $multiple) use (&$accepted, &$refused, $messages) {
            $accepted = $multiple ? $tag - $refused : $accepted + 1;
            return $accepted + $refused < $messages;
        },
        function (int $tag, bool $multiple, bool $requeue) use (&$accepted, &$refused, $messages) {
            $refused = $multiple ? $tag - $accepted : $refused + 1;
            return $accepted + $refused < $messages;
        }
    );
    $channel->confirmSelect();
    for ($message = 1; $message <= $messages; $message++) {
        publish($queue, "message $message");
    }
    $channel->waitForConfirm(PATIENCE);
    return [$accepted, $refused];
}

/** Gets back a mandatory message that no queue wants. */
function return_unroutable(AMQPChannel $channel): string
{
    $line = '';
    $channel->setReturnCallback(function ($code, $text, $exchange, $key, $properties, $body) use (&$line) {
        expect('returned', [$key, $body], ['compat.nobody', 'hello?']);
        $line = "mandatory: returned with $code $text from $exchange";
        return false; // enough for now
    });
    $exchange = new AMQPExchange($channel);
    $exchange->setName('amq.direct');
    $exchange->publish('hello?', 'compat.nobody', AMQP_MANDATORY);
    $channel->waitForBasicReturn(PATIENCE);
    return $line;
}

/** Publishes in transactions: one that is rolled back and one that is committed. */
function commit_together(AMQPChannel $channel): string
{
    $ledger = declare_queue($channel);
    $channel->startTransaction();
    publish($ledger, 'a slip of the pen');
    $channel->rollbackTransaction();
    publish($ledger, 'debit 5');
    publish($ledger, 'credit 5');
    $channel->commitTransaction();
    $entries = [$ledger->get()->getBody(), $ledger->get()->getBody()];
    expect('in the ledger', [$entries, $ledger->get()], [['debit 5', 'credit 5'], false]);
    return 'transaction: 2 messages after a rollback of 1 and a commit of 2';
}
