"""aio-pika: a robust connection through a restart of the broker, requests, work, transactions."""

import asyncio
import logging
import os

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, PublishError
from aio_pika.patterns import RPC, Master

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
DEADLINE = 100
LETTERS = 2000
AT_ONCE = 50

# A robust connection tells of every time that it was lost; here it is lost on purpose.
logging.disable(logging.CRITICAL)


def check(what, answer, expected):
    assert answer == expected, f"{what}: {answer}, expected {expected}"
    print(f"{what}: {answer}")


async def interrupt_the_broker(how):
    """Asks whoever started the broker to `restart` it in an orderly way, or to `kill` it and start it again."""
    reader, writer = await asyncio.open_unix_connection(os.environ["COMPAT_CONTROL"])
    writer.write(f"{how}\n".encode())
    answer = await reader.readline()
    writer.close()
    assert answer == b"ok\n", answer


class Letters:
    """What was confirmed and what was received of the letters about one interruption."""

    def __init__(self, about):
        self.texts = {f"{about} {number}" for number in range(LETTERS)}
        self.confirmed = set()
        self.received = set()
        self.all_received = asyncio.Event()

    async def publish(self, channel, text):
        """Sends a letter until the broker has taken it, and not returned it for want of a queue."""
        letter = aio_pika.Message(text.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        while text not in self.confirmed:
            try:
                await channel.default_exchange.publish(letter, "letters", timeout=DEADLINE)
                self.confirmed.add(text)
            except CONNECTION_EXCEPTIONS:
                await asyncio.sleep(0.05)
                await channel.ready()

    async def publish_all(self, channel):
        turns = asyncio.Semaphore(AT_ONCE)

        async def in_turn(text):
            async with turns:
                await self.publish(channel, text)

        await asyncio.gather(*map(in_turn, self.texts))

    async def take(self, letter):
        async with letter.process():
            self.received.add(letter.body.decode())
        if self.received >= self.texts:
            self.all_received.set()


async def survive(how):
    """Letters are written and read while the broker is restarted or killed."""
    letters, lost = Letters(how), []
    reading = await aio_pika.connect_robust(URL, reconnect_interval=0.2)
    writing = await aio_pika.connect_robust(URL, reconnect_interval=0.2)
    async with reading, writing:
        for connection in (reading, writing):
            connection.reconnect_callbacks.add(lost.append)
        incoming = await reading.channel()
        await incoming.set_qos(prefetch_count=100)
        queue = await incoming.declare_queue("letters", durable=True)
        await queue.consume(letters.take)
        publishing = asyncio.create_task(letters.publish_all(await writing.channel(on_return_raises=True)))
        while len(letters.confirmed) < LETTERS // 4:
            await asyncio.sleep(0.001)
        before = len(letters.confirmed)
        await interrupt_the_broker(how)
        await publishing
        await letters.all_received.wait()
    assert before < LETTERS and set(lost) == {reading, writing}, (before, lost)
    assert letters.confirmed == letters.texts <= letters.received
    print(f"letters: {len(letters.confirmed)} confirmed through a {how}, none lost")


async def requests(connection):
    """The RPC pattern: a call on one side, a function on the other, and an exception that comes back."""
    async with connection.channel() as channel:
        rpc = await RPC.create(channel)

        async def divide(*, dividend, divisor):
            return dividend / divisor

        await rpc.register("divide", divide, auto_delete=True)
        halves = [await rpc.proxy.divide(dividend=number, divisor=2) for number in range(5)]
        check("halves", halves, [0.0, 0.5, 1.0, 1.5, 2.0])
        [answer] = await asyncio.gather(rpc.proxy.divide(dividend=1, divisor=0), return_exceptions=True)
        check("divided by nothing", repr(answer), "ZeroDivisionError('division by zero')")
        await rpc.close()


async def work(connection):
    """The master/worker pattern."""
    async with connection.channel() as channel:
        await channel.set_qos(prefetch_count=5)
        master, done, finished = Master(channel), [], asyncio.Event()

        async def paint(*, room):
            done.append(room)
            if len(done) == 20:
                finished.set()

        worker = await master.create_worker("paint", paint, auto_delete=True)
        for room in range(20):
            await master.proxy.paint(room=room)
        await finished.wait()
        check("rooms painted", done, list(range(20)))
        await worker.close()


async def transactions(connection):
    """What is sent in a transaction is there when it is committed, and never if it fails."""
    async with connection.channel(publisher_confirms=False) as channel:
        queue = await channel.declare_queue(exclusive=True)

        async def send(text):
            await channel.default_exchange.publish(aio_pika.Message(text.encode()), queue.name)

        async with channel.transaction():
            await send("one")
            await send("two")
        try:
            async with channel.transaction():
                await send("three")
                raise InterruptedError("the program changes its mind")
        except InterruptedError:
            await send("four")
            await channel.transaction().commit()
        texts = []
        while message := await queue.get(fail=False):
            texts.append(message.body.decode())
        check("committed", texts, ["one", "two", "four"])


async def returned(connection):
    """A message that no queue takes comes back as an exception."""
    async with connection.channel(on_return_raises=True) as channel:
        letter = aio_pika.Message(b"?")
        [answer] = await asyncio.gather(channel.default_exchange.publish(letter, "nobody"), return_exceptions=True)
        assert isinstance(answer, PublishError), answer
        check("returned", answer.frame.reply_text, "NO_ROUTE")


async def main():
    await survive("restart")
    await survive("kill")
    async with await aio_pika.connect_robust(URL) as connection:
        for part in (requests, work, transactions, returned):
            await part(connection)


asyncio.run(asyncio.wait_for(main(), DEADLINE))
