// The Node modules, all of which have the class SMTPConnection of the same methods: each connection
// sends its next message in the callback of the last. Arguments: the folder that the modules are
// installed in, the name of the package, and what to load from it.

import { readFileSync, createReadStream } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { CLIENT_NAME, HOST, SENDER, carryOut, load, recipients } from './node_task.mjs';

const { loaded: SMTPConnection, require, version } = load(...process.argv.slice(2));

// The stream of a message with an attached file.
function composed(task) {
  const MailComposer = require('nodemailer/lib/mail-composer');
  const mail = {
    from: SENDER,
    to: recipients(task),
    subject: 'The file',
    text: 'It is attached.',
    attachments: [{ path: task.message_file, filename: 'file.bin' }]
  };
  return new (MailComposer.default ?? MailComposer)(mail).compile().createReadStream();
}

// Resolves when all the connections of the task are over.
function perform(task, message, watch) {
  const envelope = { from: SENDER, to: recipients(task) };
  const options = { host: HOST, port: task.port, name: CLIENT_NAME };
  if (task.starttls) {
    options.requireTLS = true;
    // One context for all, as the package measured has it too; each having its own costs more.
    options.tls = { secureContext: createSecureContext({ ca: readFileSync(task.ca_file) }) };
  } else {
    options.ignoreTLS = true;
  }
  const opened = [];
  let toOpen = task.connections;
  let over = 0;
  let sent = 0;

  return new Promise((resolve, reject) => {
    function openAnother() {
      if (!toOpen) {
        return;
      }
      toOpen -= 1;
      const connection = new SMTPConnection({ ...options });
      connection.on('error', reject);
      connection.once('end', () => {
        over += 1;
        if (over === task.connections) {
          resolve();
        }
        openAnother();
      });
      connection.connect(() => isOpen(connection));
    }

    function isOpen(connection) {
      if (!task.together) {
        sendAll(connection, () => connection.quit());
        return;
      }
      opened.push(connection);
      if (opened.length < task.connections) {
        return;
      }
      if (task.idle) {
        watch.noteMemory();
        watch.phase('idle');
        setTimeout(closeAll, task.idle * 1000);
      } else {
        watch.phase('mail');
        for (const each of opened) {
          sendAll(each, () => sent === task.connections * task.messages && closeAll());
        }
      }
    }

    function sendAll(connection, finished) {
      let left = task.messages;
      function sendNext() {
        const body = task.attachment
          ? composed(task)
          : task.from_file
            ? createReadStream(task.message_file)
            : message;
        connection.send({ ...envelope }, body, isSent); // they keep their own notes in it
      }
      function isSent(error) {
        if (error) {
          reject(error);
          return;
        }
        sent += 1;
        left -= 1;
        if (left) {
          sendNext();
        } else {
          finished();
        }
      }
      sendNext();
    }

    function closeAll() {
      watch.phase('close');
      for (const each of opened) {
        each.quit();
      }
    }

    for (let n = 0; n < task.at_once; n += 1) {
      openAnother();
    }
  });
}

await carryOut(perform, version);
