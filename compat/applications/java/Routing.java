import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Delivery;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;

class Routing {
    /** Lets two queues choose from one stream of log lines. */
    static String subscribeByTopic(Channel channel) throws Exception {
        String exchange = "compat.java.logs";
        channel.exchangeDeclare(exchange, "topic", false, true, null);
        String errors = Tour.declare(channel, null);
        String kernel = Tour.declare(channel, null);
        channel.queueBind(errors, exchange, "*.error");
        channel.queueBind(kernel, exchange, "kernel.#");
        for (String key : List.of("kernel.error", "kernel.info.boot", "mail.error", "mail.info")) {
            Tour.publish(channel, exchange, key, key);
        }

        StringBuilder line = new StringBuilder("topic:");
        for (String queue : List.of(errors, kernel)) {
            BlockingQueue<Delivery> deliveries = Tour.consume(channel, queue, true);
            line.append(" ").append(Tour.take(deliveries).getEnvelope().getRoutingKey());
            line.append(" ").append(Tour.take(deliveries).getEnvelope().getRoutingKey());
        }
        return line.toString();
    }

    /**
     * Rejects an order twice. Each time it waits in a second queue until it expires there and comes
     * back; the third attempt reads in its x-death header what has happened to it.
     */
    static String retryLater(Channel channel) throws Exception {
        String orders = "compat.java.orders";
        String later = "compat.java.orders.later";
        channel.queueDeclare(orders, false, true, true,
            Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", later));
        channel.queueDeclare(later, false, true, true,
            Map.of("x-message-ttl", 50, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", orders));
        BlockingQueue<Delivery> deliveries = Tour.consume(channel, orders, false);
        Tour.publish(channel, "", orders, "order 7");

        for (int attempt = 1; attempt < 3; attempt++) {
            channel.basicReject(Tour.take(deliveries).getEnvelope().getDeliveryTag(), false);
        }
        Delivery third = Tour.take(deliveries);
        channel.basicAck(third.getEnvelope().getDeliveryTag(), false);
        StringBuilder line = new StringBuilder("dead letters: " + Tour.text(third));
        for (Object entry : (List<?>) third.getProperties().getHeaders().get("x-death")) {
            Map<?, ?> death = (Map<?, ?>) entry;
            line.append(", " + death.get("reason") + " " + death.get("count") + " times from " + death.get("queue"));
        }
        return line.toString();
    }
}
