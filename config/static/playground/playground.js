/** The playground: sign in, enter rooms, talk, and see the frames on the wire. */

import { Realtime } from "../realtime/client.js";
import { whatWasMissed, whyClosed, whyNotPublish, whyRefused } from "./sentences.js";
import * as session from "./session.js";

const KEPT_FRAMES = 200;
const KEPT_MESSAGES = 500;
const STATES = { connecting: "Connecting …", connected: "Connected", closed: "Not connected" };

const $ = (id) => document.getElementById(id);
const rooms = new Map();
let realtime = null;
let open = null;

// Signing in and out

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  await enter($("username").value, $("password").value);
});

for (const button of document.querySelectorAll("[data-demo]")) {
  button.addEventListener("click", () => enter(button.dataset.demo, "realtime-demo"));
}

$("sign-out").addEventListener("click", async () => {
  realtime?.close();
  await session.signOut();
  showEntrance();
});

async function enter(username, password) {
  try {
    await session.signIn(username, password);
    $("sign-in").reset();
    await start();
  } catch (error) {
    notice(error.message);
  }
}

function showEntrance(message = "") {
  realtime = null;
  open = null;
  rooms.clear();
  $("site").hidden = $("account").hidden = true;
  $("entrance").hidden = false;
  $("frames").replaceChildren();
  notice(message);
  $("username").focus();
}

async function start() {
  const listed = await session.listRooms();
  notice("");
  $("entrance").hidden = true;
  $("site").hidden = $("account").hidden = false;
  $("who").textContent = session.current();
  connect();
  for (const room of listed) {
    rooms.set(room.name, { ...room, messages: [], people: new Map(), unread: 0, joined: false });
    join(room.name);
  }
  showRooms();
  const first = listed.find(({ rights }) => rights.publish) ?? listed[0];
  if (first) show(first.name);
}

function connect() {
  realtime = new Realtime({ url: "/ws/", getToken: session.accessToken });
  realtime.addEventListener("state", ({ detail }) => showState(detail));
  realtime.addEventListener("frame", ({ detail }) => showFrame(detail));
  realtime.connect();
}

function showState({ state, code, reason }) {
  $("connection").dataset.state = state;
  $("connection").textContent = STATES[state];
  if (state === "connected") notice("");
  if (state === "connecting" && code !== undefined) notice("The connection was lost. Trying again …");
  if (state === "closed" && code !== 1000) {
    session.forget();
    showEntrance(whyClosed(code, reason));
  }
  showComposer();
  showPeople();
}

// Rooms

function join(name) {
  const room = rooms.get(name);
  realtime.subscribe(name, {
    onJoined: (reply) => {
      if (room.entered) reloadRights();
      room.joined = room.entered = true;
      remember(name, { event: whatWasMissed(reply) });
      listPeople(room);
    },
    onEnter: (info) => {
      room.people.set(info.user, nameOf(info));
      if (name === open) showPeople();
    },
    onExit: ({ user }) => {
      room.people.delete(user);
      if (name === open) showPeople();
    },
    onMessage: (publication) => remember(name, { publication, at: new Date() }),
    onRefused: (error) => left(name, whyRefused(error)),
    onLeft: ({ reason }) => left(name, `You are no longer in the room: ${reason}.`),
  });
}

async function listPeople(room) {
  try {
    const infos = await realtime.presence(room.name);
    room.people = new Map(infos.map((info) => [info.user, nameOf(info)]));
  } catch {
    room.people = new Map(); // a room without presence, or no connection any more
  }
  if (room.name === open) showPeople();
}

function showPeople() {
  const room = rooms.get(open);
  const there = room?.joined && realtime?.state === "connected" ? [...room.people] : [];
  const me = session.userId();
  const names = there.map(([user, name]) => (user === me ? `${name} (you)` : name));
  $("people").replaceChildren(...names.sort().map((name) => element("li", {}, name)));
  $("here").hidden = names.length === 0;
}

let reloading = null;

/** Who is let in again may have other rights than before. */
function reloadRights() {
  reloading ??= session
    .listRooms()
    .then((listed) => listed.forEach((room) => Object.assign(rooms.get(room.name) ?? {}, room)))
    .then(showComposer)
    .catch((error) => notice(error.message))
    .finally(() => (reloading = null));
}

function left(name, sentence) {
  rooms.get(name).joined = false;
  rooms.get(name).people = new Map();
  remember(name, { event: sentence });
}

$("leave").addEventListener("click", async () => {
  const room = rooms.get(open);
  if (room.joined) {
    await realtime.unsubscribe(room.name).catch(() => {});
    left(room.name, "You have left the room.");
  } else {
    join(room.name);
  }
});

function show(name) {
  open = name;
  const room = rooms.get(name);
  room.unread = 0;
  $("room-title").textContent = room.title;
  $("room-name").textContent = room.name;
  $("messages").replaceChildren(...room.messages.map(message));
  $("messages").scrollTop = $("messages").scrollHeight;
  showRooms();
  showComposer();
  showPeople();
}

function showRooms() {
  $("no-rooms").hidden = rooms.size > 0;
  const focused = document.activeElement?.dataset?.room;
  $("rooms").replaceChildren(...[...rooms.values()].map(roomButton));
  if (focused) document.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function roomButton(room) {
  const button = element("button", { type: "button" }, room.title);
  button.dataset.room = room.name;
  button.setAttribute("aria-current", room.name === open);
  button.addEventListener("click", () => show(room.name));
  if (room.unread) {
    const unread = element("span", { className: "unread" }, room.unread);
    unread.setAttribute("aria-label", `${room.unread} unread`);
    button.append(unread);
  }
  const item = element("li");
  item.append(button);
  return item;
}

// Messages

function remember(name, entry) {
  const room = rooms.get(name);
  if (!room) return;
  room.messages.push(entry);
  room.messages.splice(0, room.messages.length - KEPT_MESSAGES);
  if (name === open) {
    $("messages").append(message(entry));
    $("messages").scrollTop = $("messages").scrollHeight;
    showComposer();
    if (entry.event) showPeople();
  } else if (entry.publication) {
    room.unread += 1;
    showRooms();
  }
}

function message({ event, publication, at }) {
  if (event) return element("li", { className: "event" }, event);
  const { data, info } = publication;
  const mine = Boolean(info) && info.user === session.userId();
  const item = element("li", { className: mine ? "mine" : "" });
  const name = info ? nameOf(info) : "The server";
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  item.append(element("span", { className: "by" }, `${mine ? "You" : name}, ${time}`));
  const isText = typeof data?.text === "string";
  const said = isText ? data.text : JSON.stringify(data, null, 2);
  item.append(element("pre", { className: isText ? "said" : "said json" }, said));
  return item;
}

function nameOf({ user, conn_info: shown }) {
  return shown?.name ?? `User ${user}`;
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  try {
    await realtime.publish(open, { text });
    notice("");
  } catch (error) {
    // What could not be sent is not lost.
    $("text").value ||= text;
    notice(whyRefused(error));
  }
});

function showComposer() {
  const room = rooms.get(open);
  const ready = Boolean(room?.joined) && realtime?.state === "connected";
  const may = ready && room.rights.publish;
  const button = $("composer").querySelector("button");
  $("text").disabled = button.disabled = !may;
  $("may-not").hidden = !ready || may;
  $("may-not").textContent = ready && !may ? whyNotPublish(room) : "";
  $("leave").hidden = !room;
  $("leave").textContent = room?.joined ? "Leave" : "Enter";
}

// The wire, and what the page says

function showFrame({ direction, text }) {
  const frames = $("frames");
  const atEnd = frames.scrollHeight - frames.scrollTop - frames.clientHeight < 40;
  frames.append(element("li", { className: direction }, text));
  while (frames.childElementCount > KEPT_FRAMES) frames.firstElementChild.remove();
  if (atEnd) frames.scrollTop = frames.scrollHeight;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

/** Text goes in as text: nothing that a user wrote is ever read as HTML. */
function element(tag, properties = {}, text = null) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== null) made.textContent = text;
  return made;
}

if (session.current()) start().catch((error) => showEntrance(error.message));
else showEntrance();
