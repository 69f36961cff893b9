// A tour of amqp091-go against whatever broker AMQP_URL names.
//
// Every part opens its own channel, checks what it was promised and returns a line about it.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// patience is how long we wait for anything the broker owes us.
const patience = 10 * time.Second

func url() string {
	if url, ok := os.LookupEnv("AMQP_URL"); ok {
		return url
	}
	return "amqp://guest:guest@127.0.0.1:5672/%2F"
}

func main() {
	connection, err := amqp.Dial(url())
	check(err)
	parts := []func(*amqp.Channel) string{
		shareWork, confirmPublishing, refuseWhenFull, returnUnroutable, commitTogether,
		subscribeByTopic, retryLater, answerRequests, noticeDeletedQueue,
	}
	for _, part := range parts {
		channel, err := connection.Channel()
		check(err)
		fmt.Println(part(channel))
		check(channel.Close())
	}
	check(connection.Close())
	fmt.Println(outliveRestart())
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func expect[T comparable](what string, got, wanted T) {
	if got != wanted {
		log.Fatalf("%s: got %v, wanted %v", what, got, wanted)
	}
}

// receive takes the next value from a channel of the library's, within our patience.
func receive[T any](what string, from <-chan T) T {
	select {
	case value, open := <-from:
		if !open {
			log.Fatalf("%s: the channel was closed", what)
		}
		return value
	case <-time.After(patience):
		log.Fatalf("%s: nothing within %s", what, patience)
		panic("unreachable")
	}
}
