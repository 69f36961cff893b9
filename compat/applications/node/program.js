// Everything once, with a deadline.
'use strict';

const amqp = require('amqplib');
const confirms = require('./confirms');
const restarted = require('./manager');

const URL = process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672/';
const DEADLINE = 100000;

async function main() {
  const connection = await amqp.connect(URL);
  for (const part of confirms) await part(connection);
  await connection.close();
  await restarted(URL);
}

const late = setTimeout(() => {
  console.error(`not done within ${DEADLINE} ms`);
  process.exit(1);
}, DEADLINE);

main().then(() => clearTimeout(late), (error) => {
  console.error(error);
  process.exit(1);
});
