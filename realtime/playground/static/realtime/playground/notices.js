/** Notices from administrators. Each stays until the user dismisses it. */

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

/** Remove a notice, and move the focus from its button to the next useful place. */
function remove(item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  const places = [next?.querySelector("button"), $("text"), $("id_username")];
  places.find((place) => place?.checkVisibility())?.focus();
}
