import com.rabbitmq.client.Channel;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Return;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

class Publishing {
    /** Waits until the broker has taken responsibility for every message. */
    static String confirm(Channel channel) throws Exception {
        String queue = Tour.declare(channel, null);
        channel.confirmSelect();
        for (int message = 1; message <= 100; message++) {
            Tour.publish(channel, "", queue, "message " + message);
        }
        channel.waitForConfirmsOrDie(10_000);
        Tour.expect("in the queue", channel.messageCount(queue), 100L);
        return "confirms: 100 messages accepted";
    }

    /** Has the broker refuse what does not fit instead of dropping the oldest. */
    static String refuseWhenFull(Channel channel) throws Exception {
        String queue = Tour.declare(channel, Map.of("x-max-length", 2, "x-overflow", "reject-publish"));
        BlockingQueue<Long> refused = new LinkedBlockingQueue<>();
        channel.addConfirmListener((tag, multiple) -> { }, (tag, multiple) -> refused.add(tag));
        channel.confirmSelect();
        for (int message = 1; message <= 3; message++) {
            Tour.publish(channel, "", queue, "message " + message);
        }
        Tour.expect("all were accepted", channel.waitForConfirms(10_000), false);
        Tour.expect("refused", Tour.take(refused), 3L);
        return "full queue: " + channel.messageCount(queue) + " messages accepted, the third refused";
    }

    /** Gets back a mandatory message that no queue wants, before its confirmation. */
    static String returnUnroutable(Channel channel) throws Exception {
        BlockingQueue<Return> returns = new LinkedBlockingQueue<>();
        channel.addReturnListener(returned -> returns.add(returned));
        channel.confirmSelect();
        channel.basicPublish("amq.direct", "compat.nobody", true, MessageProperties.BASIC, "hello?".getBytes());
        channel.waitForConfirmsOrDie(10_000);
        Return returned = returns.remove(); // It has come first.
        Tour.expect("body", new String(returned.getBody()), "hello?");
        return "mandatory: returned with " + returned.getReplyCode() + " " + returned.getReplyText()
            + " from " + returned.getExchange();
    }

    /** Publishes in transactions: one that is rolled back and one that is committed. */
    static String commitTogether(Channel channel) throws Exception {
        String ledger = Tour.declare(channel, null);
        channel.txSelect();
        Tour.publish(channel, "", ledger, "a slip of the pen");
        channel.txRollback();
        Tour.publish(channel, "", ledger, "debit 5");
        Tour.publish(channel, "", ledger, "credit 5");
        Tour.expect("before the commit", channel.messageCount(ledger), 0L);
        channel.txCommit();
        long entries = channel.messageCount(ledger);
        Tour.expect("in the ledger", entries, 2L);
        return "transaction: " + entries + " messages after a rollback of 1 and a commit of 2";
    }
}
