// What every client in JavaScript has in common, as task.py has it for those in Python: the task on
// standard input is carried out twice, and what the second time has cost goes to standard output.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const HOST = '127.0.0.1';
export const SENDER = 'sender@client.example';
export const CLIENT_NAME = 'client.example';

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

// Returns what the package has under the name `entry`, how to load more, and its version. `folder`
// is the one that the modules are installed in.
export function load(folder, packageName, entry) {
  const require = createRequire(join(folder, 'package.json'));
  const loaded = require(entry);
  const { version } = require(join(folder, 'node_modules', packageName, 'package.json'));
  return { loaded: loaded.default ?? loaded, require, version };
}

export function recipients(task) {
  return Array.from({ length: task.recipients }, (_, n) => `recipient${n}@server.example`);
}

// Carries out the task with `perform(task, message, watch)`, which returns a promise.
export async function carryOut(perform, version) {
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
}
