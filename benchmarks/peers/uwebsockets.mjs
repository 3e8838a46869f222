// A chat on uWebSockets, the C++ server inside Bun: one process, its own topics, no Redis. An upper
// bound: it stores nothing and shares nothing with other processes.
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
