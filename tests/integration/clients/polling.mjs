// Stock clients of Socket.IO in one room. Prints what happens, one JSON value a line.
import { io } from "socket.io-client";

const { URLS, TOKENS, OPTIONS, MESSAGES } = process.env;
const [urls, tokens] = [JSON.parse(URLS), JSON.parse(TOKENS)];
const options = JSON.parse(OPTIONS);
const most = Number(MESSAGES);
const print = (...values) => console.log(JSON.stringify(values));

function connected(url, token) {
  const socket = io(url, { auth: { token }, forceNew: true, ...options });
  socket.io.on("error", (error) => print("error", error.message));
  socket.on("connect_error", (error) => print("connect_error", error.message));
  socket.on("disconnect", (reason) => print("disconnect", reason));
  return new Promise((resolve) => socket.on("connect", () => resolve(socket)));
}

const sockets = await Promise.all(tokens.map((token, i) => connected(urls[i % urls.length], token)));
const complete = sockets.map((socket) => {
  const heard = [];
  return new Promise((resolve) => {
    socket.on("publication", ({ data }) => {
      heard.push(data);
      if (heard.length === most) resolve(heard);
    });
  });
});
for (const socket of sockets) await socket.timeout(60000).emitWithAck("join", "lobby");
// Some follow each other at once, others come while polls are on their way.
for (let i = 0; i < most; i++) {
  const said = sockets[0].timeout(60000).emitWithAck("publish", "lobby", i);
  if (i % 10 === 0) await said;
}
const heard = await Promise.all(complete);
heard.forEach((data, i) => {
  const inOrder = data.every((value, at) => value === at);
  print("heard", data.length, inOrder, sockets[i].io.engine.transport.name);
});
for (const socket of sockets) socket.disconnect();
