/** What administrators say to the user: each notice stays until it is dismissed. */

import { $, element } from "./page.js";

const KEPT_NOTICES = 5;

export function showNotice(text) {
  const item = element("div", { className: "notice" });
  const dismiss = element("button", { type: "button", className: "quiet" }, "Dismiss");
  dismiss.addEventListener("click", () => remove(item));
  const words = element("p");
  words.append(element("strong", {}, "Notice"), element("span", {}, text));
  item.append(words, dismiss);
  $("notices").prepend(item);
  while ($("notices").childElementCount > KEPT_NOTICES) $("notices").lastElementChild.remove();
}

export function clearNotices() {
  $("notices").replaceChildren();
}

/** The focus goes where it is of use, as its button is gone. */
function remove(item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  const places = [next?.querySelector("button"), $("text"), $("username")];
  places.find((place) => place?.checkVisibility())?.focus();
}
