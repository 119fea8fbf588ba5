// The Node modules, all of which have the class SMTPConnection of the same methods: each connection
// sends its next message in the callback of the last. Arguments: the folder that the modules are
// installed in, the name of the package, and what to load from it.

import { readFileSync, createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

const [folder, packageName, entry] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));
const loaded = require(entry);
const SMTPConnection = loaded.default ?? loaded;
const { version } = require(join(folder, 'node_modules', packageName, 'package.json'));

const HOST = '127.0.0.1';
const SENDER = 'sender@client.example';
const CLIENT_NAME = 'client.example';

function shortened(task) {
  const part = { ...task, idle: Math.min(task.idle, 0.1) };
  if (task.messages >= 10) {
    part.messages = Math.max(1, Math.round(task.messages * task.warmup));
  } else {
    part.connections = Math.max(1, Math.round(task.connections * task.warmup));
    part.at_once = Math.min(part.connections, task.at_once);
  }
  return part;
}

// Measures CPU and wall time in seconds, phase by phase, and the growth of memory.
class Stopwatch {
  constructor(task) {
    this.phases = [];
    this.memory = null;
    this.pause = null;
    this.resident = process.memoryUsage.rss();
    this.begin(task.together ? 'open' : 'mail');
  }

  begin(name) {
    this.name = name;
    this.cpu = process.cpuUsage();
    this.wall = performance.now();
  }

  stop() {
    const { user, system } = process.cpuUsage(this.cpu);
    const wall = (performance.now() - this.wall) / 1e3;
    this.phases.push({ name: this.name, user: user / 1e6, system: system / 1e6, wall });
  }

  phase(name) {
    this.stop();
    this.begin(name);
  }

  notePeak() {
    this.memory = process.resourceUsage().maxRSS * 1024 - this.resident;
  }

  noteMemory() {
    this.memory = process.memoryUsage.rss() - this.resident;
  }
}

// The stream of a message with an attached file.
function composed(task) {
  const MailComposer = require('nodemailer/lib/mail-composer');
  const mail = {
    from: SENDER,
    to: Array.from({ length: task.recipients }, (_, n) => `recipient${n}@server.example`),
    subject: 'The file',
    text: 'It is attached.',
    attachments: [{ path: task.message_file, filename: 'file.bin' }]
  };
  return new (MailComposer.default ?? MailComposer)(mail).compile().createReadStream();
}

// Calls itself each millisecond until it is stopped; returns how much longer it had to wait.
function pulse() {
  let due = performance.now() + 1;
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - due);
    due = performance.now() + 1;
  }, 1);
  return () => {
    clearInterval(timer);
    return longest / 1e3;
  };
}

// Resolves when all the connections of the task are over.
function perform(task, message, watch) {
  const to = Array.from({ length: task.recipients }, (_, n) => `recipient${n}@server.example`);
  const envelope = { from: SENDER, to };
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

const task = JSON.parse(readFileSync(0, 'utf8'));
const message = task.attachment ? null : readFileSync(task.message_file);
const part = shortened(task);
if (task.warmup) {
  await perform(part, message, new Stopwatch(part));
}
const watch = new Stopwatch(task);
const stop = task.attachment ? pulse() : null;
await perform(task, message, watch);
watch.stop();
if (stop) {
  watch.pause = stop();
  watch.notePeak();
}
const total = (each) => each.connections * each.messages;
const sent = total(task) + (task.warmup ? total(part) : 0);
const { phases, memory, pause } = watch;
console.log(JSON.stringify({ phases, memory, pause, sent, version }));
process.exit(0); // some keep timers that would hold the process for half a minute
