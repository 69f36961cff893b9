package main

import (
	"context"
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// answerRequests asks for a Fibonacci number and gets the answer by direct reply-to, without a
// queue for replies.
func answerRequests(channel *amqp.Channel) string {
	queue := declare(channel, "", nil)
	go serve(channel, subscribe(channel, queue.Name))

	replies := subscribe(channel, "amq.rabbitmq.reply-to")
	request := amqp.Publishing{
		CorrelationId: "1", ReplyTo: "amq.rabbitmq.reply-to", Body: []byte("30")}
	check(channel.PublishWithContext(context.Background(), "", queue.Name, false, false, request))
	reply := receive("reply", replies)
	expect("correlation id", reply.CorrelationId, "1")
	expect("fib(30)", string(reply.Body), "832040")
	return fmt.Sprintf("rpc: fib(30) = %s", reply.Body)
}

func serve(channel *amqp.Channel, requests <-chan amqp.Delivery) {
	for request := range requests {
		n, err := strconv.Atoi(string(request.Body))
		check(err)
		reply := amqp.Publishing{
			CorrelationId: request.CorrelationId, Body: []byte(strconv.Itoa(fib(n)))}
		check(channel.PublishWithContext(context.Background(), "", request.ReplyTo, false, false, reply))
	}
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

// noticeDeletedQueue is told by the broker when a queue is deleted under its consumer.
func noticeDeletedQueue(channel *amqp.Channel) string {
	queue := declare(channel, "", nil)
	cancelled := channel.NotifyCancel(make(chan string, 1))
	deliveries, err := channel.Consume(queue.Name, "watcher", true, false, false, false, nil)
	check(err)
	_, err = channel.QueueDelete(queue.Name, false, false, false)
	check(err)
	tag := receive("cancel notification", cancelled)
	_, open := <-deliveries
	expect("deliveries go on", open, false)
	return fmt.Sprintf("cancelled: consumer %s was told that its queue is gone", tag)
}
