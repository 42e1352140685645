// What phoenix.js puts on the wire, and what it reads off it: node golden.mjs [FILE]
//
// Records the frames that the npm clients send for each thing that they can do, each with the message as the client's
// own objects have it; and checks that they read the frames that the server sends as the messages below. Prints all of
// it as JSON, or writes it to FILE. The serializers' tests go by what is stored of it
// (channels/src/serializer/phoenix-js-frames.json), and a test of the feature e2e checks that it is still the same.

import { readFileSync, writeFileSync } from "node:fs";
import { Serializer, Socket } from "phoenix";
import v1 from "phoenix-v1";
import { Failed, same } from "./checks.mjs";

const BYTES = Uint8Array.from([0, 1, 0x7f, 0x80, 0xff]);
const TEXT = "hällo \u{1F426} \u2028 \"quoted\" \\ \n";

function version(name) {
  const path = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `phoenix ${JSON.parse(readFileSync(path, "utf8")).version}`;
}

function hex(bytes) {
  return Buffer.from(bytes).toString("hex");
}

// As JSON can hold it: bytes in hex.
function storable(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return { hex: hex(value) };
  }
  return value ?? null;
}

function unhex(text) {
  return Uint8Array.from(Buffer.from(text, "hex")).buffer;
}

// A transport that is open at once and keeps what is sent.
function recorder(sent) {
  return class Recorder {
    constructor() {
      this.readyState = 0;
      Recorder.last = this;
    }
    open() {
      this.readyState = 1;
      this.onopen();
    }
    send(frame) {
      sent.push(frame);
    }
    close() {}
  };
}

// Runs a client through all that it sends; `okFrame` is the reply to its join.
function recordClient(client, vsn, SocketClass, okFrame, withBytes) {
  const sent = [];
  const Recorder = recorder(sent);
  const socket = new SocketClass("ws://localhost/socket", { transport: Recorder, vsn });
  socket.connect();
  Recorder.last.open();
  const frames = [];
  const taken = (what, message) => {
    if (sent.length !== 1) throw new Failed(`${client} ${what}: expected one frame, came ${sent.length}`);
    frames.push({ client, vsn, what, frame: storable(sent.pop()), message });
  };

  for (const topic of ["room:lobby", "room:ü \"x\""]) {
    const channel = socket.channel(topic, { who: "ann" });
    const join = channel.join();
    const joinRef = vsn === "1.0.0" ? null : channel.joinRef();
    const message = (ref, event, payload) => ({ join_ref: joinRef, ref, topic, event, payload: storable(payload) });
    taken("join", message(join.ref, "phx_join", { who: "ann" }));
    Recorder.last.onmessage({ data: okFrame(joinRef, join.ref, topic) });
    for (const payload of [{}, { body: TEXT }, { n: [1, -2.5, null, true] }]) {
      const push = channel.push("new_msg", payload);
      taken("push", message(push.ref, "new_msg", payload));
    }
    if (withBytes) {
      for (const bytes of [BYTES.buffer, new ArrayBuffer(0)]) {
        const push = channel.push("bytes é", bytes);
        taken("binary push", message(push.ref, "bytes é", bytes));
      }
    }
    taken("leave", message(channel.leave().ref, "phx_leave", {}));
  }

  socket.sendHeartbeat();
  // The old client keeps no such reference, but its last one was this.
  const ref = socket.pendingHeartbeatRef ?? String(socket.ref);
  taken("heartbeat", { join_ref: null, ref, topic: "phoenix", event: "heartbeat", payload: {} });
  clearInterval(socket.heartbeatTimer);
  clearTimeout(socket.heartbeatTimeoutTimer);
  return frames;
}

// What the server sends, and what the client has to make of it.
const received = [
  {
    what: "reply",
    frame: '["1","2","room:ü","phx_reply",{"status":"ok","response":{"body":"x"}}]',
    message: {
      join_ref: "1", ref: "2", topic: "room:ü", event: "phx_reply",
      payload: { status: "ok", response: { body: "x" } },
    },
  },
  {
    what: "push",
    frame: '["1",null,"t","e",{"n":1}]',
    message: { join_ref: "1", ref: null, topic: "t", event: "e", payload: { n: 1 } },
  },
  {
    what: "broadcast",
    frame: '[null,null,"t","e",{"n":1}]',
    message: { join_ref: null, ref: null, topic: "t", event: "e", payload: { n: 1 } },
  },
  {
    what: "binary reply",
    frame: { hex: `0101020702${hex("1")}${hex("23")}${hex("room:é")}${hex("ok")}${hex(BYTES)}` },
    message: {
      join_ref: "1", ref: "23", topic: "room:é", event: "phx_reply",
      payload: { status: "ok", response: { hex: hex(BYTES) } },
    },
  },
  {
    what: "binary push",
    frame: { hex: `00010702${hex("1")}${hex("room:é")}${hex("ev")}${hex(BYTES)}` },
    message: { join_ref: "1", ref: null, topic: "room:é", event: "ev", payload: { hex: hex(BYTES) } },
  },
  {
    what: "binary broadcast",
    frame: { hex: `020702${hex("room:é")}${hex("ev")}` },
    message: { join_ref: null, ref: null, topic: "room:é", event: "ev", payload: { hex: "" } },
  },
];

function checkReceived({ what, frame, message }) {
  const raw = typeof frame === "string" ? frame : unhex(frame.hex);
  Serializer.decode(raw, (read) => {
    const payload = read.payload?.response instanceof ArrayBuffer
      ? { ...read.payload, response: storable(read.payload.response) }
      : storable(read.payload);
    same(`${what} as phoenix.js reads it`, { ...read, payload }, message);
  });
}

const okV2 = (joinRef, ref, topic) => JSON.stringify([joinRef, ref, topic, "phx_reply", { status: "ok", response: {} }]);
const okV1 = (_, ref, topic) => JSON.stringify({ topic, event: "phx_reply", ref, payload: { status: "ok", response: {} } });

received.forEach(checkReceived);
const recorded = {
  sent: [
    ...recordClient(version("phoenix"), "2.0.0", Socket, okV2, true),
    ...recordClient(version("phoenix-v1"), "1.0.0", v1.Socket, okV1, false),
  ],
  received: received.map((row) => ({ client: version("phoenix"), vsn: "2.0.0", ...row })),
};
// One row a line, so that a change shows where it is.
const rows = (list) => list.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
const text = `{\n  "sent": [\n${rows(recorded.sent)}\n  ],\n  "received": [\n${rows(recorded.received)}\n  ]\n}\n`;
if (process.argv[2]) writeFileSync(process.argv[2], text);
else process.stdout.write(text);
process.exit(0);
