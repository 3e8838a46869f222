// Our own browser client in Node.js, against one site. Prints what happens, one JSON value a line.
import { readFile } from "node:fs/promises";
import WebSocket from "ws";

const { WS_URL, TOKENS, SCENARIO } = process.env;
const tokens = JSON.parse(TOKENS);
const print = (...values) => console.log(JSON.stringify(values));

// The module is named as browsers need it, which Node.js takes for another kind.
const source = await readFile(new URL("../../../realtime/static/realtime/client.js", import.meta.url));
const { Realtime } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

let latest; // the socket that was opened last
globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    latest = this;
  }
};

function client(name) {
  return new Realtime({ url: WS_URL, getToken: async () => tokens[name] });
}

const connected = (who) =>
  new Promise((resolve) => who.addEventListener("state", ({ detail }) => detail.state === "connected" && resolve()));

async function publisher() {
  const bob = client("bob");
  const ready = connected(bob);
  bob.connect();
  await ready;
  return bob;
}

const scenarios = {
  // The network is cut twice while bob goes on talking.
  async recover() {
    const bob = await publisher();
    const alice = client("alice");
    const heard = [];
    let joined, complete;
    const handlers = {
      onJoined: ({ was_recovering, recovered }) => (print("joined", was_recovering, recovered), joined()),
      onMessage: ({ data }) => (heard.push(data), heard.length % 3 === 0 && complete()),
    };
    const entry = () => new Promise((resolve) => (joined = resolve));
    let entered = entry();
    alice.subscribe("lobby", handlers);
    alice.connect();
    await entered;
    for (const start of [1, 4]) {
      const whole = new Promise((resolve) => (complete = resolve));
      entered = entry();
      latest.terminate();
      for (const n of [0, 1, 2]) await bob.publish("lobby", start + n);
      await entered;
      await whole;
    }
    print("heard", heard);
  },

  // A handler leaves the room at the first of the messages that are recovered.
  async leave() {
    const bob = await publisher();
    const alice = client("alice");
    const heard = [];
    let joined;
    const entry = () => new Promise((resolve) => (joined = resolve));
    let entered = entry();
    const onMessage = ({ data }) => {
      heard.push(data);
      alice.unsubscribe("lobby");
    };
    alice.subscribe("lobby", { onJoined: () => joined(), onMessage });
    alice.connect();
    await entered;
    entered = entry();
    latest.terminate();
    for (const n of [1, 2, 3]) await bob.publish("lobby", n);
    await entered;
    await new Promise((resolve) => setTimeout(resolve)); // behind the messages of the reply
    print("heard", heard);
  },
};

await scenarios[SCENARIO]();
process.exit(0);
