// The chat page: one socket, one channel at a time, and what happens to it shown as it happens.
// Reconnecting, rejoining and buffering are the official client's work; nothing here repeats it.

import { Socket } from "/assets/phoenix.mjs";

const MESSAGES_MAX = 500;
const LOG_ENTRIES_MAX = 100;
const TIMELINE_ENTRIES_MAX = 20;
const BODY_CHARS_MAX = 2000;
const BODY_CHARS_WARN = 1800;
const STICKY_PX = 48;
const ROOM_DEFAULT = "lobby";

const byId = (id) => document.getElementById(id);
const ui = Object.fromEntries(
  [
    "entry", "enter", "name", "room", "app", "heading", "me", "leave", "status", "channel", "elsewhere", "go", "other",
    "crash", "crashes", "rejoins", "timeline", "log", "scroll", "messages", "latest", "notice", "form", "body", "room-left",
  ].map((id) => [id, byId(id)]),
);

// ---- what is remembered between loads

// Storage throws where the browser forbids it; the page works without a memory too.
function recall(key) {
  try {
    return sessionStorage.getItem(`chat.${key}`);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    sessionStorage.setItem(`chat.${key}`, value);
  } catch {
    // Forgetting is harmless.
  }
}

function friendlyName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["calm", "bright", "patient", "kind", "early", "gentle", "merry", "quiet", "brave", "curious"]);
  const bird = pick(["heron", "egret", "bittern", "crane", "stork", "ibis", "grebe", "avocet", "curlew", "plover"]);
  return `${manner}-${bird}`;
}

// ---- the address is the truth about where one is

function addressOf(room, name) {
  return `/?${new URLSearchParams({ room, name })}`;
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  const room = (query.get("room") ?? "").trim();
  const name = (query.get("name") ?? recall("name") ?? "").trim();
  return { room, name };
}

// ---- small painters; text only ever enters the page as textContent

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function paintState(target, state) {
  if (target.textContent !== state) target.textContent = state;
  target.dataset.state = state;
}

function notify(text) {
  if (ui.notice.textContent !== text) ui.notice.textContent = text;
}

function count(target) {
  target.textContent = String(Number(target.textContent) + 1);
}

function clock(date) {
  const two = (n) => String(n).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

function hueOf(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return hash;
}

// ---- the message list

// Whether the list follows its newest message. Only a person scrolling up ends that: in a burst the list also is away from
// its end, with messages added since the last frame.
let sticking = true;
let topSeen = 0;
let scrollPlanned = false;

function stick(yes) {
  sticking = yes;
  if (yes) ui.latest.hidden = true;
  // Anchoring holds what is read in its place while old messages go. At the end it would only move against us.
  ui.scroll.style.overflowAnchor = yes ? "none" : "auto";
}

// Once per frame: a burst of broadcasts must not cost a layout each.
function followLatest() {
  if (scrollPlanned) return;
  scrollPlanned = true;
  requestAnimationFrame(() => {
    scrollPlanned = false;
    if (!sticking) return;
    ui.scroll.scrollTop = ui.scroll.scrollHeight;
    topSeen = ui.scroll.scrollTop;
  });
}

function addMessage(name, body, mine) {
  const item = element("li", mine ? "mine" : "");
  item.dataset.from = name;
  item.dataset.at = clock(new Date()).slice(0, 5);
  item.style.setProperty("--hue", hueOf(name));
  if (ui.messages.lastElementChild?.dataset.from === name) item.classList.add("more");
  item.append(element("span", "from", name), element("span", "colon", ": "), element("span", "body", body));
  ui.messages.append(item);
  while (ui.messages.childElementCount > MESSAGES_MAX) {
    ui.messages.firstElementChild.remove();
    // The name stands on the first of a run only; a run that lost its first needs it again.
    ui.messages.firstElementChild.classList.remove("more");
  }
  if (sticking) followLatest();
  else ui.latest.hidden = false;
}

function addArrival(name) {
  const item = element("li", "system", `${name} joined`);
  item.dataset.at = clock(new Date()).slice(0, 5);
  ui.log.prepend(item);
  while (ui.log.childElementCount > LOG_ENTRIES_MAX) ui.log.lastElementChild.remove();
}

ui.scroll.addEventListener("scroll", () => {
  const top = ui.scroll.scrollTop;
  const atEnd = ui.scroll.scrollHeight - top - ui.scroll.clientHeight < STICKY_PX;
  if (atEnd) stick(true);
  else if (top < topSeen) stick(false);
  topSeen = top;
});

ui.latest.addEventListener("click", () => {
  stick(true);
  followLatest();
  ui.body.focus();
});

// A smaller window (a phone's keyboard) must not hide the newest message.
new ResizeObserver(() => {
  if (sticking) followLatest();
}).observe(ui.scroll);

// ---- one crash and its end, as a line of the timeline

let outage = null;

function openOutage() {
  // A rejoin that crashes again is the same outage to the person who waits.
  if (outage) return;
  const text = `your channel crashed at ${clock(new Date())}`;
  outage = { since: performance.now(), text, item: element("li", "down", `${text}; coming back …`) };
  ui.timeline.prepend(outage.item);
  while (ui.timeline.childElementCount > TIMELINE_ENTRIES_MAX) ui.timeline.lastElementChild.remove();
}

function closeOutage(className, ending) {
  if (!outage) return;
  outage.item.className = className;
  outage.item.textContent = `${outage.text}; ${ending(((performance.now() - outage.since) / 1000).toFixed(2))}`;
  outage = null;
}

// ---- socket and channel

// `{ socket, name, room, channel }` while one is in a room. A late event of a socket or channel that is no longer this one
// is ignored.
let here = null;

function paintSocket() {
  paintState(ui.status, here?.socket.isConnected() ? "connected" : "disconnected");
}

function paintChannel(state) {
  paintState(ui.channel, state);
  ui.crash.setAttribute("aria-disabled", String(state !== "joined"));
}

function connect(name) {
  const socket = new Socket("/socket", { params: { name } });
  here = { socket, name, room: null, channel: null };
  const repaint = () => {
    if (here?.socket === socket) paintSocket();
  };
  socket.onOpen(repaint);
  socket.onClose(repaint);
  socket.onError(repaint);
  socket.connect();
}

function joinRoom(room) {
  leaveRoom();
  const { socket, name } = here;
  const channel = socket.channel(`room:${room}`, {});
  const current = () => here?.channel === channel;
  here.room = room;
  here.channel = channel;

  channel.onError(() => current() && channelErred(socket));
  channel.onClose(() => current() && channelClosed());
  channel.on("message", (message) => current() && addMessage(message.name, message.body, message.name === name));
  channel.on("joined", (arrival) => current() && addArrival(arrival.name));

  paintChannel("joining");
  let joinedBefore = false;
  // These hooks belong to the join push, which the client sends again for each rejoin: they fire each time.
  channel.join()
    .receive("ok", () => {
      if (!current()) return;
      if (joinedBefore) count(ui.rejoins);
      joinedBefore = true;
      paintChannel("joined");
      closeOutage("back", (seconds) => `back after ${seconds} s`);
      notify("");
    })
    .receive("error", (reply) => {
      if (!current()) return;
      paintChannel("joining");
      notify(`${room} did not let you in: ${reply?.reason ?? "no reason given"}. Trying again.`);
    })
    .receive("timeout", () => {
      if (!current()) return;
      paintChannel("joining");
      notify(`${room} does not answer. Trying again.`);
    });
}

function channelErred(socket) {
  paintSocket();
  // The client errs its channels when the socket drops, too. That is an outage of the road, not a crash of the process.
  if (!socket.isConnected()) {
    paintChannel("joining");
    return;
  }
  count(ui.crashes);
  openOutage();
  paintChannel("crashed");
}

function channelClosed() {
  closeOutage("gone", () => "closed before it came back");
  paintChannel("left");
  notify("The server closed this room. Choose a room to join again.");
}

function leaveRoom() {
  const channel = here?.channel;
  if (!channel) return;
  // First no longer current, so that the close this causes is not taken for one by the server.
  here.channel = null;
  closeOutage("gone", () => "left before it came back");
  channel.leave();
  paintChannel("left");
}

function disconnect() {
  if (!here) return;
  leaveRoom();
  const { socket } = here;
  here = null;
  socket.disconnect();
  paintSocket();
}

function sendMessage(body) {
  const { channel, room } = here;
  const current = () => here?.channel === channel;
  channel.push("message", { body })
    .receive("ok", () => current() && notify(""))
    .receive("error", (reply) => {
      if (!current()) return;
      notify(`Not sent: ${reply?.reason ?? "no reason given"}.`);
      giveBack(body);
    })
    .receive("timeout", () => {
      if (current()) {
        notify("No answer from the room; your message may not have been sent.");
        giveBack(body);
      } else {
        notify(`You left ${room} before your last message there was confirmed.`);
      }
    });
}

function giveBack(body) {
  if (ui.body.value !== "") return;
  ui.body.value = body;
  paintRoomLeft();
}

// ---- going places

function showEntry(room) {
  disconnect();
  paintChannel("left");
  ui.app.hidden = true;
  ui.entry.hidden = false;
  ui.room.value = room || recall("room") || ROOM_DEFAULT;
  ui.name.value = recall("name") || friendlyName();
  document.title = "Heronry chat";
}

function showRoom(room, name) {
  ui.entry.hidden = true;
  ui.app.hidden = false;
  ui.heading.textContent = room;
  ui.me.textContent = name;
  document.title = `${room} · Heronry chat`;

  const listed = ["lobby", "nests", "reeds"].includes(room);
  ui.elsewhere.hidden = listed;
  ui.elsewhere.dataset.room = ui.elsewhere.textContent = listed ? "" : room;
  for (const link of document.querySelectorAll("a[data-room]")) {
    link.href = addressOf(link.dataset.room, name);
    if (link.dataset.room === room) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  ui.messages.replaceChildren();
  ui.log.replaceChildren();
  stick(true);
  notify("");
}

function enterRoom(room, name) {
  if (here && here.name !== name) disconnect();
  if (here?.room === room && ui.channel.textContent !== "left") return;
  remember("room", room);
  remember("name", name);
  showRoom(room, name);
  if (!here) connect(name);
  joinRoom(room);
}

function travel(room, name) {
  const address = addressOf(room, name);
  if (location.pathname + location.search !== address) history.pushState(null, "", address);
  enterRoom(room, name);
}

function followAddress() {
  const { room, name } = readAddress();
  if (room && name) enterRoom(room, name);
  else showEntry(room);
}

window.addEventListener("popstate", followAddress);

ui.enter.addEventListener("submit", (event) => {
  event.preventDefault();
  const room = ui.room.value.trim();
  const name = ui.name.value.trim();
  if (!room || !name) return;
  travel(room, name);
  // Not on a touch screen: its keyboard would jump up over a room one has not seen yet.
  if (matchMedia("(pointer: fine)").matches) ui.body.focus();
});

ui.app.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-room]");
  // With a modifier the browser opens its own tab or window, as for any link.
  if (!link || !here || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  travel(link.dataset.room, here.name);
});

ui.go.addEventListener("submit", (event) => {
  event.preventDefault();
  const room = ui.other.value.trim();
  if (!room || !here) return;
  ui.other.value = "";
  travel(room, here.name);
});

ui.leave.addEventListener("click", () => {
  history.pushState(null, "", "/");
  showEntry("");
  ui.room.focus();
});

// ---- saying and crashing

function paintRoomLeft() {
  const length = ui.body.value.length;
  ui["room-left"].textContent = length < BODY_CHARS_WARN ? "" : `${BODY_CHARS_MAX - length} left`;
}

ui.body.addEventListener("input", paintRoomLeft);

ui.form.addEventListener("submit", (event) => {
  event.preventDefault();
  // `maxlength` holds a typing person only, not a value set from a script.
  const body = ui.body.value.trim().slice(0, BODY_CHARS_MAX);
  if (!body) return;
  if (!here?.channel || ui.channel.textContent === "left") {
    notify("You are in no room. Choose one above, then send.");
    return;
  }
  ui.body.value = "";
  paintRoomLeft();
  stick(true);
  sendMessage(body);
});

ui.crash.addEventListener("click", () => {
  // Not through the push buffer: a crash that waits would strike the channel just as it has come back.
  if (ui.channel.textContent !== "joined") {
    notify("Your channel is not up at the moment; wait until it has joined.");
    return;
  }
  // The process dies before it could answer, so silence is the good case and only a refusal is worth a word.
  here.channel.push("crash", {}).receive("error", (reply) => {
    notify(`The room would not crash: ${reply?.reason ?? "no reason given"}.`);
  });
});

followAddress();
