// The browser client without a browser: a WebSocket and a clock of the test. `node --test` runs it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { beforeEach, mock, test } from "node:test";

const source = await readFile(new URL("../../../realtime/static/realtime/client.js", import.meta.url));
const asModule = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
const { Realtime, RealtimeError } = await import(asModule(source));

const settled = () => new Promise((resolve) => setImmediate(resolve));

let sockets, answers, page;

// What a server answers to each command; a test replaces what it is about.
const usual = {
  connect: () => ({ client: "c", ping: 25, pong: true }),
  subscribe: () => ({ recoverable: true, epoch: "e", offset: 0 }),
  unsubscribe: () => ({}),
  publish: () => ({}),
  refresh: () => ({ expires: true, ttl: 300 }),
  rpc: ({ data }) => ({ data }),
};

class Socket {
  sent = [];

  constructor(url) {
    this.url = String(url);
    sockets.push(this);
    queueMicrotask(() => this.onopen?.());
  }

  send(text) {
    for (const command of text.split("\n").map((line) => JSON.parse(line))) {
      const { id, ...body } = command;
      const [name] = Object.keys(body);
      if (!id) continue;
      this.sent.push([name, body[name]]);
      const answer = answers[name](body[name]);
      if (!answer) continue;
      this.say(answer instanceof RealtimeError ? { id, error: answer } : { id, [name]: answer });
    }
  }

  say(...frames) {
    const text = frames.map((frame) => JSON.stringify(frame)).join("\n");
    queueMicrotask(() => this.onmessage?.({ data: text }));
  }

  publication(offset, channel = "lobby") {
    this.say({ push: { channel, pub: { offset, data: offset } } });
  }

  cut(code = 1006) {
    this.onclose?.({ code, reason: "" });
  }

  close() {}

  bodies(name) {
    return this.sent.filter(([sent]) => sent === name).map(([, body]) => body);
  }
}

globalThis.WebSocket = Socket;
const window = new EventTarget();
globalThis.addEventListener = window.addEventListener.bind(window);
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible", querySelector: () => null });

const latest = () => sockets.at(-1);

function happens(target, type, facts = {}) {
  target.dispatchEvent(Object.assign(new Event(type), facts));
  return settled();
}

async function pass(ms) {
  mock.timers.tick(ms);
  await settled();
}

/** A client of `options`, that is closed after the test. */
function client(options = {}) {
  page = new Realtime({ url: "ws://here/ws/", ...options });
  return page;
}

/** A room in which `heard` collects what is said. */
function listening(room) {
  const heard = [];
  room.on("message", ({ data }) => heard.push(data));
  return heard;
}

beforeEach((context) => {
  page?.close();
  sockets = [];
  answers = { ...usual };
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  mock.method(Math, "random", () => 0.5);
});

test("nothing connects before the first use", async () => {
  client();
  await settled();
  assert.equal(sockets.length, 0);
  assert.equal(page.state, "closed");
  page.room("lobby"); // it may be of use only later
  await settled();
  assert.equal(sockets.length, 0);
  listening(page.room("lobby"));
  await settled();
  assert.equal(page.state, "connected");
});

test("the id of the connection tells the page its own messages", async () => {
  answers.connect = () => ({ client: `c${sockets.length}` });
  client().connect();
  await settled();
  assert.equal(page.client, "c1");
  latest().cut();
  assert.equal(page.client, null);
  await pass(1_000);
  assert.equal(page.client, "c2");
});

test("commands and rooms wait for the connection", async () => {
  client();
  const sum = page.rpc("sum", 3);
  listening(page.room("lobby"));
  await settled();
  assert.equal(await sum, 3);
  assert.equal(sockets.length, 1);
});

test("a room calls the methods of its type", async () => {
  client();
  let asked;
  answers.rpc = ({ method, data }) => ((asked = method), { data });
  assert.deepEqual(await page.room("orders/42").rpc("cancel", { why: "late" }), { why: "late" });
  assert.equal(asked, "orders/42:cancel");
});

test("a command that finds no connection in time is refused, and may be tried again", async () => {
  answers.connect = () => null;
  client();
  const sum = page.rpc("sum", 3);
  const refused = assert.rejects(sum, { name: "Away", code: 0, temporary: true });
  await settled();
  await pass(10_001);
  await refused;
});

test("rooms that are named together are entered in one frame", async () => {
  client();
  for (const name of ["a", "b", "c"]) listening(page.room(name));
  await settled();
  assert.deepEqual(latest().bodies("subscribe").map(({ channel }) => channel), ["a", "b", "c"]);
});

for (const nothing of [undefined, null, ""]) {
  test(`a token of ${JSON.stringify(nothing)} is none`, async () => {
    client({ getToken: () => nothing }).connect();
    await settled();
    assert.deepEqual(latest().bodies("connect"), [{}]);
  });
}

test("a ticket is asked for at each connect", async () => {
  let last = 0;
  client({ getTicket: async () => `t${++last}` }).connect();
  await settled();
  latest().cut();
  await pass(1_000);
  assert.deepEqual(sockets.map(({ url }) => url), ["ws://here/ws/?ticket=t1", "ws://here/ws/?ticket=t2"]);
  assert.deepEqual(latest().bodies("connect"), [{}]);
});

test("a token and a ticket are one too many", () => {
  assert.throws(() => new Realtime({ url: "ws://here/", getToken() {}, getTicket() {} }), TypeError);
});

test("errors have a name", async () => {
  assert.equal(new RealtimeError(103, "no").name, "PermissionDenied");
  assert.equal(new RealtimeError(450, "closed on Sundays").name, "Rejected");
  assert.ok(new RealtimeError(100, "", true) instanceof Error);
  answers.rpc = () => new RealtimeError(104, "method not found");
  await assert.rejects(client().rpc("sum"), { name: "MethodNotFound", code: 104, temporary: false });
});

test("reconnects have full jitter: from at once to twice as long each time, up to 20 s", async () => {
  const waits = [];
  for (const random of [0, 0.999]) {
    Math.random.mock.mockImplementation(() => random);
    client().connect();
    await settled();
    answers.connect = () => null;
    for (let attempt = 0; attempt < 7; attempt++) {
      const before = sockets.length;
      const start = Date.now();
      latest().cut();
      while (sockets.length === before) await pass(100);
      waits.push(Date.now() - start);
    }
    page.close();
    answers.connect = usual.connect;
  }
  assert.deepEqual(waits.slice(0, 7), Array(7).fill(100)); // the test looks every 100 ms
  assert.deepEqual(waits.slice(7), [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
});

test("after a return the room goes on where it was", async () => {
  answers.subscribe = ({ offset }) =>
    offset
      ? { recoverable: true, was_recovering: true, recovered: true, epoch: "e", offset, publications: [3, 4].map((n) => ({ offset: n, data: n })) }
      : { recoverable: true, epoch: "e", offset: 0 };
  const room = client().room("lobby");
  const heard = listening(room);
  const recovered = [];
  room.on("recovered", ({ count }) => recovered.push(count));
  await settled();
  latest().publication(1);
  latest().publication(2);
  await settled();
  latest().cut();
  await pass(1_000);
  assert.deepEqual(latest().bodies("subscribe"), [{ channel: "lobby", recover: true, epoch: "e", offset: 2 }]);
  assert.deepEqual(heard, [1, 2, 3, 4]);
  assert.deepEqual(recovered, [2]);
  assert.deepEqual(room.position, { epoch: "e", offset: 4 });
});

test("a gap is said", async () => {
  answers.subscribe = () => ({ recoverable: true, was_recovering: true, recovered: false, epoch: "f", offset: 9 });
  const room = client().room("lobby", { since: "e:3" });
  const events = [];
  for (const event of ["gap", "recovered"]) room.on(event, () => events.push(event));
  await settled();
  assert.deepEqual(events, ["gap"]);
  assert.deepEqual(room.position, { epoch: "f", offset: 9 });
});

test("since: from a position that is in the page, and from the earliest of several", async () => {
  client();
  for (const offset of [7, 5, 6]) page.room("lobby", { since: { epoch: "e", offset } });
  page.room("lobby", { since: "e:8" });
  page.room("news", { since: "a:b:12" });
  for (const name of ["lobby", "news"]) listening(page.room(name));
  await settled();
  assert.deepEqual(latest().bodies("subscribe"), [
    { channel: "lobby", recover: true, epoch: "e", offset: 5 },
    { channel: "news", recover: true, epoch: "a:b", offset: 12 },
  ]);
});

test("a listener of people that comes late: nothing is lost, nothing comes twice", async () => {
  const room = client().room("lobby");
  const heard = listening(room);
  await settled();
  latest().publication(1);
  await settled();
  answers.subscribe = ({ offset }) => ({
    recoverable: true, was_recovering: true, recovered: true, epoch: "e", offset,
    publications: [{ offset: 2, data: 2 }],
  });
  room.on("enter", ({ user }) => heard.push(user));
  latest().publication(2); // on its way while the room is entered again
  await settled();
  latest().say({ push: { channel: "lobby", join: { info: { user: "7" } } } });
  await settled();
  assert.deepEqual(heard, [1, 2, "7"]);
  assert.equal(latest().bodies("unsubscribe").length, 1);
  assert.equal(latest().bodies("subscribe").at(-1).join_leave, true);
});

test("several scripts of a page share a room; who comes late hears the state", async () => {
  answers.subscribe = () => ({ data: { stock: 3 } });
  const one = listening(client().room("lobby"));
  await settled();
  const states = [];
  const other = listening(page.room("lobby"));
  page.room("lobby").on("state", (state) => states.push(state));
  latest().say({ push: { channel: "lobby", pub: { data: "hello" } } });
  await settled();
  assert.deepEqual([one, other, states], [["hello"], ["hello"], [{ stock: 3 }]]);
  assert.deepEqual(page.room("lobby").state, { stock: 3 });
  assert.equal(latest().bodies("subscribe").length, 1);
});

test("the personal room of the user", async () => {
  assert.equal(client().user, null);
  const heard = listening(client({ userRoom: "_user/7" }).user);
  await settled();
  latest().publication(1, "_user/7");
  await settled();
  assert.deepEqual(heard, [1]);
});

test("leaving forgets the listeners; listening again comes back", async () => {
  const room = client().room("lobby");
  const before = listening(room);
  await settled();
  await room.leave();
  assert.equal(room.joined, false);
  const after = listening(room);
  await settled();
  latest().publication(1);
  await settled();
  assert.deepEqual([before, after], [[], [1]]);
});

test("what `on` returns stops one listener", async () => {
  const room = client().room("lobby");
  const heard = [];
  const stop = room.on("message", () => heard.push("stopped"));
  const others = listening(room);
  await settled();
  stop();
  latest().publication(1);
  await settled();
  assert.deepEqual([heard, others], [[], [1]]);
});

test("a refused room is not tried again; a temporary error is", async () => {
  const errors = [new RealtimeError(111, "too many requests", true), new RealtimeError(103, "permission denied")];
  answers.subscribe = () => errors.shift();
  const refused = [];
  client().room("lobby").on("refused", ({ name }) => refused.push(name));
  await settled();
  assert.deepEqual(refused, []);
  await pass(1_000);
  assert.deepEqual(refused, ["PermissionDenied"]);
});

test("a listener that throws stops no other", async () => {
  const room = client().room("lobby");
  const reported = [];
  globalThis.reportError = ({ message }) => reported.push(message);
  room.on("message", () => assert.fail("broken"));
  const heard = listening(room);
  await settled();
  latest().publication(1);
  await settled();
  assert.deepEqual([heard, reported], [[1], ["broken"]]);
});

test("a token is renewed before it ends", async () => {
  answers.connect = () => ({ expires: true, ttl: 300, ping: 0 });
  const asked = [];
  client({ getToken: ({ fresh }) => `t${asked.push(fresh)}` }).connect();
  await settled();
  await pass(284_000);
  assert.deepEqual(asked, [false]);
  await pass(1_500);
  assert.deepEqual(asked, [false, true]);
  assert.deepEqual(latest().bodies("refresh"), [{ token: "t2" }]);
});

test("a session has no token that could be renewed", async () => {
  answers.connect = () => ({ expires: true, ttl: 20, ping: 0 });
  client().connect();
  await settled();
  await pass(60_000);
  assert.equal(latest().bodies("refresh").length, 0);
});

test("after a sleep the clock counts, not the timers", async () => {
  answers.connect = () => ({ expires: true, ttl: 300, ping: 25 });
  const asked = [];
  client({ getToken: ({ fresh }) => `t${asked.push(fresh)}` }).connect();
  await settled();
  const timers = Date.now;
  globalThis.Date.now = () => timers() + 3_600_000;
  await happens(globalThis.document, "visibilitychange");
  assert.equal(sockets.length, 2, "the silent socket was kept");
  assert.deepEqual(asked, [false, true], "the token that has ended was shown again");
  globalThis.Date.now = () => timers() + 7_200_000;
  await pass(5_000); // without any event, it is noticed within 5 s
  await pass(1_000);
  assert.equal(sockets.length, 3);
});

for (const [away, back] of [["freeze", "resume"], ["pagehide", "pageshow"]]) {
  test(`a page that gets ${away} closes quietly; ${back} brings it back`, async () => {
    const room = client().room("lobby");
    const heard = listening(room);
    await settled();
    latest().publication(1);
    await settled();
    const target = away === "freeze" ? globalThis.document : window;
    await happens(target, away, { persisted: true });
    assert.equal(latest().onmessage, null);
    await pass(60_000);
    assert.equal(sockets.length, 1, "it tried while it slept");
    await happens(target, back, { persisted: true });
    assert.deepEqual(latest().bodies("subscribe"), [{ channel: "lobby", recover: true, epoch: "e", offset: 1 }]);
    assert.deepEqual(heard, [1]);
  });
}

test("without a network nothing waits for it; when it is back, at once", async () => {
  client().connect();
  await settled();
  await happens(window, "offline");
  assert.equal(page.state, "connecting");
  await happens(window, "online");
  assert.equal(page.state, "connected");
});

test("a closed client stays closed", async () => {
  listening(client().room("lobby"));
  await settled();
  page.close();
  await happens(window, "online");
  await happens(globalThis.document, "freeze");
  await happens(globalThis.document, "resume");
  listening(page.room("lobby"));
  await settled();
  assert.equal(sockets.length, 1);
  await assert.rejects(page.rpc("sum"), { code: 0 });
});

test("the handlers of `subscribe` wait for connect()", async () => {
  const heard = [];
  client().subscribe("lobby", { onMessage: ({ data }) => heard.push(data), onEnter() {}, onJoined: () => heard.push("joined") });
  await settled();
  assert.equal(sockets.length, 0);
  page.connect();
  await settled();
  latest().publication(1);
  await settled();
  assert.deepEqual(heard, ["joined", 1]);
  assert.equal(latest().bodies("subscribe")[0].join_leave, true);
});

test("a page that has the file twice has one client", async () => {
  globalThis.document.querySelector = () => ({ dataset: { url: "ws://here/ws/" } });
  const one = await import(asModule(`${source}//1`));
  const two = await import(asModule(`${source}//2`));
  assert.notEqual(one.Realtime, two.Realtime);
  assert.equal(one.realtime, two.realtime);
  assert.equal(globalThis.realtime, one.realtime);
});

test("the types name everything that is public", async () => {
  const types = await readFile(new URL("../../../realtime/static/realtime/client.d.ts", import.meta.url), "utf8");
  const room = client().room("lobby");
  for (const { prototype } of [Realtime, room.constructor]) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      assert.match(types, new RegExp(`\\b${name}[?(<:]`), `client.d.ts has no ${name}`);
    }
  }
});
