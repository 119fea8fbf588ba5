// nodemailer's class SMTPPool, which sends over as many connections as the task has. It gets what
// its own composer would hand to it, with a message that is ready. Arguments: as of node_client.mjs.

import { Readable } from 'node:stream';

import { CLIENT_NAME, HOST, SENDER, carryOut, load, recipients } from './node_task.mjs';

const { loaded: SMTPPool, version } = load(...process.argv.slice(2));

// Resolves when all messages are sent, and the pool is closed.
function perform(task, message) {
  const total = task.connections * task.messages;
  const options = { host: HOST, port: task.port, name: CLIENT_NAME, ignoreTLS: true };
  const pool = new SMTPPool({
    ...options,
    maxConnections: task.connections,
    maxMessages: Infinity
  });
  const to = recipients(task);
  let queued = 0;
  let sent = 0;

  function mail() {
    return {
      data: {},
      message: {
        getEnvelope: () => ({ from: SENDER, to: [...to] }),
        messageId: () => '<1@client.example>',
        getHeader: () => '<1@client.example>',
        createReadStream: () => Readable.from([message], { objectMode: false })
      }
    };
  }

  return new Promise((resolve, reject) => {
    function sendMore() {
      const end = Math.min(total, queued + task.queued);
      for (; queued < end; queued += 1) {
        pool.send(mail(), isSent);
      }
    }

    function isSent(error) {
      if (error) {
        reject(error);
        return;
      }
      sent += 1;
      if (sent === total) {
        pool.close(); // which closes its connections at once, and tells nobody
        resolve();
      } else if (sent === queued) {
        sendMore();
      }
    }

    pool.on('error', reject);
    sendMore();
  });
}

await carryOut(perform, version);
