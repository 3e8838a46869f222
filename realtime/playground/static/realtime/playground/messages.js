/** The messages of a room, and the names of those who say them. */

import { element } from "./page.js";
import { userId } from "./requests.js";

/** A line of a room: a message, or an event of the page. */
export function line({ event, publication, at }) {
  if (event) return element("li", { className: "event" }, event);
  const { data, info } = publication;
  const mine = Boolean(info) && info.user === userId;
  const item = element("li", { className: mine ? "mine" : "" });
  const name = info ? nameOf(info) : "The server";
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  item.append(element("span", { className: "by" }, `${mine ? "You" : name}, ${time}`));
  const isText = typeof data?.text === "string";
  const said = isText ? data.text : JSON.stringify(data, null, 2);
  item.append(element("pre", { className: isText ? "said" : "said json" }, said));
  return item;
}

/** The names of the people in a room, in their order. */
export function namesOf(people) {
  return [...people].map(([user, name]) => (user === userId ? `${name} (you)` : name)).sort();
}

export function nameOf({ user, conn_info: shown }) {
  return shown?.name ?? `User ${user}`;
}
