// The official Phoenix client against the chat example: node phoenix.mjs http://127.0.0.1:4000
//
// Prints `ok NAME` for each check, and `ok all checks` at the end. At the first failure it says what was expected and
// what came, and exits with status 1. No check waits longer than WITHIN_MS.

import { Socket } from "phoenix";
import WebSocket from "ws";
import { Failed, WITHIN_MS, answer, joined, next, run, same, within } from "./checks.mjs";

// The server's limit for one frame; one byte more has to close the connection.
const MAX = 1_500_000;

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");
const socketUrl = `ws://${server.host}/socket`;
const rawUrl = `${socketUrl}/websocket?vsn=2.0.0&name=raw`;

const clients = [];

function client(name) {
  const socket = new Socket(socketUrl, {
    transport: WebSocket,
    params: { name },
    timeout: WITHIN_MS,
    // The client's own waits start at a second: shorter ones test the same behaviour sooner.
    rejoinAfterMs: () => 50,
    reconnectAfterMs: () => 50,
  });
  socket.connect();
  clients.push(socket);
  return socket;
}

// A bare WebSocket; resolves when it is open.
function raw() {
  const ws = new WebSocket(rawUrl);
  const open = new Promise((resolve, reject) => {
    ws.once("open", () => resolve(ws));
    ws.once("error", (error) => reject(new Failed(`expected ${rawUrl} to open, came ${error.message}`)));
  });
  return within("an open WebSocket", open);
}

// Sends something wrong on a connection of its own, which alone has to be closed with `code`.
async function closesWith(code, sendWrong) {
  const ws = await raw();
  const errors = [];
  ws.on("error", (error) => errors.push(error.message));
  const closed = within(`close code ${code}`, new Promise((resolve) => ws.once("close", resolve)));
  sendWrong(ws);
  const came = await closed;
  if (came !== code) {
    throw new Failed(`expected close code ${code}, came ${came} (${errors.join("; ") || "no error"})`);
  }
  const reply = await answer("a reply for the client beside it", annRoom.push("message", { body: `after ${code}` }));
  same("push of the client beside it", reply[0], "ok");
}

// The client frames only valid text: this writes the bytes of a masked text frame (mask 0) below it.
function sendRawText(ws, bytes) {
  ws._socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]));
}

async function status(path) {
  const response = await within(`an answer for ${path}`, fetch(new URL(path, server)));
  await response.arrayBuffer();
  return response.status;
}

const ann = client("ann");
const bob = client("bob");
let annRoom;
let bobRoom;

const checks = {
  "join is replied to": async () => {
    annRoom = await joined(ann, "room:node");
    bobRoom = await joined(bob, "room:node");
  },

  "a push is replied to and broadcast to every member": async () => {
    const body = "hello, ünïcode \u{1F426}";
    const arrivals = [annRoom, bobRoom].map((room, i) => next(room, "message", `the broadcast at client ${i + 1}`));
    const [status] = await answer("a reply to the push", annRoom.push("message", { body }));
    same("status of the push", status, "ok");
    for (const payload of await Promise.all(arrivals)) {
      same("the broadcast", { name: payload.name, body: payload.body }, { name: "ann", body });
    }
  },

  "an unmatched topic is refused": async () => {
    const channel = ann.channel("nowhere:1", {});
    const reply = await answer("a reply to the join of nowhere:1", channel.join());
    same("join of nowhere:1", reply, ["error", { reason: "unmatched topic" }]);
    // Else the client tries again for ever.
    channel.leave();
  },

  "a crashed channel reports an error and is joined again": async () => {
    const channel = ann.channel("room:crash", {});
    const events = [];
    const rejoined = new Promise((resolve) => {
      channel.onError(() => events.push("error"));
      channel.join().receive("ok", () => {
        events.push("joined");
        if (events.length === 1) channel.push("crash", {});
        else resolve();
      });
    });
    let bobErrors = 0;
    const ref = bobRoom.onError(() => bobErrors++);
    await within("an error and then a second join", rejoined);
    same("events of the crashed channel", events, ["joined", "error", "joined"]);
    const [status] = await answer("a reply after the crash", channel.push("message", { body: "back" }));
    same("push after the crash", status, "ok");
    bobRoom.off("phx_error", ref);
    same("errors of another client", bobErrors, 0);
    channel.leave();
  },

  "leave closes the channel": async () => {
    const channel = await joined(ann, "room:leave");
    const closed = new Promise((resolve) => channel.onClose(resolve));
    const reply = await answer("a reply to the leave", channel.leave());
    same("status of the leave", reply[0], "ok");
    await within("the close of the left channel", closed);
    same("state of the left channel", channel.state, "closed");
  },

  "heartbeat is answered": async () => {
    const answered = new Promise((resolve, reject) => {
      if (!ann.ping(resolve)) reject(new Failed("expected an open socket to ping on, came a closed one"));
    });
    await within("an answer to the heartbeat", answered);
  },

  "text that is not JSON closes with 1011": () => closesWith(1011, (ws) => ws.send("not json")),

  "a frame over the limit closes with 1009": () => closesWith(1009, (ws) => ws.send("x".repeat(MAX + 1))),

  "text that is not UTF-8 closes with 1007": () =>
    closesWith(1007, (ws) => sendRawText(ws, Buffer.from([0x22, 0xc3, 0x28, 0x22]))),

  "the clients beside them have kept their connections": async () => {
    same("states of both rooms", [annRoom.state, bobRoom.state], ["joined", "joined"]);
    same("reconnects", reconnects, 0);
  },

  "an unknown path is 404": async () => same("GET /nope", await status("/nope"), 404),

  "the WebSocket path without an upgrade is 400": async () =>
    same("GET /socket/websocket", await status("/socket/websocket?vsn=2.0.0"), 400),
};

let reconnects = 0;
for (const socket of clients) socket.onClose(() => reconnects++);

await run(checks);
