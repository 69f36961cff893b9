import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A tour of RabbitMQ's Java client against whatever broker AMQP_URL names.
 *
 * Every part has its own channel, checks what it was promised and returns a line about it.
 */
public class Tour {
    interface Part {
        String play(Channel channel) throws Exception;
    }

    private static final Part[] PARTS = {
        WorkQueue::share, Publishing::confirm, Publishing::refuseWhenFull, Publishing::returnUnroutable,
        Publishing::commitTogether, Routing::subscribeByTopic, Routing::retryLater,
        Requests::answer, Requests::noticeDeletedQueue,
    };

    public static void main(String[] arguments) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv().getOrDefault("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2F"));
        factory.setNetworkRecoveryInterval(100); // ms between attempts; recovery itself is the default
        try (Connection connection = factory.newConnection("tour")) {
            for (Part part : PARTS) {
                Channel channel = connection.createChannel();
                System.out.println(part.play(channel));
                channel.close();
            }
            System.out.println(Recovery.outliveRestart(connection));
        }
    }

    /** A queue that goes with our connection; the broker chooses its name. */
    static String declare(Channel channel, Map<String, Object> arguments) throws Exception {
        return channel.queueDeclare("", false, true, true, arguments).getQueue();
    }

    static void publish(Channel channel, String exchange, String key, String body) throws Exception {
        channel.basicPublish(exchange, key, MessageProperties.TEXT_PLAIN, body.getBytes("UTF-8"));
    }

    /** What a consumer gets, to be taken one by one. */
    static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck) throws Exception {
        BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, autoAck, (tag, delivery) -> deliveries.add(delivery), tag -> { });
        return deliveries;
    }

    static <T> T take(BlockingQueue<T> queue) throws InterruptedException {
        T taken = queue.poll(10, TimeUnit.SECONDS);
        expect("something within ten seconds", taken != null, true);
        return taken;
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody());
    }

    static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new IllegalStateException(what + ": got " + got + ", wanted " + wanted);
        }
    }
}
