/**
 * The playground: sign in, enter rooms, send messages, and see the frames on the wire. This file
 * connects the parts of the page; each part is in a file beside it.
 */

import { Realtime } from "../realtime/client.js";
import { Listing } from "./listing.js";
import { clearNotices, showNotice } from "./notices.js";
import { $, element } from "./page.js";
import { drawRooms } from "./roomlist.js";
import * as sentences from "./sentences.js";
import * as session from "./session.js";

const KEPT_FRAMES = 200;
const KEPT_MESSAGES = 500;
const STATES = { connecting: "Connecting …", connected: "Connected", closed: "Not connected" };

const rooms = new Map();
const leftOnPurpose = new Set();
let realtime = null;
let listing = null;
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
  realtime.close();
  await session.signOut();
  clearNotices();
  showEntrance();
});

async function enter(username, password) {
  try {
    await session.signIn(username, password);
    $("sign-in").reset();
    start();
  } catch (error) {
    alarm(error.message);
  }
}

/** The sign-in has ended: close the connection and show the form. Nothing is tried again. */
function stop(why) {
  session.forget();
  realtime.close();
  showEntrance(why);
}

function showEntrance(why = "") {
  listing?.stop();
  realtime = listing = open = null;
  rooms.clear();
  leftOnPurpose.clear();
  $("site").hidden = $("account").hidden = true;
  $("entrance").hidden = false;
  $("frames").replaceChildren();
  $("composer").reset();
  alarm(why);
  $("username").focus();
}

function start() {
  alarm("");
  clearNotices();
  $("entrance").hidden = true;
  $("site").hidden = $("account").hidden = false;
  $("who").textContent = session.current();
  show(null);
  listing = new Listing({ ask: session.listRooms, onRooms: accept, onError: showTrouble });
  connect();
}

function connect() {
  realtime = new Realtime({ url: "ws/", getToken: session.accessToken });
  realtime.addEventListener("state", ({ detail }) => showState(detail));
  realtime.addEventListener("frame", ({ detail }) => showFrame(detail));
  realtime.addEventListener("rights", () => listing.refresh());
  realtime.addEventListener("notice", ({ detail }) => showNotice(detail.text));
  realtime.connect();
}

function showState({ state, code, reason }) {
  $("connection").dataset.state = state;
  $("connection").textContent = STATES[state];
  if (state === "connected") {
    alarm("");
    listing.refresh(); // changes were not reported while there was no connection
  }
  if (state === "connecting" && code !== undefined) alarm("The connection was lost. Trying again …");
  if (state === "closed" && code !== 1000) return stop(sentences.whyClosed(code, reason));
  showComposer();
  showPeople();
}

// Rooms

/** Apply a new list of rooms: enter the new ones, leave those that are gone. */
function accept(listed) {
  if ($("alarm").textContent === trouble) alarm("");
  const names = new Set(listed.map(({ name }) => name));
  for (const room of listed) {
    if (rooms.has(room.name)) update(rooms.get(room.name), room);
    else add(room);
  }
  for (const room of rooms.values()) if (!names.has(room.name)) lose(room);
  if (open === null && rooms.size) show(firstRoom());
  else draw();
}

function add(listed) {
  const room = {
    ...listed, messages: [], people: new Map(), unread: 0,
    isJoined: false, isOut: true, isLost: false, isSilenced: false, isNew: open !== null,
  };
  rooms.set(room.name, room);
  if (!leftOnPurpose.has(room.name)) join(room);
}

function update(room, listed) {
  const could = room.rights.publish;
  const can = listed.rights.publish;
  Object.assign(room, listed);
  if (room.isLost) {
    room.isLost = room.isSilenced = false;
    if (!leftOnPurpose.has(room.name)) join(room);
  } else if (could !== can) {
    room.isSilenced = could;
    if (room.isJoined) remember(room, { event: sentences.whatMayBeWritten(can) });
  }
}

/** The user lost the room. If it is open, it stays on the page with the reason. */
function lose(room) {
  realtime.unsubscribe(room.name).catch(() => {});
  room.isLost = true;
  if (room.isJoined) leave(room, sentences.MAY_NOT_ENTER);
  if (room.name !== open) rooms.delete(room.name);
}

function join(room) {
  room.isOut = false;
  realtime.subscribe(room.name, {
    onJoined: (reply) => {
      // After a return, the rights may differ from before.
      if (room.wasJoined) listing.refresh();
      room.isJoined = room.wasJoined = true;
      remember(room, { event: sentences.whatWasMissed(reply) });
      listPeople(room);
    },
    onEnter: (info) => {
      room.people.set(info.user, nameOf(info));
      if (room.name === open) showPeople();
    },
    onExit: ({ user }) => {
      room.people.delete(user);
      if (room.name === open) showPeople();
    },
    onMessage: (publication) => remember(room, { publication, at: new Date() }),
    onRefused: (error) => out(room, sentences.whyNotEntered(error)),
    onLeft: (why) => {
      room.isLost = sentences.isRightLost(why);
      out(room, sentences.whyLeft(why));
    },
  });
}

/** The server refused or ended the subscription. The list shows whether the room is still there. */
function out(room, why) {
  leave(room, why);
  listing.refresh();
}

function leave(room, why) {
  room.isJoined = false;
  room.isOut = true;
  room.people = new Map();
  remember(room, { event: why });
}

async function listPeople(room) {
  try {
    const infos = await realtime.presence(room.name);
    room.people = new Map(infos.map((info) => [info.user, nameOf(info)]));
  } catch {
    room.people = new Map(); // the room has no presence, or the connection is gone
  }
  if (room.name === open) showPeople();
}

function showPeople() {
  const room = rooms.get(open);
  const there = room?.isJoined && realtime?.state === "connected" ? [...room.people] : [];
  const me = session.userId();
  const names = there.map(([user, name]) => (user === me ? `${name} (you)` : name));
  $("people").replaceChildren(...names.sort().map((name) => element("li", {}, name)));
  $("here").hidden = names.length === 0;
}

$("leave").addEventListener("click", () => {
  const room = rooms.get(open);
  if (room.isLost) {
    show(firstRoom());
    (rooms.get(open)?.item.firstElementChild ?? $("no-rooms")).focus();
  } else if (room.isJoined) {
    leftOnPurpose.add(room.name);
    realtime.unsubscribe(room.name).catch(() => {});
    leave(room, "You have left the room.");
  } else {
    leftOnPurpose.delete(room.name);
    join(room);
  }
});

function sortedRooms() {
  return [...rooms.values()].sort((one, other) => one.title.localeCompare(other.title));
}

/** The first room in which the user may publish, else the first room. */
function firstRoom() {
  const there = sortedRooms().filter(({ isLost }) => !isLost);
  return (there.find(({ rights }) => rights.publish) ?? there[0])?.name ?? null;
}

function show(name) {
  open = name;
  for (const room of rooms.values()) {
    if (room.isLost && room.name !== open) rooms.delete(room.name);
  }
  const room = rooms.get(open);
  if (room) Object.assign(room, { unread: 0, isNew: false });
  $("messages").replaceChildren(...(room?.messages ?? []).map(message));
  $("messages").scrollTop = $("messages").scrollHeight;
  draw();
}

function draw() {
  const room = rooms.get(open);
  $("room-title").textContent = room?.title ?? "Choose a room";
  $("room-name").textContent = room?.name ?? "";
  drawRooms(sortedRooms(), open, show);
  showComposer();
  showPeople();
}

// Messages

function remember(room, entry) {
  room.messages.push(entry);
  room.messages.splice(0, room.messages.length - KEPT_MESSAGES);
  if (room.name === open) {
    $("messages").append(message(entry));
    $("messages").scrollTop = $("messages").scrollHeight;
    showComposer();
    if (entry.event) showPeople();
  } else if (entry.publication) {
    room.unread += 1;
    drawRooms(sortedRooms(), open, show);
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
  if (!text || $("text").readOnly) return;
  $("text").value = "";
  const connection = realtime;
  try {
    await connection.publish(open, { text });
    alarm("");
  } catch (error) {
    if (connection !== realtime) return; // signed out while this was sent
    // Keep the text, so that the user can send it again.
    $("text").value ||= text;
    alarm(sentences.whyRefused(error));
  }
});

function showComposer() {
  const room = rooms.get(open);
  const isReady = Boolean(room?.isJoined) && realtime?.state === "connected";
  const may = isReady && room.rights.publish;
  // Not `disabled`: the input would lose the focus while the user types.
  $("text").readOnly = !may;
  $("text").placeholder = may ? "Write a message" : "";
  for (const control of [$("text"), $("send")]) control.setAttribute("aria-disabled", !may);
  const why = room ? sentences.whyNotPublish(room, isReady) : "";
  $("may-not").hidden = !why;
  $("may-not").textContent = why;
  $("may-not").classList.toggle("withdrawn", Boolean(room?.isLost || room?.isSilenced));
  $("leave").hidden = !room;
  $("leave").textContent = room?.isLost ? "Close" : room?.isJoined ? "Leave" : "Enter";
}

// Frames on the wire, and errors

function showFrame({ direction, text }) {
  const frames = $("frames");
  const atEnd = frames.scrollHeight - frames.scrollTop - frames.clientHeight < 40;
  frames.append(element("li", { className: direction }, text));
  while (frames.childElementCount > KEPT_FRAMES) frames.firstElementChild.remove();
  if (atEnd) frames.scrollTop = frames.scrollHeight;
}

let trouble = "";

/** The list of rooms could not be fetched. */
function showTrouble(error) {
  if (error.final) return stop(error.message);
  trouble = error.message;
  if (realtime.state === "connected") alarm(trouble);
}

/** Show an error; "" hides it. */
function alarm(text) {
  $("alarm").textContent = text;
  $("alarm").hidden = !text;
}

if (session.current()) start();
else showEntrance();
