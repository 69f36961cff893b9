import com.rabbitmq.client.Channel;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.StringRpcServer;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

class Requests {
    /** Asks for a Fibonacci number with the library's RPC classes, which use direct reply-to. */
    static String answer(Channel channel) throws Exception {
        Channel serving = channel.getConnection().createChannel();
        StringRpcServer server = new StringRpcServer(serving, Tour.declare(serving, null)) {
            @Override
            public String handleStringCall(String request, com.rabbitmq.client.AMQP.BasicProperties properties) {
                return String.valueOf(fibonacci(Integer.parseInt(request)));
            }
        };
        Thread thread = new Thread(() -> serve(server));
        thread.start();

        RpcClient client = new RpcClient(channel, "", server.getQueueName(), 10_000);
        String reply = client.stringCall("30");
        Tour.expect("fib(30)", reply, "832040");
        client.close();
        serving.close(); // ends the main loop
        thread.join();
        return "rpc: fib(30) = " + reply;
    }

    private static void serve(StringRpcServer server) {
        try {
            server.mainloop();
        } catch (java.io.IOException failure) {
            throw new java.io.UncheckedIOException(failure);
        }
    }

    private static int fibonacci(int n) {
        return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
    }

    /** Is told by the broker when a queue is deleted under its consumer. */
    static String noticeDeletedQueue(Channel channel) throws Exception {
        String queue = Tour.declare(channel, null);
        BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, true, "watcher", (tag, delivery) -> { }, tag -> cancelled.add(tag));
        channel.queueDelete(queue);
        return "cancelled: consumer " + Tour.take(cancelled) + " was told that its queue is gone";
    }
}
