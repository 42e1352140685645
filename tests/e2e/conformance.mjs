// The official Phoenix client against the conformance server, over both transports: node conformance.mjs http://127.0.0.1:4000
//
// Prints and ends as phoenix.mjs does.

import { createServer, request } from "node:http";
import { LongPoll, Socket } from "phoenix";
import WebSocket from "ws";
import { answer, Failed, joined, next, run, same, within, WITHIN_MS } from "./checks.mjs";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:4000");

function client(transport, params, options = {}) {
  const socket = new Socket(`ws://${server.host}/socket`, {
    transport,
    params,
    timeout: WITHIN_MS,
    rejoinAfterMs: () => 50,
    reconnectAfterMs: () => 50,
    ...options,
  });
  socket.connect();
  return socket;
}

async function post(path, body) {
  const response = await fetch(new URL(path, server), { method: "POST", body: JSON.stringify(body) });
  await response.arrayBuffer();
  return response.status;
}

function bytes(text) {
  return new TextEncoder().encode(text).buffer;
}

// The next time that a joined channel joins. (A hook is called at once for the join that was.)
function rejoined(channel) {
  return within("a second join", new Promise((resolve) => {
    let past = true;
    channel.joinPush.receive("ok", () => past || resolve());
    past = false;
  }));
}

// The checks of one transport, each beside a client that must not notice.
function checksOf(name, transport) {
  const topic = `room:${name}`;
  let socket, room, watcher, watching;

  const pushed = (event, payload) => answer(`a reply to ${event}`, room.push(event, payload));

  // Joins a topic whose channel ends by `event`, and waits for the end to be told.
  const ended = async (event, told) => {
    const channel = socket.channel(`${topic}-${event}`, {});
    const end = within(told, new Promise((resolve) => {
      channel.onError(() => resolve("error"));
      channel.onClose(() => resolve("close"));
    }));
    await answer("a reply to the join", channel.join());
    channel.push(event, {});
    same(`the end by ${event}`, await end, told);
    channel.leave();
  };

  return {
    "a join, and who one is": async () => {
      socket = client(transport, { user_id: name, a: { b: "c" }, vsn: "ignored" }, { authToken: "s3cret+/=" });
      watcher = client(WebSocket, { user_id: `${name}-watcher` });
      room = await joined(socket, topic);
      watching = await joined(watcher, topic);
      const [status, me] = await pushed("whoami", {});
      same("whoami", [status, me.user_id, me.topic, me.transport], ["ok", name, topic, name]);
      const [, info] = await pushed("connect_info", {});
      same("the auth token", info.auth_token, "s3cret+/=");
      same("the path", info.path, `/socket/${name}`);
    },

    "replies of each kind": async () => {
      const deep = { a: [1, "é\n\"", null, { b: 1.5 }] };
      same("echo", await pushed("echo", deep), ["ok", deep]);
      same("ack", await pushed("ack", {}), ["ok", {}]);
      same("fail", await pushed("fail", {}), ["error", { reason: "asked" }]);
      same("async", await pushed("async", { n: 1 }), ["ok", { n: 1 }]);
      same("count", [await pushed("count", {}), await pushed("count", {})], [["ok", { count: 1 }], ["ok", { count: 2 }]]);
      const custom = within("a custom status", new Promise((resolve) => room.push("custom_status", {}).receive("maybe", resolve)));
      same("custom_status", await custom, {});
    },

    "a refused join, a crashed join, an unrouted topic": async () => {
      const reasons = { "room:private": "unauthorized", "room:crash-join": "join crashed", "nowhere:1": "unmatched topic" };
      for (const [refused, reason] of Object.entries(reasons)) {
        const channel = socket.channel(refused, {});
        same(refused, await answer(`a reply to the join of ${refused}`, channel.join()), ["error", { reason }]);
        channel.leave();
      }
    },

    "broadcasts, and who gets them": async () => {
      const shouts = [room, watching].map((each) => next(each, "shout", "a shout"));
      same("shout", await pushed("shout", { n: 1 }), ["ok", {}]);
      same("the shouts", await Promise.all(shouts), [{ n: 1 }, { n: 1 }]);
      const others = next(watching, "shout_others", "a shout to others");
      let own = 0;
      room.on("shout_others", () => own++);
      same("shout_others", await pushed("shout_others", { n: 2 }), ["ok", {}]);
      same("the shout to others", [await others, own], [{ n: 2 }, 0]);
      const seen = [room, watching].map((each) => next(each, "intercepted", "an intercepted broadcast"));
      room.push("intercepted", { n: 3 });
      same("intercepted", await Promise.all(seen), [{ n: 3, seen_by: name }, { n: 3, seen_by: `${name}-watcher` }]);
      const outside = [room, watching].map((each) => next(each, "news", "a broadcast from outside"));
      same("the route", await post("/conformance/broadcast", { topic, event: "news", payload: { n: 4 } }), 204);
      same("the news", await Promise.all(outside), [{ n: 4 }, { n: 4 }]);
    },

    "pushes now and later": async () => {
      const events = [["push_back", "pushed", { n: 1 }], ["tick", "tick", { ms: 10 }], ["hibernate", "hibernating", {}]];
      for (const [event, back, payload] of events) {
        const came = next(room, back, back);
        room.push(event, payload);
        same(back, await came, payload);
      }
      same("the state", await pushed("count", {}), ["ok", { count: 3 }]);
    },

    "bytes in": async () => same("binary_len", await pushed("binary_len", bytes("12345")), ["ok", { bytes: 5 }]),

    "bytes out": async () => {
      // Phoenix can send none to a client that polls.
      if (transport === LongPoll) return;
      const [status, back] = await pushed("binary", bytes("back"));
      same("binary", [status, new TextDecoder().decode(back)], ["ok", "back"]);
      const shout = next(watching, "binary_shout", "a shout of bytes");
      room.push("binary_shout", bytes("all"));
      same("binary_shout", new TextDecoder().decode(await shout), "all");
    },

    "ends": async () => {
      for (const event of ["boom", "bad_return", "stop_error", "no such event", "boom_later"]) await ended(event, "error");
      for (const event of ["stop", "stop_shutdown", "stop_reply"]) await ended(event, "close");
    },

    "a crashed channel is joined again, afresh": async () => {
      const back = rejoined(room);
      room.push("boom", {});
      await back;
      same("count", await pushed("count", {}), ["ok", { count: 1 }]);
    },

    "a disconnected client comes back, and its channels with it": async () => {
      const back = rejoined(room);
      same("the route", await post("/conformance/disconnect", { user_id: name }), 204);
      await back;
      same("count", await pushed("count", {}), ["ok", { count: 1 }]);
    },

    "leave": async () => {
      const closed = within("the close", new Promise((resolve) => room.onClose(resolve)));
      same("leave", (await answer("a reply to the leave", room.leave()))[0], "ok");
      await closed;
      same("the watcher", [watching.state, watcher.isConnected()], ["joined", true]);
      socket.disconnect();
      watcher.disconnect();
    },
  };
}

const checks = {};
for (const [name, transport] of [["websocket", WebSocket], ["longpoll", LongPoll]]) {
  for (const [check, does] of Object.entries(checksOf(name, transport))) checks[`${name}: ${check}`] = does;
}

checks["a client whose WebSockets do not get through falls back to polling"] = async () => {
  // A proxy that knows nothing of upgrades, as there are many.
  const proxy = createServer((incoming, outgoing) => {
    const { connection, upgrade, ...headers } = incoming.headers;
    const { method, url: path } = incoming;
    const onward = request({ host: server.hostname, port: server.port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await within("a proxy", new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve)));
  const socket = new Socket(`ws://127.0.0.1:${proxy.address().port}/socket`, {
    transport: WebSocket,
    longPollFallbackMs: WITHIN_MS / 2,
    timeout: WITHIN_MS,
    reconnectAfterMs: () => 50,
  });
  socket.connect();
  const room = await joined(socket, "room:fallback");
  const [, me] = await answer("a reply to whoami", room.push("whoami", {}));
  same("the transport", me.transport, "longpoll");
  const shout = next(room, "shout", "a shout");
  same("shout", await answer("a reply to shout", room.push("shout", { n: 1 })), ["ok", {}]);
  same("the shout", await shout, { n: 1 });
  socket.disconnect();
  proxy.close();
};

checks["who may not connect"] = async () => {
  const statusOf = (query, headers = {}) => {
    const ws = new WebSocket(`ws://${server.host}/socket/websocket?${query}`, { headers });
    return within(`an answer to ${query}`, new Promise((resolve, reject) => {
      ws.once("unexpected-response", (_, response) => resolve(response.statusCode));
      ws.once("open", () => reject(new Failed(`${query} was let in`)));
      ws.once("error", () => {});
    }));
  };
  same("token=bad", await statusOf("vsn=2.0.0&token=bad"), 403);
  same("token=limited", await statusOf("vsn=2.0.0&token=limited"), 429);
  same("vsn=3.0.0", await statusOf("vsn=3.0.0"), 403);
  same("a foreign page", await statusOf("vsn=2.0.0", { origin: "https://evil.test" }), 403);
};

await run(checks);
