// A bare WebSocket and a token signed elsewhere with the shared secret. Prints what it hears.
const jwt = require("jsonwebtoken");
const WebSocket = require("ws");

const { WS_URL, SIGNING_KEY, CLAIMS } = process.env;

function token(claims) {
  return jwt.sign({ token_type: "access", ...claims }, SIGNING_KEY, {
    expiresIn: 60,
    jwtid: Math.random().toString(36),
  });
}

function open(room, claims) {
  const headers = claims ? { Authorization: `Bearer ${token(claims)}` } : {};
  const socket = new WebSocket(`${WS_URL}rooms/${room}/`, { headers });
  const frames = [];
  let wake = () => {};
  socket.on("message", (text) => (frames.push(JSON.parse(text)), wake()));
  socket.on("close", (code) => (frames.push({ closed: code }), wake()));
  const next = async () => {
    while (!frames.length) await new Promise((resolve) => (wake = resolve));
    return frames.shift();
  };
  return { socket, next };
}

const print = (value) => console.log(JSON.stringify(value));

async function main() {
  const claims = JSON.parse(CLAIMS);
  const alice = open("lobby", claims.alice);
  const bob = open("lobby", claims.bob);
  for (const { next } of [alice, bob]) print((await next()).type);
  alice.socket.send(JSON.stringify({ text: "hi" }));
  for (const { next } of [alice, bob]) {
    const { type, room, name, data } = await next();
    print({ type, room, name, data });
  }
  alice.socket.send("{not json");
  print((await alice.next()).code);
  bob.socket.send(JSON.stringify([1, "two"]));
  print((await alice.next()).data);
  const carol = open("staff", claims.carol);
  print([(await carol.next()).code, (await carol.next()).code, (await carol.next()).closed]);
  const nobody = open("lobby");
  print([(await nobody.next()).code, (await nobody.next()).closed]);
  alice.socket.close();
  bob.socket.close();
}

main().then(() => process.exit(0));
