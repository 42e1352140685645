// The official Phoenix client over long polling: node longpoll.mjs http://127.0.0.1:4000
//
// Prints and ends as phoenix.mjs does.

import { LongPoll, Socket } from "phoenix";
import WebSocket from "ws";
import { answer, joined, next, run, same, within, WITHIN_MS } from "./checks.mjs";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");
const socketUrl = `ws://${server.host}/socket`;

// Counts the requests of the client, which go through fetch.
const requests = { GET: 0, POST: 0 };
const waiting = [];
const { fetch } = globalThis;
globalThis.fetch = async (url, options = {}) => {
  const response = await fetch(url, options);
  requests[options.method ?? "GET"]++;
  for (const [ready, resolve] of waiting) if (ready()) resolve();
  return response;
};

function requested(what, ready) {
  return within(what, new Promise((resolve) => waiting.push([ready, resolve])));
}

function client(transport, name) {
  const socket = new Socket(socketUrl, {
    transport,
    params: { user_id: name },
    timeout: WITHIN_MS,
    rejoinAfterMs: () => 50,
    reconnectAfterMs: () => 50,
  });
  socket.connect();
  return socket;
}

const poller = client(LongPoll, "poller");
const other = client(WebSocket, "other");
let room;
let otherRoom;

const checks = {
  "joins over both transports": async () => {
    room = await joined(poller, "room:mixed");
    otherRoom = await joined(other, "room:mixed");
    same("the transport's requests", requests.GET > 0 && requests.POST > 0, true);
  },

  "a push is replied to and broadcast to both": async () => {
    const payload = { body: "hello, ünïcode \u{1F426}" };
    const arrivals = [room, otherRoom].map((each, i) => next(each, "shout", `the broadcast at client ${i + 1}`));
    same("the reply", await answer("a reply", room.push("shout", payload)), ["ok", {}]);
    same("the broadcasts", await Promise.all(arrivals), [payload, payload]);
    const back = [room, otherRoom].map((each) => next(each, "shout", "a broadcast of the other client"));
    otherRoom.push("shout", { n: 2 });
    same("the broadcast of the other", await Promise.all(back), [{ n: 2 }, { n: 2 }]);
  },

  "250 pushes at once arrive in order, a hundred in a request": async () => {
    const before = requests.POST;
    const got = [];
    const ref = otherRoom.on("shout", ({ n }) => got.push(n));
    const pushes = Array.from({ length: 250 }, (_, n) => answer(`reply ${n}`, room.push("shout", { n })));
    for (const [status] of await Promise.all(pushes)) same("status of a push", status, "ok");
    otherRoom.off("shout", ref);
    same("what the other client got", got, Array.from({ length: 250 }, (_, n) => n));
    same("requests", requests.POST - before, 3);
  },

  "bytes are sent in base64": async () => {
    const bytes = Uint8Array.from([0, 1, 254, 255]);
    const arrival = next(otherRoom, "shout", "the bytes at the other client");
    room.push("shout", bytes.buffer);
    same("the bytes", [...new Uint8Array(await arrival)], [...bytes]);
  },

  "a client that has nothing to fetch polls on and stays": async () => {
    const enough = requests.GET + 3;
    await requested("three more polls", () => requests.GET >= enough);
    same("the reply afterwards", await answer("a reply", room.push("echo", { still: "here" })), ["ok", { still: "here" }]);
  },

  "a crashed channel is joined again": async () => {
    const channel = poller.channel("room:crash", {});
    const events = [];
    channel.onError(() => events.push("error"));
    await within("an error and a second join", new Promise((resolve) => {
      channel.join().receive("ok", () => {
        events.push("joined");
        if (events.length === 1) channel.push("boom", {});
        else resolve();
      });
    }));
    same("events of the channel", events, ["joined", "error", "joined"]);
    channel.leave();
  },

  "a refused join and an unmatched topic are told": async () => {
    for (const [topic, reason] of [["room:private", "unauthorized"], ["nowhere", "unmatched topic"]]) {
      const channel = poller.channel(topic, {});
      same(`join of ${topic}`, await answer(`a reply to ${topic}`, channel.join()), ["error", { reason }]);
      channel.leave();
    }
  },

  "after a disconnect the client comes back and joins again": async () => {
    // The channel joins again when the socket is open again, which it hears before we do.
    const reopened = within("an open socket", new Promise((resolve) => poller.onOpen(resolve)));
    const response = await fetch(new URL("/disconnect/poller", server), { method: "POST" });
    same("status of the disconnect", response.status, 200);
    await reopened;
    await within("a second join", new Promise((resolve) => room.joinPush.receive("ok", resolve)));
    same("the reply afterwards", await answer("a reply", room.push("echo", { n: 1 })), ["ok", { n: 1 }]);
  },

  "leave closes the channel": async () => {
    const closed = new Promise((resolve) => room.onClose(resolve));
    same("the reply to the leave", (await answer("a reply to the leave", room.leave()))[0], "ok");
    await within("the close of the channel", closed);
  },
};

await run(checks);
