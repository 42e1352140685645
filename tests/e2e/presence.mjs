// The official client's `Presence`, over both transports at once: node presence.mjs http://127.0.0.1:4000
//
// Prints and ends as phoenix.mjs does.

import { LongPoll, Presence, Socket } from "phoenix";
import WebSocket from "ws";
import { answer, run, same, within, WITHIN_MS } from "./checks.mjs";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");
const TOPIC = "presence:e2e";

// A member of the topic: what its Presence shows, and what it was told by name.
function member(transport, user, joining = {}) {
  const socket = new Socket(`ws://${server.host}/socket`, {
    transport,
    params: { user_id: user },
    timeout: WITHIN_MS,
    rejoinAfterMs: () => 50,
    reconnectAfterMs: () => 50,
  });
  socket.connect();
  const channel = socket.channel(TOPIC, joining);
  const presence = new Presence(channel);
  const told = [];
  const waiting = new Set();
  const changed = () => waiting.forEach((look) => look());
  presence.onJoin((key, before) => told.push(`${before ? "more of" : "new"} ${key}`));
  presence.onLeave((key, left) => told.push(`${left.metas.length ? "less of" : "gone"} ${key}`));
  presence.onSync(changed);
  const shown = () => Object.fromEntries(presence.list((key, { metas, user }) => [key, [user.name, ...metas.map((meta) => meta.device)]]));
  // Waits until the list is this.
  const shows = (what, expected) => within(`${what}: ${JSON.stringify(expected)}, shows ${JSON.stringify(shown())}`, new Promise((resolve) => {
    const look = () => {
      if (JSON.stringify(Object.entries(shown()).sort()) !== JSON.stringify(Object.entries(expected).sort())) return;
      waiting.delete(look);
      resolve();
    };
    waiting.add(look);
    look();
  }));
  return { socket, channel, presence, told, shows, joined: answer(`${user}'s join`, channel.join()) };
}

const name = (key) => `user ${key}`;
let ann, bob, tab;

const checks = {
  "who comes first is alone": async () => {
    ann = member(WebSocket, "ann", { device: "phone" });
    same("the join", await ann.joined, ["ok", { joined: TOPIC }]);
    await ann.shows("ann", { ann: [name("ann"), "phone"] });
  },

  "who comes later sees all, and all see them": async () => {
    bob = member(LongPoll, "bob", { device: "desk" });
    await bob.joined;
    const both = { ann: [name("ann"), "phone"], bob: [name("bob"), "desk"] };
    await Promise.all([ann.shows("ann", both), bob.shows("bob", both)]);
    same("ann", ann.told.filter((what) => what.endsWith("bob")), ["new bob"]);
  },

  "a second tab is a second meta": async () => {
    tab = member(WebSocket, "ann", { device: "tab" });
    await tab.joined;
    const all = { ann: [name("ann"), "phone", "tab"], bob: [name("bob"), "desk"] };
    await Promise.all([ann, bob, tab].map((each) => each.shows("all", all)));
    same("bob", bob.told.filter((what) => what.endsWith("ann")).at(-1), "more of ann");
  },

  "an update takes the place of what was": async () => {
    same("update", await answer("a reply", ann.channel.push("update", { device: "car" })), ["ok", {}]);
    const metas = (each) => each.presence.state.ann.metas.map((meta) => meta.device).sort();
    await Promise.all([ann, bob, tab].map((each) => within("the update", new Promise((resolve) => {
      const look = () => (metas(each).join() === "car,tab" ? resolve() : setTimeout(look, 5));
      look();
    }))));
    const updated = bob.presence.state.ann.metas.find((meta) => meta.device === "car");
    same("its references", [typeof updated.phx_ref, typeof updated.phx_ref_prev], ["string", "string"]);
  },

  "the list is what the client has": async () => {
    const [, list] = await answer("a list", bob.channel.push("list", {}));
    const refs = (state) => Object.entries(state).map(([key, { metas }]) => [key, metas.map((meta) => meta.phx_ref).sort()]).sort();
    same("the references", refs(bob.presence.state), refs(list));
    same("one of it", await answer("one", bob.channel.push("get", { key: "ann" })), ["ok", list.ann]);
    same("nobody", await answer("nobody", bob.channel.push("get", { key: "eve" })), ["error", { reason: "not found" }]);
  },

  "a tab that goes leaves the user": async () => {
    tab.socket.disconnect();
    await bob.shows("bob", { ann: [name("ann"), "car"], bob: [name("bob"), "desk"] });
    same("bob", bob.told.at(-1), "less of ann");
  },

  "who untracks is gone and still listens": async () => {
    same("untrack", await answer("a reply", bob.channel.push("untrack", {})), ["ok", {}]);
    await Promise.all([ann, bob].map((each) => each.shows("ann alone", { ann: [name("ann"), "car"] })));
  },

  "a channel that crashes leaves and comes back": async () => {
    ann.channel.push("boom", {});
    await within("ann's return", new Promise((resolve) => {
      const look = () => (bob.told.slice(-2).join() === "gone ann,new ann" ? resolve() : setTimeout(look, 5));
      look();
    }));
    await bob.shows("ann again", { ann: [name("ann"), "phone"] });
    await ann.shows("ann again", { ann: [name("ann"), "phone"] });
  },

  "many who come at once are all there": async () => {
    const many = Array.from({ length: 40 }, (_, at) => member(WebSocket, `u${at}`, { device: at }));
    const all = { ann: [name("ann"), "phone"] };
    many.forEach((_, at) => (all[`u${at}`] = [name(`u${at}`), at]));
    await Promise.all([ann, bob, ...many].map((each) => each.shows("all", all)));
    many.forEach((each) => each.socket.disconnect());
    await Promise.all([ann, bob].map((each) => each.shows("ann alone", { ann: [name("ann"), "phone"] })));
  },
};

await run(checks);
