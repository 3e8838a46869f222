// The official SDK against one site. Prints what happens, one JSON value a line.
import WebSocket from "ws";

const { WS_URL, TOKENS, SCENARIO, SDK, SIGNING_KEY } = process.env;
const sdk = await import(SDK);
const Centrifuge = sdk.Centrifuge ?? sdk.default.Centrifuge;
const tokens = JSON.parse(TOKENS);
// In Protobuf payloads are bytes, which this site reads as JSON.
const isBinary = SDK.endsWith("/protobuf");
const pack = (value) => (isBinary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const read = (data) => (isBinary ? JSON.parse(new TextDecoder().decode(data)) : data);
const print = (...values) => console.log(JSON.stringify(values));
const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));

function client(options = {}) {
  const made = new Centrifuge(WS_URL, { websocket: WebSocket, minReconnectDelay: 50, ...options });
  made.on("error", ({ error }) => print("error", error.code));
  return made;
}

class Cuttable extends WebSocket {
  constructor(...args) {
    super(...args);
    Cuttable.latest = this;
  }
}

const scenarios = {
  async talk() {
    let asked = 0;
    const alice = client({ getToken: async () => (asked++, tokens.alice) });
    const bob = client({ token: tokens.bob });
    const rooms = [alice, bob].map((who) => who.newSubscription("lobby"));
    const heard = rooms.map((room) => once(room, "publication"));
    const joined = rooms.map((room) => once(room, "subscribed"));
    rooms.forEach((room) => room.subscribe());
    alice.connect();
    bob.connect();
    await Promise.all(joined);
    await rooms[0].publish(pack({ text: "hi" }));
    for (const { data, info, offset } of await Promise.all(heard)) {
      print("heard", read(data), read(info.connInfo).name, offset > 0);
    }
    print("asked", asked);
    const staff = alice.newSubscription("absent");
    const refused = once(staff, "unsubscribed");
    staff.subscribe();
    print("refused", (await refused).code);
    await alice.publish("announcements", pack(1)).catch((error) => print("publish refused", error.code));
    await alice.rpc("nothing", pack({})).catch((error) => print("rpc refused", error.code));
    const left = once(rooms[1], "unsubscribed");
    rooms[1].unsubscribe();
    print("left", (await left).code);
    alice.disconnect();
    bob.disconnect();
  },

  async refresh() {
    // Short tokens: the socket must outlive several of them.
    let asked = 0;
    const alice = client({ getToken: async () => tokens.short[Math.min(asked++, tokens.short.length - 1)] });
    const states = [];
    alice.on("state", ({ newState }) => states.push(newState));
    const room = alice.newSubscription("lobby");
    room.subscribe();
    alice.connect();
    await once(room, "subscribed");
    while (asked < 3) await new Promise((resolve) => setTimeout(resolve, 50));
    const heard = once(room, "publication");
    await room.publish(pack("still here"));
    print("heard", read((await heard).data));
    print("states", states);
    alice.disconnect();
  },

  async recover() {
    // The network is cut while bob goes on talking.
    const alice = client({ token: tokens.alice, websocket: Cuttable, minReconnectDelay: 1000 });
    const bob = client({ token: tokens.bob });
    const room = alice.newSubscription("lobby");
    const offsets = [];
    room.on("subscribed", ({ wasRecovering, recovered }) => print("subscribed", wasRecovering, recovered));
    room.on("publication", ({ data, offset }) => {
      offsets.push(offset);
      print("heard", read(data));
    });
    room.subscribe();
    alice.connect();
    bob.connect();
    await once(room, "subscribed");
    await bob.ready();
    const first = once(room, "publication");
    await bob.publish("lobby", pack("before"));
    await first;
    Cuttable.latest.terminate();
    for (const n of [1, 2, 3]) await bob.publish("lobby", pack(n));
    await once(room, "subscribed");
    while (offsets.length < 4) await once(room, "publication");
    print("in a row", offsets.every((offset, index) => offset === offsets[0] + index));
    print("history", (await room.history({ limit: 2, reverse: true })).publications.map((it) => read(it.data)));
    const { clients } = await room.presence();
    // Somebody of the test before this one may have gone a moment ago, and be listed still.
    print("present", Object.values(clients).some((it) => read(it.connInfo).name === "alice"));
    const { numClients, numUsers } = await room.presenceStats();
    print("stats", numClients >= numUsers && numUsers > 0);
    alice.disconnect();
    bob.disconnect();
  },

  async beginning() {
    // An app that loads its state itself, and knows no position in the room.
    const bob = client({ token: tokens.bob });
    bob.connect();
    await bob.ready();
    for (const n of [1, 2, 3]) await bob.publish("beginning", pack(n));
    const { offset } = await bob.history("beginning", { limit: 0 });
    let asked = 0;
    const room = bob.newSubscription("beginning", { getState: async () => (asked++, {}) });
    const heard = [];
    const all = new Promise((resolve) => {
      room.on("publication", (message) => {
        heard.push(read(message.data));
        if (message.offset === offset) resolve();
      });
    });
    room.subscribe();
    await all;
    print("heard", heard.slice(-3), "asked", asked);
  },

  async state() {
    // Bob counts without a pause. Alice enters: what her state does not have follows as messages.
    const [alice, bob] = [client({ token: tokens.alice }), client({ token: tokens.bob })];
    bob.connect();
    await bob.ready();
    let counting = true;
    let count = 0;
    const counted = (async () => {
      while (counting) {
        await bob.publish("counts/1", pack(++count));
        await new Promise((resolve) => setTimeout(resolve, 20)); // within the allowance
      }
    })();
    while (count < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    const room = alice.newSubscription("counts/1");
    const heard = [];
    room.on("publication", ({ data }) => heard.push(read(data)));
    const joined = once(room, "subscribed");
    room.subscribe();
    alice.connect();
    const { data } = await joined;
    const state = read(data).count;
    while (heard.length < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    counting = false;
    await counted;
    print("state", state >= 20, "none is missing", heard[0] <= state + 1 && heard.every((n, i) => n === heard[0] + i));
    alice.disconnect();
    bob.disconnect();
  },

  async interrupted() {
    // The handler throws at the first message that is recovered: the client stops, and is started again.
    process.on("unhandledRejection", () => {});
    const alice = client({ token: tokens.alice, websocket: Cuttable, minReconnectDelay: 1000 });
    const bob = client({ token: tokens.bob });
    const room = alice.newSubscription("lobby");
    const heard = [];
    let failed = false;
    alice.on("disconnected", () => alice.connect());
    const all = new Promise((resolve) => {
      room.on("publication", ({ data }) => {
        if (!failed) {
          failed = true;
          throw new Error("not handled");
        }
        heard.push(read(data));
        if (read(data) === 3) resolve();
      });
    });
    room.subscribe();
    alice.connect();
    bob.connect();
    await Promise.all([once(room, "subscribed"), bob.ready()]);
    Cuttable.latest.terminate();
    for (const n of [1, 2, 3]) await bob.publish("lobby", pack(n));
    await all;
    print("heard", heard);
  },

  async presence() {
    const [alice, bob] = [client({ token: tokens.alice }), client({ token: tokens.bob })];
    const room = alice.newSubscription("announcements", { joinLeave: true });
    const seen = new Promise((resolve) => {
      for (const event of ["join", "leave"]) {
        room.on(event, ({ info }) => {
          print(event, read(info.connInfo).name);
          if (event === "leave") resolve();
        });
      }
    });
    room.subscribe();
    alice.connect();
    await once(room, "subscribed");
    const there = bob.newSubscription("announcements");
    there.subscribe();
    bob.connect();
    await once(there, "subscribed");
    bob.disconnect();
    await seen;
    alice.disconnect();
  },

  async granted() {
    // Carol is let into a room by tokens for that room, each for two seconds; the third one is none.
    const { default: jwt } = await import("jsonwebtoken");
    const user = String(jwt.decode(tokens.carol).user_id);
    const grant = () =>
      jwt.sign({ token_type: "subscription", channel: "staff", sub: user }, SIGNING_KEY, { expiresIn: 2 });
    let asked = 0;
    const carol = client({ token: tokens.carol });
    const getToken = async () => (asked++ < 2 ? grant() : null);
    const room = carol.newSubscription("staff", { getToken });
    const left = once(room, "unsubscribed");
    const states = [];
    room.on("state", ({ newState }) => states.push(newState));
    room.subscribe();
    carol.connect();
    await once(room, "subscribed");
    await room.publish(pack(1)).catch((error) => print("publish refused", error.code));
    print("history", (await room.history({ limit: 1 })).publications.length);
    print("left", (await left).code, "asked", asked, states);
    carol.disconnect();
  },

  async put_into() {
    // The site puts each user into the personal room and the lobby.
    const alice = client({ token: tokens.alice, websocket: Cuttable, minReconnectDelay: 1000 });
    const bob = client({ token: tokens.bob });
    const entered = (count) => new Promise((resolve) => {
      const rooms = [];
      alice.on("subscribed", ({ channel, recoverable, wasRecovering, recovered }) => {
        rooms.push([channel, recoverable, wasRecovering, recovered]);
        if (rooms.length === count) resolve(rooms.sort());
      });
    });
    const heard = [];
    const all = new Promise((resolve) => {
      alice.on("publication", ({ channel, data }) => {
        heard.push([channel, read(data)]);
        if (heard.length === 3) resolve();
      });
    });
    const first = entered(2);
    alice.connect();
    bob.connect();
    print("subscribed", await first);
    await bob.ready();
    await bob.publish("lobby", pack(1));
    alice.removeAllListeners("subscribed");
    const again = entered(2);
    Cuttable.latest.terminate();
    for (const n of [2, 3]) await bob.publish("lobby", pack(n));
    print("subscribed", await again);
    await all;
    print("heard", heard);
    alice.disconnect();
    bob.disconnect();
  },

  async expired() {
    // There is a room to subscribe to: older SDKs do it in the frame of the connect command.
    const given = [tokens.expired, tokens.alice];
    const alice = client({ getToken: async () => given.shift() });
    const room = alice.newSubscription("lobby");
    room.subscribe();
    alice.connect();
    await once(room, "subscribed");
    print("subscribed, tokens left", given.length);
    alice.disconnect();
  },

  async invalid() {
    const mallory = client({ token: "not.a.token" });
    mallory.connect();
    print("disconnected", (await once(mallory, "disconnected")).code);
  },
};

await scenarios[SCENARIO]();
process.exit(0);
