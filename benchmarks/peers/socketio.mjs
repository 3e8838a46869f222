// Socket.IO with its Redis adapter, as its documentation sets it up, and tuned as it advises: the
// native add-on of `ws` is installed, and the first request of a connection is not kept.
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

// By default the client of Redis gives each command 5 s, at the cost of a timer, and the adapter does
// not expect that: a busy server can end by an unhandled rejection.
const commandOptions = process.env.REDIS_COMMANDS === "unlimited" ? { timeout: undefined } : {};
const pubClient = createClient({ url: process.env.REDIS_URL, commandOptions });
const subClient = pubClient.duplicate();
await Promise.all([pubClient.connect(), subClient.connect()]);

const io = new Server({
  adapter: createAdapter(pubClient, subClient),
  transports: ["websocket"],
});

io.on("connection", (socket) => {
  socket.on("join", async (room, joined) => {
    await socket.join(room);
    joined();
  });
  socket.on("publish", (room, text) => io.to(room).emit("message", text));
  socket.on("echo", (text, answer) => answer(text));
});

io.listen(Number(process.argv[2]), { host: "127.0.0.1" });
io.engine.on("connection", forgetRequest);

function forgetRequest(rawSocket) {
  rawSocket.request = null;
}
