// A chat on uWebSockets, the C++ server inside of Bun: one process, its own topics, no Redis. What
// a server can do at most that shares nothing and keeps nothing.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const room = new URL(request.url).pathname.split("/").at(-2);
    if (!server.upgrade(request, { data: { room } })) return new Response("a WebSocket", { status: 426 });
  },
  websocket: {
    open(client) {
      client.subscribe(client.data.room);
      client.send('{"type":"joined"}');
    },
    message(client, text) {
      const message = JSON.parse(text);
      if (message.echo) client.send(JSON.stringify({ echo: message.echo }));
      else server.publish(client.data.room, JSON.stringify({ message: message.publish }));
    },
  },
});
