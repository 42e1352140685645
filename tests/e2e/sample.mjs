// The official client's `Presence` in a topic that is sampled, five keys of it: node sample.mjs http://127.0.0.1:4000
//
// Prints and ends as phoenix.mjs does.

import { Presence, Socket } from "phoenix";
import WebSocket from "ws";
import { answer, run, same, within, WITHIN_MS } from "./checks.mjs";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");
const TOPIC = "hall:e2e";
const SAMPLE = 5;

function member(user) {
  const socket = new Socket(`ws://${server.host}/socket`, { transport: WebSocket, timeout: WITHIN_MS, rejoinAfterMs: () => 50, reconnectAfterMs: () => 50 });
  socket.connect();
  const channel = socket.channel(TOPIC, { user_id: user });
  const presence = new Presence(channel);
  const self = { user, socket, channel, presence, count: undefined, told: [] };
  presence.onJoin((key) => self.told.push(`+${key}`));
  presence.onLeave((key) => self.told.push(`-${key}`));
  channel.on("presence_count", ({ count }) => (self.count = count));
  self.joined = answer(`${user}'s join`, channel.join());
  return self;
}

const shown = (each) => presenceKeys(each).map((key) => [key, ...each.presence.state[key].metas.map((meta) => meta.phx_ref)]);
const presenceKeys = (each) => each.presence.list((key) => key).sort();

function eventually(what, holds) {
  return within(what(), new Promise((resolve) => {
    const look = () => (holds() ? resolve() : setTimeout(look, 5));
    look();
  }));
}

// Waits until all show so many keys, the same ones, and know how many there are.
async function agree(members, keys, count) {
  await eventually(
    () => `${keys} of ${count}, shown ${JSON.stringify(members.map((each) => [each.count, shown(each)]))}`,
    () => members.every((each) => each.count === count && presenceKeys(each).length === keys && JSON.stringify(shown(each)) === JSON.stringify(shown(members[0]))),
  );
}

let members = [];

const checks = {
  "of few all are shown": async () => {
    members = ["ann", "bob", "eve"].map(member);
    await Promise.all(members.map((each) => each.joined));
    await agree(members, 3, 3);
    same("who is there", presenceKeys(members[0]), ["ann", "bob", "eve"]);
  },

  "of many some are shown, to all the same": async () => {
    const many = Array.from({ length: 40 }, (_, at) => member(`user-${at}`));
    members.push(...many);
    await Promise.all(many.map((each) => each.joined));
    await agree(members, SAMPLE, members.length);
  },

  "who leaves is replaced, once": async () => {
    const sample = presenceKeys(members[0]);
    const leaving = members.filter((each) => sample.slice(0, 2).includes(each.user));
    members = members.filter((each) => !leaving.includes(each));
    members.forEach((each) => (each.told.length = 0));
    leaving.forEach((each) => each.socket.disconnect());
    await agree(members, SAMPLE, members.length);
    const came = presenceKeys(members[0]).filter((key) => !sample.includes(key));
    const told = [...came.map((key) => `+${key}`), ...leaving.map((each) => `-${each.user}`)].sort();
    for (const each of members) {
      same(`${each.user} is told`, [...each.told].sort(), told);
    }
  },

  "who joins again shows what all show": async () => {
    const returning = members[0];
    returning.channel.push("boom", {});
    await agree(members, SAMPLE, members.length);
    returning.socket.disconnect();
    await agree(members.slice(1), SAMPLE, members.length - 1);
    returning.socket.connect();
    await agree(members, SAMPLE, members.length);
  },

  "a hall that empties has nobody": async () => {
    const [last, ...others] = members;
    others.forEach((each) => each.socket.disconnect());
    await agree([last], 1, 1);
    same("who is there", presenceKeys(last), [last.user]);
  },
};

await run(checks);
