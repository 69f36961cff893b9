package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// shareWork gives ten tasks to two workers with a prefetch of one. The slow worker holds its
// first task until the quick one has done all others, so it must not have been given a second.
func shareWork(channel *amqp.Channel) string {
	const tasks = 10
	queue := declare(channel, "", nil)
	slow, quick := work(channel, queue.Name), work(channel, queue.Name)
	for task := 1; task <= tasks; task++ {
		publish(channel, "", queue.Name, fmt.Sprintf("task %d", task))
	}

	held := receive("slow worker", slow)
	first := receive("quick worker", quick)
	check(first.Nack(false, true)) // It failed and shall be tried again.
	for done := 0; done < tasks-1; done++ {
		task := receive("quick worker", quick)
		if done == 0 {
			expect("handed back", string(task.Body), string(first.Body))
			expect("redelivered", task.Redelivered, true)
		}
		check(task.Ack(false))
	}
	check(held.Ack(false))

	left, err := channel.QueueInspect(queue.Name)
	check(err)
	expect("left in the queue", left.Messages, 0)
	return "work queue: the slow worker did 1 task, the quick one 9, one of them at the second attempt"
}

// work consumes on a prefetch of one: RabbitMQ counts it for each new consumer.
func work(channel *amqp.Channel, queue string) <-chan amqp.Delivery {
	check(channel.Qos(1, 0, false))
	tasks, err := channel.Consume(queue, "", false, false, false, false, nil)
	check(err)
	return tasks
}

// declare makes a queue that goes with our connection; without a name, the broker chooses one.
func declare(channel *amqp.Channel, name string, arguments amqp.Table) amqp.Queue {
	queue, err := channel.QueueDeclare(name, false, false, true, false, arguments)
	check(err)
	return queue
}

func publish(channel *amqp.Channel, exchange, key, body string) {
	message := amqp.Publishing{ContentType: "text/plain", Body: []byte(body)}
	check(channel.PublishWithContext(context.Background(), exchange, key, false, false, message))
}

// subscribe consumes without acknowledgements.
func subscribe(channel *amqp.Channel, queue string) <-chan amqp.Delivery {
	deliveries, err := channel.Consume(queue, "", true, false, false, false, nil)
	check(err)
	return deliveries
}
