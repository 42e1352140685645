// What the scripts for the official client share: bounded waits, comparisons, and the run of their checks.

import { isDeepStrictEqual } from "node:util";

// How long anything may take before it counts as never.
export const WITHIN_MS = 10_000;

export class Failed extends Error {}

export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failed(`expected ${what}, nothing came in ${WITHIN_MS} ms`)), WITHIN_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function same(what, came, expected) {
  if (!isDeepStrictEqual(came, expected)) {
    throw new Failed(`${what}: expected ${JSON.stringify(expected)}, came ${JSON.stringify(came)}`);
  }
}

// A push or join to [status, response].
export function answer(what, push) {
  return within(what, new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve([status, response]));
    }
  }));
}

// The payload of the next `event` of a channel.
export function next(channel, event, what) {
  return within(what, new Promise((resolve) => {
    const ref = channel.on(event, (payload) => {
      channel.off(event, ref);
      resolve(payload);
    });
  }));
}

export async function joined(socket, topic) {
  const channel = socket.channel(topic, {});
  const [status, response] = await answer(`a reply to the join of ${topic}`, channel.join());
  if (status !== "ok") {
    throw new Failed(`join of ${topic}: expected ok, came ${status} ${JSON.stringify(response)}`);
  }
  return channel;
}

// Runs the checks in order, prints `ok NAME` for each and `ok all checks` at the end, and ends the process.
export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`FAILED ${name}: ${error instanceof Failed ? error.message : error.stack}`);
      process.exit(1);
    }
  }
  console.log("ok all checks");
  process.exit(0);
}
