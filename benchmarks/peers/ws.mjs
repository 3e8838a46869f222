// A chat on `ws` with Redis between processes: one subscription per room and process, from the first
// client that enters to the last one that leaves.
import { createClient } from "redis";
import { WebSocket, WebSocketServer } from "ws";

const publisher = createClient({ url: process.env.REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const rooms = new Map();

async function enter(room, client) {
  if (!rooms.has(room)) {
    const clients = new Set();
    const broadcast = (text) => {
      for (const member of clients) {
        if (member.readyState === WebSocket.OPEN) member.send(text);
      }
    };
    rooms.set(room, { clients, subscribed: subscriber.subscribe(room, broadcast) });
  }
  const { clients, subscribed } = rooms.get(room);
  clients.add(client);
  await subscribed;
}

function leave(room, client) {
  const { clients } = rooms.get(room);
  clients.delete(client);
  if (clients.size === 0) {
    rooms.delete(room);
    subscriber.unsubscribe(room);
  }
}

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
server.on("connection", async (client, request) => {
  const room = request.url.split("/").at(-2);
  client.on("error", () => client.terminate());
  client.on("close", () => leave(room, client));
  client.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.echo) client.send(JSON.stringify({ echo: message.echo }));
    else publisher.publish(room, JSON.stringify({ message: message.publish }));
  });
  await enter(room, client);
  client.send('{"type":"joined"}');
});
