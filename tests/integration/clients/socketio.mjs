// The stock client of Socket.IO against one site, or two. Prints what happens, one JSON value a line.
import jwt from "jsonwebtoken";
import { Manager, io } from "socket.io-client";

const { SITE_URLS, SCENARIO, TRANSPORTS, KEY, CLAIMS } = process.env;
const [url, otherUrl = url] = JSON.parse(SITE_URLS);
const transports = JSON.parse(TRANSPORTS);
const claims = JSON.parse(CLAIMS);
const print = (...values) => console.log(JSON.stringify(values));
const once = (emitter, name) => new Promise((resolve) => emitter.once(name, (...args) => resolve(args)));
const sign = (user, more = {}) => jwt.sign({ ...claims[user], ...more }, KEY, { expiresIn: "5m" });
const sockets = [];

function connect(options = {}, at = url) {
  const socket = io(at, { transports, forceNew: true, reconnectionDelay: 50, ...options });
  sockets.push(socket);
  return socket;
}

const connected = async (user, options = {}) => {
  const socket = connect({ auth: { token: sign(user) }, ...options });
  await once(socket, "connect");
  return socket;
};

function cut(socket) {
  // As when the network is gone.
  const gone = once(socket, "disconnect");
  socket.io.engine.close();
  return gone;
}

const scenarios = {
  async article() {
    // The token in the query, as the article has it.
    const alice = connect({ query: { token: sign("alice") } });
    const bob = connect({ auth: { token: sign("bob") } });
    const heard = [alice, bob].map((socket) => once(socket, "chat message"));
    await Promise.all([once(alice, "joined"), once(bob, "joined")]);
    alice.emit("chat message", "hello");
    for (const args of await Promise.all(heard)) print("heard", args[0], args.length);
    const wrong = connect({ auth: { token: jwt.sign({ user_id: "1" }, "not the shared secret") } });
    const [error] = await once(wrong, "connect_error");
    print("refused", error.message, error.data.code);
    const [refused] = await once(connect({ query: { token: "x.y.z" } }), "connect_error");
    print("refused", refused.message, refused.data.code);
    const [nobody] = await once(connect(), "connect_error");
    print("refused", nobody.message, nobody.data.code);
    // A scope in the token narrows what its user may do.
    const reader = await connected("bob", { auth: { token: sign("bob", { scope: "realtime:join" }) } });
    print("narrowed", await reader.emitWithAck("chat message", "no"));
    reader.emit("chat message", "no");
    print("narrowed", await once(reader, "error"));
  },

  async commands() {
    const alice = await connected("alice");
    const joined = await alice.emitWithAck("join", "staff");
    print("joined", joined.room, typeof joined.offset, typeof joined.epoch);
    print("again", await alice.emitWithAck("join", "staff"));
    print("absent", await alice.emitWithAck("join", "absent"));
    const heard = once(alice, "publication");
    print("published", await alice.emitWithAck("publish", "staff", { n: 1 }));
    const [{ room, name, data }, position] = await heard;
    print("heard", room, name, data, typeof position);
    const { publications, offset } = await alice.emitWithAck("history", "staff");
    print("history", publications.at(-1).data, publications.at(-1).offset === offset);
    const { presence } = await alice.emitWithAck("presence", "staff");
    print("present", Object.values(presence).map((info) => info.conn_info.name));
    print("left", await alice.emitWithAck("leave", "staff"));
    print("rpc", await alice.timeout(30_000).emitWithAck("double", 21));
    print("unknown", await alice.emitWithAck("nothing"));
    print("wrong", await alice.emitWithAck("join", 5));
    const said = [once(alice, "chat message"), once(alice, "news")];
    await alice.emitWithAck("say", "hi");
    for (const args of await Promise.all(said)) print("said", args.slice(0, -1));
    print("refreshed", (await alice.emitWithAck("refresh", sign("alice"))).expires);
    print("not refreshed", (await alice.emitWithAck("publish", "lobby")).error.code);
  },

  async binary() {
    const alice = await connected("alice");
    const bob = await connected("bob");
    const heard = [alice, bob].map((socket) => once(socket, "chat message"));
    alice.emit("chat message", Buffer.from([1, 2, 3]), { more: [Buffer.from([]), "text é"] }, "end");
    for (const [bytes, { more }, end] of await Promise.all(heard)) {
      print("heard", Buffer.isBuffer(bytes), [...bytes], [...more[0]], more[1], end);
    }
    const answer = await alice.emitWithAck("same", { a: Buffer.from([7]), b: Buffer.from([8, 9]) });
    print("answered", [...answer.a], [...answer.b]);
    const reader = await alice.emitWithAck("history", "lobby", { limit: 1, reverse: true });
    print("history", [...reader.publications[0].data.args[0]]);
  },

  async recover() {
    const alice = connect({ auth: { token: sign("alice") } });
    await once(alice, "connect");
    print("first", alice.recovered);
    const bob = await connected("bob");
    for (const socket of [alice, bob]) await socket.emitWithAck("join", "staff");
    const texts = [];
    alice.on("chat message", (text) => texts.push(text));
    alice.on("publication", ({ data }) => texts.push(data));
    for (const [room, text] of [["lobby", 1], ["staff", 2], ["lobby", 3]]) {
      await bob.emitWithAck(...(room === "lobby" ? ["chat message", text] : ["publish", room, text]));
    }
    while (texts.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    print("heard", texts);
    alice.io.uri = otherUrl;
    print("cut", (await cut(alice))[0]);
    const back = once(alice, "connect");
    for (const text of [4, 5]) await bob.emitWithAck("publish", "staff", text);
    await bob.emitWithAck("chat message", 6);
    await back;
    print("recovered", alice.recovered);
    await bob.emitWithAck("chat message", 7);
    while (texts.length < 7) await new Promise((resolve) => setTimeout(resolve, 10));
    print("heard", texts.filter((text) => text < 4), texts.filter((text) => text >= 4).sort());
    print("in a row", [4, 5].every((text) => texts.indexOf(text) < texts.indexOf(5) + 1));
    print("still in", (await alice.emitWithAck("join", "staff")).error.code);
    alice.auth = { token: sign("bob") };
    await cut(alice);
    await once(alice, "connect");
    print("of another user", alice.recovered);
  },

  async namespaces() {
    const shop = connect({ auth: { token: sign("alice") } }, url + "/shop");
    await once(shop, "connect");
    const heard = once(shop, "chat message");
    print("published", await shop.emitWithAck("chat message", "in the shop"));
    print("heard", (await heard)[0]);
    const nowhere = connect({ auth: { token: sign("alice") } }, url + "/nowhere");
    print("refused", (await once(nowhere, "connect_error"))[0].message);
    let asked = 0;
    const auth = (answer) => answer({ token: sign(asked++ ? "alice" : "bob") });
    const fresh = connect({ auth });
    await once(fresh, "connect");
    await cut(fresh);
    await once(fresh, "connect");
    print("asked", asked);
    const left = once(fresh, "disconnect");
    fresh.disconnect();
    print("left", (await left)[0]);
  },

  async several() {
    // Two users in two namespaces of one connection, as the client library does by default.
    const manager = new Manager(url, { transports, reconnectionDelay: 50 });
    const join = (name, token) => {
      const socket = manager.socket(name, { auth: { token } });
      sockets.push(socket);
      return socket;
    };
    const main = join("/", sign("alice"));
    const shop = join("/shop", sign("bob"));
    await Promise.all([main, shop].flatMap((socket) => [once(socket, "connect"), once(socket, "joined")]));
    print("two", main.id !== shop.id, main.recovered, shop.recovered);
    print("rights", (await main.emitWithAck("join", "staff")).room, await shop.emitWithAck("join", "absent"));
    let heard = [main, shop].map((socket) => once(socket, "chat message"));
    shop.emit("chat message", Buffer.from([1, 2]), "hello");
    for (const [bytes, text] of await Promise.all(heard)) print("heard", [...bytes], text);
    const nowhere = join("/nowhere", sign("alice"));
    print("refused", (await once(nowhere, "connect_error"))[0].message);
    const blog = join("/blog", "x.y.z");
    print("refused", (await once(blog, "connect_error"))[0].message, main.connected, shop.connected);
    main.disconnect();
    for (const _ of [1, 2]) await once(manager, "ping"); // the other one is pinged now
    heard = once(shop, "chat message");
    shop.emit("chat message", "alone");
    print("heard", (await heard)[0]);
    main.connect();
    await once(main, "connect");
    const back = [main, shop].map((socket) => once(socket, "connect"));
    manager.engine.close();
    await Promise.all(back);
    print("back", main.recovered, shop.recovered);
    heard = [main, shop].map((socket) => once(socket, "chat message"));
    main.emit("chat message", "again");
    for (const [text] of await Promise.all(heard)) print("heard", text);
  },

  async wait() {
    // Until the test has withdrawn what they have.
    const bob = await connected("bob");
    const carol = await connected("carol");
    await bob.emitWithAck("join", "staff");
    const events = [once(bob, "unsubscribed"), once(carol, "closed"), once(carol, "disconnect")];
    print("ready");
    const [[lost], [closed], [reason]] = await Promise.all(events);
    print("unsubscribed", lost);
    print("closed", closed);
    print("disconnect", reason, carol.active);
    print("beat", bob.connected);
  },
};

await scenarios[SCENARIO]();
sockets.forEach((socket) => socket.disconnect());
