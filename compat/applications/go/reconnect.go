package main

import (
	"context"
	"log"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const readings = "compat.go.readings"

// station is all that a lost connection takes with it.
type station struct {
	connection    *amqp.Connection
	channel       *amqp.Channel
	closed        chan *amqp.Error
	confirmations chan amqp.Confirmation
	deliveries    <-chan amqp.Delivery
}

// outliveRestart reads from a durable queue over a restart of the broker. The library does not
// reconnect by itself: NotifyClose tells us, and we dial until somebody answers.
func outliveRestart() string {
	station := connect()
	station.store("before the restart")
	station.read("before the restart")
	station.store("meanwhile")
	askForRestart()

	receive("close notification", station.closed)
	station = connect()
	station.read("meanwhile")
	station.store("after the restart")
	station.read("after the restart")
	_, err := station.channel.QueueDelete(readings, false, false, false)
	check(err)
	check(station.connection.Close())
	return "restart: connection lost, connected again, nothing stored was lost"
}

// connect dials until the broker is there, and sets up what we need.
func connect() *station {
	connection := dial()
	channel, err := connection.Channel()
	check(err)
	check(channel.Confirm(false))
	_, err = channel.QueueDeclare(readings, true, false, false, false, nil)
	check(err)
	return &station{
		connection:    connection,
		channel:       channel,
		closed:        connection.NotifyClose(make(chan *amqp.Error, 1)),
		confirmations: channel.NotifyPublish(make(chan amqp.Confirmation, 1)),
		deliveries:    work(channel, readings),
	}
}

func dial() *amqp.Connection {
	const pause, deadline = 100 * time.Millisecond, time.Minute
	started := time.Now()
	for {
		connection, err := amqp.Dial(url())
		if err == nil {
			return connection
		}
		if time.Since(started) > deadline {
			log.Fatalf("no broker within %s: %s", deadline, err)
		}
		time.Sleep(pause)
	}
}

// store publishes a message that survives a restart, and returns when the broker has it.
func (s *station) store(body string) {
	message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}
	check(s.channel.PublishWithContext(context.Background(), "", readings, false, false, message))
	expect("stored", receive("confirmation", s.confirmations).Ack, true)
}

func (s *station) read(wanted string) {
	delivery := receive("reading", s.deliveries)
	expect("reading", string(delivery.Body), wanted)
	check(delivery.Ack(false))
}
