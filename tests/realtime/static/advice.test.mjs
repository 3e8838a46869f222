// What the console says to a developer. The client is only its events here.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { beforeEach, test } from "node:test";

const source = await readFile(new URL("../../../realtime/static/realtime/advice.js", import.meta.url));

let said, client, fetched;
let copies = 0;

globalThis.location = { origin: "https://shop.example.com" };
console.warn = (text) => said.push(text);

/** Load the script for a page, and let its client meet something. */
async function meets(type, detail, { user = "alice", diagnosis } = {}) {
  globalThis.document = Object.assign(new EventTarget(), { querySelector: () => ({ dataset: { user, diagnosis } }) });
  client = globalThis.realtime = Object.assign(new EventTarget(), { url: "wss://shop.example.com/ws/" });
  await import(`data:text/javascript;base64,${source.toString("base64")}#${++copies}`);
  await again(type, detail);
}

function again(type, detail) {
  client.dispatchEvent(new CustomEvent(type, { detail }));
  return new Promise((resolve) => setTimeout(resolve));
}

function answer(response) {
  globalThis.fetch = async (url) => {
    fetched = url;
    if (response instanceof Error) throw response;
    return response;
  };
}

beforeEach(() => {
  said = [];
});

const refusal = (room, code = 103) => ({ room, error: { code, message: "permission denied" } });

test("a refused room: the command that explains it", async () => {
  await meets("refused", refusal("orders/42"));
  assert.equal(said.length, 1);
  assert.match(said[0], /^realtime: The room "orders\/42" does not exist, or the user may not enter it \(103\)\./);
  assert.match(said[0], /python manage\.py realtime explain alice orders\/42 join$/);
});

test("words of the command are safe to paste", async () => {
  await meets("refused", refusal("a room; rm -rf '~'"), { user: "o'neil" });
  assert.match(said[0], / explain 'o'\\''neil' 'a room; rm -rf '\\''~'\\''' join$/);
});

test("a visitor of whom nothing is known", async () => {
  await meets("refused", refusal("lobby"), { user: "" });
  assert.match(said[0], / explain <user> lobby join$/);
});

test("a rule of the site that refuses with its own code", async () => {
  await meets("refused", { room: "lobby", error: { code: 450, message: "closed on Sundays" } });
  assert.deepEqual(said, ['realtime: The room "lobby" can\'t be entered (450, closed on Sundays).']);
});

for (const [name, body, code, sentence] of [
  ["publish", { channel: "lobby", data: 1 }, 103, /explain alice lobby publish$/],
  ["rpc", { method: "sum" }, 104, /^realtime: rpc "sum" failed \(104, no\)\. No @rooms\.rpc/],
  ["publish", { channel: "lobby", data: 1 }, 107, /can't take what was sent: \{"channel":"lobby","data":1\}$/],
  ["history", { channel: "lobby" }, 108, /history_size and presence\.$/],
  ["publish", { channel: "lobby" }, 106, /^realtime: publish "lobby" failed \(106, no\)\.$/],
]) {
  test(`${name} that fails with ${code}`, async () => {
    await meets("failed", { name, body, error: { code, message: "no" } });
    assert.match(said[0], sentence);
  });
}

test("what is tried again by itself is no mistake", async () => {
  for (const code of [0, 100, 111]) await meets("failed", { name: "rpc", body: {}, error: { code, message: "" } });
  await meets("state", { state: "closed", code: 1000 });
  await meets("state", { state: "connecting", code: 1006 });
  assert.deepEqual(said, []);
});

test("no credential", async () => {
  await meets("state", { state: "closed", code: 101, reason: "unauthorized" });
  assert.match(said[0], /Sign in on this site first, or give a token .*getToken/);
});

test("closed for good by the server", async () => {
  await meets("state", { state: "closed", code: 3503, reason: "disconnected by the server" });
  assert.match(said[0], /closed for good \(3503, disconnected by the server\)/);
});

test("a handshake that failed: the server says why", async () => {
  const problems = ["The origin is another one.", "Nobody is signed in."];
  answer({ ok: true, json: async () => ({ url: "wss://shop.example.com/ws/", problems }) });
  await meets("unreachable", null, { diagnosis: "/realtime/diagnosis/" });
  assert.equal(fetched, "/realtime/diagnosis/?origin=https%3A%2F%2Fshop.example.com");
  assert.deepEqual(said, [
    "realtime: No WebSocket could be opened at wss://shop.example.com/ws/.\n* The origin is another one.\n* Nobody is signed in.",
  ]);
});

test("a handshake at another address than that of the site", async () => {
  answer({ ok: true, json: async () => ({ url: "wss://shop.example.com/live/" }) });
  await meets("unreachable", null, { diagnosis: "/realtime/diagnosis/" });
  assert.match(said[0], /\n\* The socket of this site is at wss:\/\/shop\.example\.com\/live\/\.$/);
});

test("a handshake that failed, and a server that does not answer or tell", async () => {
  answer(new TypeError("Failed to fetch"));
  await meets("unreachable", null, { diagnosis: "/realtime/diagnosis/" });
  assert.match(said[0], /does not answer at \/realtime\/diagnosis\/ either/);
  answer({ ok: false });
  await meets("unreachable", null, { diagnosis: "/realtime/diagnosis/" });
  assert.match(said[1], /ws\/\.$/);
  await meets("unreachable", null);
  assert.match(said[2], /include\("realtime\.urls"\)/);
});

test("a policy that forbids the socket", async () => {
  await meets("state", { state: "connecting" });
  const violation = { blockedURI: "wss://live.example.com/ws/", effectiveDirective: "connect-src" };
  document.dispatchEvent(Object.assign(new Event("securitypolicyviolation"), violation));
  assert.ok(said.includes("realtime: The Content-Security-Policy forbids wss://live.example.com/ws/. Add it to connect-src."));
});

test("a sentence is said once, until the page is connected again", async () => {
  await meets("refused", refusal("lobby"));
  await again("refused", refusal("lobby"));
  assert.equal(said.length, 1);
  await again("state", { state: "connected" });
  await again("refused", refusal("lobby"));
  assert.equal(said.length, 2);
});

test("a server that closes twice in a row has the reason in its log", async () => {
  const lost = { state: "connecting", code: 3004, reason: "internal server error" };
  await meets("state", lost);
  assert.deepEqual(said, []);
  await again("state", { state: "connecting" });
  await again("state", lost);
  await again("state", lost);
  assert.equal(said.length, 1);
  assert.match(said[0], /closes the connection \(3004, internal server error\): its log says why\. Is Redis running\?$/);
});

/** A client with rooms, as client.js has them. */
function withRooms() {
  class Room {
    on(event) {
      return `listens to ${event}`;
    }
  }
  const client = Object.assign(new EventTarget(), { url: "", room: () => new Room(), on: () => "listens" });
  globalThis.document = Object.assign(new EventTarget(), { querySelector: () => ({ dataset: {} }) });
  globalThis.realtime = client;
  return import(`data:text/javascript;base64,${source.toString("base64")}#${++copies}`).then(() => client);
}

test("a slip in the name of an event", async () => {
  const client = await withRooms();
  assert.equal(client.room("lobby").on("mesage"), "listens to mesage");
  assert.match(said[0], /^realtime: There is no event "mesage"\. Is it "message"\? All: message, joined,/);
  client.on("rigths");
  assert.match(said[1], /Is it "rights"\?/);
});

test("the names of all events are known", async () => {
  const types = await readFile(new URL("../../../realtime/static/realtime/client.d.ts", import.meta.url), "utf8");
  const client = await withRooms();
  for (const [kind, on] of [["RoomEvents", (event) => client.room("a").on(event)], ["RealtimeEvents", client.on]]) {
    const body = types.split(`export interface ${kind}`)[1].split("\n}")[0];
    for (const [, event] of body.matchAll(/^ {2}(\w+)\??:/gm)) on(event);
  }
  assert.deepEqual(said, []);
});
