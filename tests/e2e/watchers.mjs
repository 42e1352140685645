// Members of one topic on several nodes, each with the official client's `Presence` as it comes: node watchers.mjs http://A http://B ...
//
// They live until they are ended, and are asked over HTTP, at the address that is printed as `watching at ADDRESS`:
//
// /view          what each shows, as { user: { shown: { key: [ref] }, told: ["+key ref", "-key ref"] } }
// /forget        what they were told so far is forgotten
// /join/N/USER   one more, on the N-th node
// /leave/USER    one goes

import { createServer } from "node:http";
import { Presence, Socket } from "phoenix";
import WebSocket from "ws";

const nodes = process.argv.slice(2).map((url) => new URL(url));
const TOPIC = "presence:watched";
const members = new Map();

function join(node, user) {
  // How it connects again, and joins again, is the client's affair.
  const socket = new Socket(`ws://${nodes[node].host}/socket`, { transport: WebSocket, params: { user_id: user } });
  socket.connect();
  const channel = socket.channel(TOPIC, {});
  const presence = new Presence(channel);
  const told = [];
  const tell = (sign, key, { metas }) => metas.forEach(({ phx_ref }) => told.push(`${sign}${key} ${phx_ref}`));
  presence.onJoin((key, _, joined) => tell("+", key, joined));
  presence.onLeave((key, _, left) => tell("-", key, left));
  channel.join();
  members.set(user, { socket, presence, told });
}

function leave(user) {
  members.get(user)?.socket.disconnect();
  members.delete(user);
}

const shown = ({ state }) => Object.fromEntries(Object.entries(state).map(([key, { metas }]) => [key, metas.map(({ phx_ref }) => phx_ref).sort()]));

const answers = {
  view: () => Object.fromEntries([...members].map(([user, { presence, told }]) => [user, { shown: shown(presence), told }])),
  forget: () => members.forEach(({ told }) => (told.length = 0)),
  join: (node, user) => join(Number(node), user),
  leave,
};

const asked = createServer(({ url }, response) => {
  const [what, ...args] = url.slice(1).split("/");
  response.end(JSON.stringify(answers[what](...args) ?? null));
});
asked.listen(0, "127.0.0.1", () => console.log(`watching at 127.0.0.1:${asked.address().port}`));
