import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

class Recovery {
    /**
     * Consumes from a durable queue and from a queue of its own over a restart of the broker. The library
     * connects again, declares and binds our own queue anew, under a new name, and subscribes to both.
     */
    static String outliveRestart(Connection connection) throws Exception {
        Channel channel = connection.createChannel();
        String readings = "compat.java.readings";
        channel.confirmSelect();
        channel.queueDeclare(readings, true, false, false, null);
        BlockingQueue<Delivery> stored = Tour.consume(channel, readings, true);
        String own = Tour.declare(channel, null);
        channel.queueBind(own, "amq.topic", "weather.#");
        BlockingQueue<Delivery> weather = Tour.consume(channel, own, true);
        BlockingQueue<Recoverable> recovered = listen(connection);
        publishBoth(channel, readings, "before");
        Tour.expect("stored", Tour.text(Tour.take(stored)), "before");
        Tour.expect("weather", Tour.text(Tour.take(weather)), "before");

        Restart.ask();

        Tour.take(recovered);
        publishBoth(channel, readings, "after");
        Tour.expect("stored", Tour.text(Tour.take(stored)), "after");
        Tour.expect("weather", Tour.text(Tour.take(weather)), "after");
        channel.queueDelete(readings);
        return "restart: recovered by itself, both consumers go on";
    }

    private static BlockingQueue<Recoverable> listen(Connection connection) {
        BlockingQueue<Recoverable> recovered = new LinkedBlockingQueue<>();
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable again) {
                recovered.add(again);
            }

            @Override
            public void handleRecoveryStarted(Recoverable soon) { }
        });
        return recovered;
    }

    private static void publishBoth(Channel channel, String readings, String body) throws Exception {
        channel.basicPublish("", readings, MessageProperties.PERSISTENT_BASIC, body.getBytes());
        channel.basicPublish("amq.topic", "weather.wind", MessageProperties.BASIC, body.getBytes());
        channel.waitForConfirmsOrDie(10_000);
    }
}
