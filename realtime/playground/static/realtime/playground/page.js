/** Finds and makes elements of the page. */

export const $ = (id) => document.getElementById(id);

/** Make an element. `text` is set as text, so that nothing a user wrote is read as HTML. */
export function element(tag, properties = {}, text = null) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== null) made.textContent = text;
  return made;
}
