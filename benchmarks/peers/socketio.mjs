// Socket.IO with its Redis adapter, set up and tuned as its documentation recommends: the native
// add-on of `ws` is installed, and the first request of a connection is not kept.
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

// By default, the Redis client limits each command to 5 s, with a timer for each. The adapter does
// not handle the error: a busy server can end with an unhandled rejection.
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
