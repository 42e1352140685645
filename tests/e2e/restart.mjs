// The official Phoenix client while its server is gone and comes back: node restart.mjs http://127.0.0.1:4000
//
// Says `joined N` when it waits for the server to be restarted for the N-th time. Prints and ends as phoenix.mjs does.

import { LongPoll, Socket } from "phoenix";
import WebSocket from "ws";
import { answer, joined, run, same, within, WITHIN_MS } from "./checks.mjs";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");
const transports = { websocket: WebSocket, longpoll: LongPoll };

const rooms = await Promise.all(Object.entries(transports).map(async ([name, transport]) => {
  const socket = new Socket(`ws://${server.host}/socket`, {
    transport,
    params: { user_id: name },
    timeout: WITHIN_MS,
    rejoinAfterMs: () => 50,
    reconnectAfterMs: () => 50,
  });
  socket.connect();
  return joined(socket, "room:restarted");
}));

// What each would be told if the server had not been restarted: a channel counts what it was asked.
const counts = (expected) => Promise.all(rooms.map(async (room) => {
  same(`count of ${room.socket.transportName(room.socket.transport)}`, await answer("a reply", room.push("count", {})), ["ok", { count: expected }]);
}));

const checks = {};
for (const [i, how] of ["stopped", "killed"].entries()) {
  checks[`the server is ${how} and started again`] = async () => {
    await counts(i === 0 ? 1 : 2);
    // Nothing is pushed until all have noticed, so nothing can be lost on the way.
    const noticed = rooms.map((room) => within("the end of the connection", new Promise((resolve) => room.onError(resolve))));
    console.log(`joined ${i + 1}`);
    await Promise.all(noticed);
    // Pushed while there is no connection: the client sends it when it has joined again, to a channel that starts afresh.
    await counts(1);
  };
}

await run(checks);
