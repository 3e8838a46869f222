/** The elements of the page. */

export const $ = (id) => document.getElementById(id);

/** Text goes in as text: nothing that a user wrote is ever read as HTML. */
export function element(tag, properties = {}, text = null) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== null) made.textContent = text;
  return made;
}
