import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Delivery;
import java.util.concurrent.BlockingQueue;

class WorkQueue {
    /**
     * Gives ten tasks to two workers with a prefetch of one. The slow worker holds its first task until
     * the quick one has done all others, so it must not have been given a second.
     */
    static String share(Channel channel) throws Exception {
        String queue = Tour.declare(channel, null);
        channel.basicQos(1); // for each new consumer
        BlockingQueue<Delivery> slow = Tour.consume(channel, queue, false);
        BlockingQueue<Delivery> quick = Tour.consume(channel, queue, false);
        for (int task = 1; task <= 10; task++) {
            Tour.publish(channel, "", queue, "task " + task);
        }

        Delivery held = Tour.take(slow);
        Delivery failed = Tour.take(quick);
        channel.basicNack(tag(failed), false, true); // to be tried again
        Delivery again = Tour.take(quick);
        Tour.expect("handed back", Tour.text(again), Tour.text(failed));
        Tour.expect("redelivered", again.getEnvelope().isRedeliver(), true);
        channel.basicAck(tag(again), false);
        for (int done = 1; done < 9; done++) {
            channel.basicAck(tag(Tour.take(quick)), false);
        }
        channel.basicAck(tag(held), false);
        Tour.expect("left in the queue", channel.messageCount(queue), 0L);
        Tour.expect("more for the slow worker", slow.size(), 0);
        return "work queue: the slow worker did 1 task, the quick one 9, one of them at the second attempt";
    }

    private static long tag(Delivery delivery) {
        return delivery.getEnvelope().getDeliveryTag();
    }
}
