/** The tools beside a room: why the user may do what, the kept messages, and what may be wrong. */

import { $, element } from "./page.js";
import { diagnose, explain } from "./requests.js";
import { whyNoHistory } from "./sentences.js";

const SHOWN_MESSAGES = 50;

/** One of the tools: it asks when it is opened, and again when the room or the rights change. */
class Tool {
  #id;
  #draw;
  #turn = 0;

  /** @param {() => Promise<Node[]>} draw */
  constructor(id, draw) {
    this.#id = id;
    this.#draw = draw;
    $(id)?.addEventListener("toggle", () => this.refresh());
  }

  async refresh() {
    const place = $(this.#id);
    if (!place?.open) return;
    const turn = (this.#turn += 1);
    const drawn = await this.#draw().catch((error) => [element("p", {}, error.message)]);
    if (turn === this.#turn) place.querySelector(".tool").replaceChildren(...drawn);
  }
}

export class Tools {
  #realtime;
  #room = null;
  #rights = new Tool("rights", () => this.#explained());
  #history = new Tool("history", () => this.#kept());
  #diagnosis = new Tool("diagnosis", diagnosed);

  constructor(realtime) {
    this.#realtime = realtime;
  }

  /** Show a room; null for none. */
  follow(room) {
    if (room === this.#room) return;
    this.#room = room;
    this.refresh();
  }

  /** The rights may have changed, or whether the page is in the room. */
  refresh() {
    this.#rights.refresh();
    this.#history.refresh();
  }

  /** The connection has been opened or lost. */
  diagnoseAgain() {
    this.#diagnosis.refresh();
  }

  async #explained() {
    if (this.#room === null) return [noRoom()];
    return (await explain(this.#room)).map(explanation);
  }

  async #kept() {
    if (this.#room === null) return [noRoom()];
    const again = element("button", { type: "button", className: "quiet" }, "Read again");
    again.addEventListener("click", () => this.#history.refresh().then(() => focusIn("history")));
    try {
      const page = await this.#realtime.history(this.#room, { limit: SHOWN_MESSAGES, reverse: true });
      return [position(page), list(page.publications), again];
    } catch (error) {
      return [element("p", {}, whyNoHistory(error)), again];
    }
  }
}

const noRoom = () => element("p", {}, "Choose a room first.");
const focusIn = (id) => $(id).querySelector(".tool button")?.focus();

function explanation({ allowed, sentence, rules }) {
  const item = element("details", { className: "explanation" });
  item.append(element("summary", { className: allowed ? "yes" : "no" }, sentence));
  const asked = element("dl");
  for (const { label, verdict, source, is_part: isPart } of rules) {
    const row = element("div", { className: isPart ? "part" : "" });
    const answer = source ? `${verdict}: ${source}` : verdict;
    row.append(element("dt", {}, label), element("dd", {}, answer));
    asked.append(row);
  }
  item.append(asked);
  return item;
}

function position({ epoch, offset, publications }) {
  const count = publications.length;
  const text = count === 0 ? "No message is kept." : count === 1 ? "One message" : `${count} messages`;
  const line = element("p", {}, count ? `${text}, the newest first. Position: ` : `${text} Position: `);
  line.append(element("code", {}, `${epoch}:${offset}`));
  return line;
}

function list(publications) {
  const rows = element("ol", { className: "kept" });
  for (const { offset, data, info } of publications) {
    const row = element("li");
    const by = info ? (info.conn_info?.name ?? `User ${info.user}`) : "The server";
    row.append(element("span", {}, `${offset}, ${by}`), element("code", {}, JSON.stringify(data)));
    rows.append(row);
  }
  return rows;
}

async function diagnosed() {
  const { problems, ...facts } = await diagnose();
  const found = element("ul", { className: "problems" });
  for (const problem of problems) found.append(element("li", {}, problem));
  const known = element("dl");
  for (const [name, value] of Object.entries(facts)) {
    const row = element("div");
    const text = Array.isArray(value) ? value.join(", ") : (value ?? "none");
    row.append(element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, text));
    known.append(row);
  }
  return [problems.length ? found : element("p", {}, "Nothing is wrong."), known];
}
