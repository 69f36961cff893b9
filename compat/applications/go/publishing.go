package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// confirmPublishing waits until the broker has taken responsibility for every message.
func confirmPublishing(channel *amqp.Channel) string {
	const messages = 100
	queue := declare(channel, "", nil)
	accepted, refused := publishConfirmed(channel, queue.Name, messages)
	expect("accepted", accepted, messages)
	expect("refused", refused, 0)
	return fmt.Sprintf("confirms: %d messages accepted", accepted)
}

// refuseWhenFull has the broker refuse what does not fit instead of dropping the oldest.
func refuseWhenFull(channel *amqp.Channel) string {
	queue := declare(channel, "", amqp.Table{"x-max-length": 2, "x-overflow": "reject-publish"})
	accepted, refused := publishConfirmed(channel, queue.Name, 3)
	expect("refused", refused, 1)
	return fmt.Sprintf("full queue: %d messages accepted, %d refused", accepted, refused)
}

func publishConfirmed(channel *amqp.Channel, queue string, messages int) (accepted, refused int) {
	check(channel.Confirm(false))
	confirmations := channel.NotifyPublish(make(chan amqp.Confirmation, messages))
	for message := 1; message <= messages; message++ {
		publish(channel, "", queue, fmt.Sprintf("message %d", message))
	}
	for message := 1; message <= messages; message++ {
		confirmation := receive("confirmation", confirmations)
		expect("delivery tag", confirmation.DeliveryTag, uint64(message))
		if confirmation.Ack {
			accepted++
		} else {
			refused++
		}
	}
	return accepted, refused
}

// returnUnroutable gets back a mandatory message that no queue wants, before its confirmation.
func returnUnroutable(channel *amqp.Channel) string {
	check(channel.Confirm(false))
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	confirmations := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	message := amqp.Publishing{Body: []byte("hello?")}
	check(channel.PublishWithContext(
		context.Background(), "amq.direct", "compat.nobody", true, false, message))
	expect("accepted", receive("confirmation", confirmations).Ack, true)
	returned := <-returns // It has come first.
	expect("body", string(returned.Body), "hello?")
	return fmt.Sprintf("mandatory: returned with %d %s from %s",
		returned.ReplyCode, returned.ReplyText, returned.Exchange)
}

// commitTogether publishes in transactions: one that is rolled back and one that is committed.
func commitTogether(channel *amqp.Channel) string {
	queue := declare(channel, "", nil)
	check(channel.Tx())
	publish(channel, "", queue.Name, "a slip of the pen")
	check(channel.TxRollback())
	for _, entry := range []string{"debit 5", "credit 5"} {
		publish(channel, "", queue.Name, entry)
	}
	check(channel.TxCommit())

	ledger, err := channel.QueueInspect(queue.Name)
	check(err)
	expect("in the ledger", ledger.Messages, 2)
	return fmt.Sprintf("transaction: %d messages after a rollback of 1 and a commit of 2", ledger.Messages)
}
