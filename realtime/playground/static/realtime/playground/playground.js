/**
 * The playground: enter rooms, send messages, and see the frames on the wire, and why one may do what.
 * Long, because this file connects the parts of the page; each part is in a file beside it.
 */

import { realtime } from "../client.js";
import { Listing } from "./listing.js";
import { line, nameOf, namesOf } from "./messages.js";
import { clearNotices, showNotice } from "./notices.js";
import { $, element } from "./page.js";
import { explain, listRooms } from "./requests.js";
import { drawRooms } from "./roomlist.js";
import * as sentences from "./sentences.js";
import { Tools } from "./tools.js";

const KEPT_FRAMES = 200;
const KEPT_MESSAGES = 500;
const STATES = { connecting: "Connecting …", connected: "Connected", closed: "Not connected" };

const rooms = new Map();
const leftOnPurpose = new Set();
const listing = new Listing({ ask: listAll, onRooms: accept, onError: showTrouble });
const tools = new Tools(realtime);
let open = null;
let wasConnected = false;

// The connection

function start() {
  realtime.on("state", showState);
  realtime.on("frame", showFrame);
  realtime.on("rights", () => listing.refresh());
  realtime.on("notice", ({ text }) => showNotice(text));
  realtime.connect();
}

$("sign-out")?.addEventListener("submit", () => realtime.close());

/** The sign-in has ended: close the connection and show the form. Nothing is tried again. */
function stop(why) {
  realtime.close();
  listing.stop();
  rooms.clear();
  open = null;
  clearNotices();
  $("site").hidden = $("account").hidden = true;
  $("entrance").hidden = false;
  alarm(why);
  $("id_username")?.focus();
}

function showState({ state, code, reason }) {
  $("connection").dataset.state = state;
  $("connection").textContent = STATES[state];
  if (state === "connected") {
    alarm("");
    wasConnected = true;
    listing.refresh(); // changes were not reported while there was no connection
  }
  if (state === "connecting" && code !== undefined) {
    alarm(wasConnected ? sentences.LOST : sentences.NOT_OPENED);
  }
  if (state === "closed" && code !== 1000) return stop(sentences.whyClosed(code, reason));
  showComposer();
  showPeople();
  tools.diagnoseAgain();
}

// Rooms

/** The rooms that the server lists, and those that were opened by their names. */
async function listAll() {
  const listed = await listRooms();
  const known = new Set(listed.map(({ name }) => name));
  const others = [...rooms.values()].filter(({ isByName, name }) => isByName && !known.has(name));
  return [...listed, ...(await Promise.all(others.map(({ name }) => byName(name))))];
}

/** A room that is in no list, such as one in code. */
async function byName(name) {
  const may = (await explain(name)).map(({ action, allowed }) => [action, allowed]);
  return { name, title: name, access: "", rights: Object.fromEntries(may), isByName: true };
}

$("other").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = $("other-name").value.trim();
  if (!name) return;
  try {
    if (!rooms.has(name)) add(await byName(name));
  } catch (error) {
    return error.final ? stop(error.message) : alarm(error.message);
  }
  $("other").reset();
  if (!rooms.get(name).rights.join) $("rights").open = true; // it says why
  show(name);
});

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
  tools.refresh();
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
  const isAdmitted = listed.rights.join && (room.isLost || !room.rights.join);
  Object.assign(room, listed);
  if (isAdmitted) {
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
    onRefused: (error) => {
      room.isLost = !room.rights.join; // opened by its name: gone when another one is chosen
      out(room, sentences.whyNotEntered(error));
    },
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
  const names = room?.isJoined && realtime.state === "connected" ? namesOf(room.people) : [];
  $("people").replaceChildren(...names.map((name) => element("li", {}, name)));
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
  $("messages").replaceChildren(...(room?.messages ?? []).map(line));
  $("messages").scrollTop = $("messages").scrollHeight;
  draw();
}

function draw() {
  const room = rooms.get(open);
  $("room-title").textContent = room?.title ?? "Choose a room";
  $("room-name").textContent = room && room.title !== room.name ? room.name : "";
  tools.follow(open);
  drawRooms(sortedRooms(), open, show);
  showComposer();
  showPeople();
}

// Messages

function remember(room, entry) {
  room.messages.push(entry);
  room.messages.splice(0, room.messages.length - KEPT_MESSAGES);
  if (room.name === open) {
    $("messages").append(line(entry));
    $("messages").scrollTop = $("messages").scrollHeight;
    showComposer();
    if (entry.event) showPeople();
  } else if (entry.publication) {
    room.unread += 1;
    drawRooms(sortedRooms(), open, show);
  }
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || $("text").readOnly) return;
  let data;
  try {
    data = $("json").checked ? JSON.parse(text) : { text };
  } catch (error) {
    return alarm(`That is no JSON: ${error.message}`);
  }
  $("text").value = "";
  try {
    await realtime.publish(open, data);
    alarm("");
  } catch (error) {
    if (realtime.state === "closed") return; // signed out while this was sent
    // Keep the text, so that the user can send it again.
    $("text").value ||= text;
    alarm(sentences.whyRefused(error));
  }
});

$("json").addEventListener("change", showComposer);

function showComposer() {
  const room = rooms.get(open);
  const isReady = Boolean(room?.isJoined) && realtime.state === "connected";
  const may = isReady && room.rights.publish;
  // Not `disabled`: the input would lose the focus while the user types.
  $("text").readOnly = !may;
  $("text").placeholder = may ? ($("json").checked ? '{"status": "paid"}' : "Write a message") : "";
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

start();
