/** The buttons of the rooms. The elements are kept, so that no click and no focus is lost. */

import { $, element } from "./page.js";

/** @param {object[]} rooms In their order. @param {(name: string) => void} choose */
export function drawRooms(rooms, open, choose) {
  $("no-rooms").hidden = rooms.length > 0;
  const items = rooms.map((room) => drawRoom(room, open, choose));
  const before = [...$("rooms").children];
  if (items.length === before.length && items.every((item, index) => item === before[index])) return;
  const focused = document.activeElement;
  const place = before.findIndex((item) => item.contains(focused));
  $("rooms").replaceChildren(...items);
  if (place < 0) return;
  // The room that has moved to the place of the removed one, else the last.
  const next = items[Math.min(place, items.length - 1)]?.firstElementChild ?? $("no-rooms");
  (focused.isConnected ? focused : next).focus();
}

function drawRoom(room, open, choose) {
  room.item ??= newItem(room, choose);
  const button = room.item.firstElementChild;
  button.setAttribute("aria-current", room.name === open);
  button.classList.toggle("lost", room.isLost);
  button.replaceChildren(element("span", {}, room.title), ...badge(room));
  return room.item;
}

function badge({ unread, isNew, isLost }) {
  const text = isLost ? "closed" : unread || (isNew ? "new" : "");
  if (!text) return [];
  const made = element("span", { className: "badge" }, text);
  if (text === unread) made.setAttribute("aria-label", `${unread} unread`);
  return [made];
}

function newItem(room, choose) {
  const button = element("button", { type: "button" });
  button.addEventListener("click", () => choose(room.name));
  const item = element("li");
  item.append(button);
  return item;
}
