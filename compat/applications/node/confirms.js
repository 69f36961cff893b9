// amqplib: confirms, refusals, returns, a consumer with prefetch, replies, and what the broker objects to.
'use strict';

const assert = require('node:assert');
const { once } = require('node:events');

function check(what, answer, expected) {
  assert.deepStrictEqual(answer, expected, what);
  console.log(`${what}: ${answer}`);
}

/** 5,000 messages, all confirmed, taken by a consumer that holds at most 20 at once. */
async function confirmed(connection) {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (let number = 0; number < 5000; number++) {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify({ number })), { contentType: 'application/json' });
  }
  await channel.waitForConfirms();
  const { messageCount } = await channel.checkQueue(queue);
  check('confirmed and in the queue', messageCount, 5000);
  check('taken, 20 at once, in order', await takeAll(connection, queue, messageCount), 5000);
  await channel.close();
}

async function takeAll(connection, queue, count) {
  const channel = await connection.createChannel();
  await channel.prefetch(20);
  let taken = 0;
  let held = 0;
  let mostHeld = 0;
  await new Promise((resolve, reject) => {
    channel.on('error', reject);
    channel.consume(queue, (message) => {
      const { number } = JSON.parse(message.content);
      if (number !== taken++) reject(new Error(`${number} came as number ${taken - 1}`));
      mostHeld = Math.max(mostHeld, ++held);
      setImmediate(() => {
        held--;
        channel.ack(message);
        if (taken === count && held === 0) resolve();
      });
    }).catch(reject);
  });
  assert(mostHeld > 1 && mostHeld <= 20, `${mostHeld} held at once`);
  assert.strictEqual((await channel.checkQueue(queue)).messageCount, 0);
  await channel.close();
  return taken;
}

/** A queue of ten that refuses what is too much. */
async function refused(connection) {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', {
    exclusive: true, maxLength: 10, arguments: { 'x-overflow': 'reject-publish' },
  });
  const outcomes = await Promise.all(Array.from({ length: 15 }, (_, number) => new Promise((resolve) => {
    channel.sendToQueue(queue, Buffer.from(String(number)), {}, (error) => resolve(error === null ? 'ack' : 'nack'));
  })));
  check('a queue of ten is sent fifteen', outcomes.join(' '), `${'ack '.repeat(10)}${'nack '.repeat(5)}`.trim());
  channel.sendToQueue(queue, Buffer.from('one more'));
  await assert.rejects(channel.waitForConfirms());
  await channel.close();
}

/** A mandatory message for nobody comes back before its confirm. */
async function returned(connection) {
  const channel = await connection.createConfirmChannel();
  const heard = [];
  channel.on('return', ({ fields, properties, content }) => {
    heard.push(`${fields.replyCode} ${fields.replyText} ${fields.routingKey} ${properties.messageId} ${content}`);
  });
  channel.publish('amq.direct', 'nobody', Buffer.from('hello?'), { mandatory: true, messageId: 'm1' },
    (error) => heard.push(error === null ? 'confirmed' : 'refused'));
  await channel.waitForConfirms();
  check('for nobody', heard.join(', '), '312 NO_ROUTE nobody m1 hello?, confirmed');
  await channel.close();
}

/** Headers of every kind that JavaScript has, there and back through a headers exchange. */
async function headers(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, 'amq.headers', '', { 'x-match': 'all', kind: 'report', year: 2024 });
  const sent = { kind: 'report', year: 2024, big: 2 ** 40, share: 0.25, yes: true, nothing: null, list: [1, 'two'],
    nested: { deep: { deeper: 'é' } }, bytes: Buffer.from([0, 255]) };
  channel.publish('amq.headers', '', Buffer.alloc(0), { headers: { ...sent, year: 2023 } });
  channel.publish('amq.headers', '', Buffer.alloc(0), { headers: sent, priority: 3, expiration: 60000 });
  const { fields, properties } = await channel.get(queue, { noAck: true });
  assert.deepStrictEqual(properties.headers, sent);
  check('headers come as they were sent', Object.keys(properties.headers).length, 9);
  check('expiration', properties.expiration, '60000');
  check('messages left', fields.messageCount, 0);
  await channel.close();
}

/** A question and its answer by direct reply-to. */
async function asked(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.consume(queue, ({ content, properties: { replyTo, correlationId } }) => {
    channel.sendToQueue(replyTo, Buffer.from(String(content * 2)), { correlationId });
  }, { noAck: true });
  const answers = new Map();
  await new Promise((resolve, reject) => {
    channel.consume('amq.rabbitmq.reply-to', ({ content, properties }) => {
      if (answers.set(Number(properties.correlationId), Number(content)).size === 100) resolve();
    }, { noAck: true }).then(() => {
      for (let number = 0; number < 100; number++) {
        channel.sendToQueue(queue, Buffer.from(String(number)),
          { replyTo: 'amq.rabbitmq.reply-to', correlationId: String(number) });
      }
    }, reject);
  });
  for (const [number, answer] of answers) assert.strictEqual(answer, number * 2);
  check('questions answered', answers.size, 100);
  await channel.close();
}

/** A consumer whose queue goes away gets null; a wrong declaration closes its channel only. */
async function objections(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('');
  const cancelled = new Promise((resolve) => channel.consume(queue, resolve));
  await channel.deleteQueue(queue);
  check('what comes when the queue is gone', await cancelled, null);
  await channel.assertQueue('settled', { durable: false });
  const error = once(channel, 'error');
  await assert.rejects(channel.assertQueue('settled', { durable: true }));
  const [{ code, message }] = await error;
  check('declared otherwise', code, 406);
  assert.match(message, /inequivalent arg 'durable' for queue 'settled' in vhost '\/': received 'true' but current is 'false'/);
  const another = await connection.createChannel();
  await another.deleteQueue('settled');
  await another.close();
}

module.exports = [confirmed, refused, returned, headers, asked, objections];
