// The page of the cluster: one socket to the program that keeps the nodes, and one for each guest to the guest's node.
// Reconnecting, rejoining and the merging of presences are the official client's work; nothing here repeats it.

import { Presence, Socket } from "/assets/phoenix.mjs";

const HEARD_MAX = 5;
const BIRDS = ["heron", "egret", "bittern", "crane", "stork", "ibis", "grebe", "avocet", "curlew", "plover"];

// What can be done to a program, by what it is doing.
const ORDERS = {
  running: { kill: "Kill -9", stop: "Stand still" },
  stopped: { continue: "Go on", kill: "Kill -9" },
  dead: { start: "Start" },
};

const byId = (id) => document.getElementById(id);

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

// ---- the programs, and orders to them

const boxes = new Map();
const control = new Socket("/socket");
control.connect();
const programs = control.channel("control");

programs.on("programs", (rows) => {
  for (const [name, row] of Object.entries(rows)) {
    if (!boxes.has(name)) boxes.set(name, makeBox(name));
    const box = boxes.get(name);
    box.dataset.state = row.state;
    box.querySelector(".state").textContent = row.is_cut ? `${row.state}, wire cut` : row.state;
    const wire = row.is_cut === null ? {} : row.is_cut ? { heal: "Heal wire" } : { cut: "Cut wire" };
    box.querySelector(".orders").replaceChildren(
      ...Object.entries({ ...ORDERS[row.state], ...wire }).map(([order, text]) => {
        const button = element("button", text);
        button.dataset.order = order;
        button.addEventListener("click", () => give(order, name));
        return button;
      }),
    );
    // A node is listening where it always was, once it has listened at all.
    if (name !== "engine" && row.address && !box.guests) box.guests = [enter(name, row.address, box)];
    box.address = row.address;
  }
});

programs.join();

function give(order, name) {
  const say = (text) => { byId("problem").textContent = text; };
  programs.push(order, { name })
    .receive("ok", () => say(""))
    .receive("error", ({ reason }) => say(`${name}: ${reason}`))
    .receive("timeout", () => say(`${name}: no answer`));
}

function makeBox(name) {
  const template = byId(name === "engine" ? "engine-box" : "node-box");
  const box = template.content.firstElementChild.cloneNode(true);
  box.id = `program-${name}`;
  byId("nodes").append(box);
  if (name === "engine") return box;
  box.querySelector(".name").textContent = name;
  box.querySelector(".add").addEventListener("click", () => box.guests?.push(enter(name, box.address)));
  box.querySelector(".hello").addEventListener("click", () => box.guests?.[0].push("hello", {}));
  return box;
}

// ---- a guest on a node; the first one is our eyes there

function enter(node, address, box) {
  const bird = BIRDS[Math.floor(Math.random() * BIRDS.length)];
  const name = `${bird}-${Math.floor(Math.random() * 1000)}`;
  const soon = () => 500;
  const socket = new Socket(`ws://${address}/socket`, {
    params: { name },
    reconnectAfterMs: soon,
    rejoinAfterMs: soon,
  });
  socket.connect();
  const lobby = socket.channel("lobby");
  if (box) watch(lobby, box);
  lobby.join();
  return lobby;
}

function watch(lobby, box) {
  const presence = new Presence(lobby);
  presence.onSync(() => {
    const guests = presence.list((name, { metas }) => ({ name, node: metas[0].node }));
    guests.sort((a, b) => (a.node + a.name).localeCompare(b.node + b.name));
    box.querySelector(".guests").replaceChildren(
      ...guests.map(({ name, node }) => {
        const item = element("li", `${name} on ${node}`);
        item.dataset.node = node;
        return item;
      }),
    );
  });
  lobby.on("view", ({ others, is_linked }) => {
    box.querySelector(".others").textContent = others.join(", ") || "none";
    box.querySelector(".link").textContent = is_linked ? "up" : "down";
  });
  lobby.on("hello", ({ from }) => {
    const heard = box.querySelector(".heard");
    heard.prepend(element("li", `${from} says hello`));
    while (heard.childElementCount > HEARD_MAX) heard.lastElementChild.remove();
  });
}
