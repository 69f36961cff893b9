package main

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// subscribeByTopic lets two queues choose from one stream of log lines.
func subscribeByTopic(channel *amqp.Channel) string {
	const exchange = "compat.go.logs"
	check(channel.ExchangeDeclare(exchange, "topic", false, true, false, false, nil))
	errors, kernel := declare(channel, "", nil), declare(channel, "", nil)
	check(channel.QueueBind(errors.Name, "*.error", exchange, false, nil))
	check(channel.QueueBind(kernel.Name, "kernel.#", exchange, false, nil))
	for _, key := range []string{"kernel.error", "kernel.info.boot", "mail.error", "mail.info"} {
		publish(channel, exchange, key, key)
	}

	fromErrors, fromKernel := subscribe(channel, errors.Name), subscribe(channel, kernel.Name)
	line := "topic:"
	for _, deliveries := range []<-chan amqp.Delivery{fromErrors, fromErrors, fromKernel, fromKernel} {
		line += " " + receive("log line", deliveries).RoutingKey
	}
	return line
}

// retryLater rejects an order twice. Each time it waits in a second queue until it expires there
// and comes back; the third attempt reads in its x-death header what has happened to it.
func retryLater(channel *amqp.Channel) string {
	const orders, later = "compat.go.orders", "compat.go.orders.later"
	declare(channel, orders, amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": later})
	declare(channel, later, amqp.Table{
		"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": orders})
	deliveries, err := channel.Consume(orders, "", false, false, false, false, nil)
	check(err)
	publish(channel, "", orders, "order 7")

	for attempt := 1; attempt < 3; attempt++ {
		check(receive("order", deliveries).Nack(false, false))
	}
	third := receive("order", deliveries)
	check(third.Ack(false))
	line := fmt.Sprintf("dead letters: %s", third.Body)
	for _, entry := range third.Headers["x-death"].([]interface{}) {
		death := entry.(amqp.Table)
		line += fmt.Sprintf(", %s %d times from %s", death["reason"], death["count"], death["queue"])
	}
	return line
}
