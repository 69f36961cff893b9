// amqp-connection-manager: what is sent while the broker is away is sent when it is back.
'use strict';

const assert = require('node:assert');
const net = require('node:net');
const manager = require('amqp-connection-manager');

const ORDERS = 1000;

/** Asks whoever started the broker for something: `down` stops it, `up` starts it on the same data. */
function ask(word) {
  return new Promise((resolve, reject) => {
    const control = net.connect(process.env.COMPAT_CONTROL, () => control.write(`${word}\n`));
    control.once('error', reject);
    control.once('data', (answer) => {
      control.end();
      return String(answer) === 'ok\n' ? resolve() : reject(new Error(String(answer)));
    });
  });
}

function taker() {
  const taken = new Set();
  let done;
  const all = new Promise((resolve) => { done = resolve; });
  const setup = async (channel) => {
    await channel.assertQueue('orders', { durable: true });
    await channel.prefetch(50);
    await channel.consume('orders', (message) => {
      taken.add(JSON.parse(message.content).number);
      channel.ack(message);
      if (taken.size === ORDERS) done();
    });
  };
  return { taken, all, setup };
}

async function restarted(url) {
  const connection = manager.connect([url], { reconnectTimeInSeconds: 0.2 });
  const orders = connection.createChannel({
    json: true, setup: (channel) => channel.assertQueue('orders', { durable: true }),
  });
  const { taken, all, setup } = taker();
  const taking = connection.createChannel({ setup });
  await orders.waitForConnect();
  const send = (number) => orders.sendToQueue('orders', { number }, { persistent: true });
  const numbers = Array.from({ length: ORDERS }, (_, number) => number);
  await Promise.all(numbers.slice(0, 500).map(send));
  const away = new Promise((resolve) => connection.once('disconnect', resolve));
  await ask('down');
  await away;
  const waiting = Promise.all(numbers.slice(500).map(send));
  assert.strictEqual(orders.queueLength(), 500);
  await ask('up');
  await waiting;
  await all;
  console.log(`restarted: ${taken.size} confirmed and taken, 500 of them sent while the broker was away`);
  await taking.close();
  await orders.close();
  await connection.close();
}

module.exports = restarted;
