import java.io.BufferedReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;

class Restart {
    /**
     * Has the compatibility harness restart the broker. Of all this program it is the only part that is
     * not a user's.
     */
    static void ask() throws Exception {
        try (SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            socket.connect(UnixDomainSocketAddress.of(System.getenv("COMPAT_CONTROL")));
            socket.write(ByteBuffer.wrap("restart\n".getBytes()));
            BufferedReader answers = new BufferedReader(Channels.newReader(socket, "UTF-8"));
            Tour.expect("the harness", answers.readLine(), "ok");
        }
    }
}
