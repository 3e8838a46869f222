/**
 * Commands and replies of the native protocol, over any transport that carries text.
 *
 * A text holds one or more JSON objects, split by newlines: replies by their id, pushes, pings.
 *
 * @module realtime/wire
 */

const REPLY_MS = 10_000;

/** What the server answers instead of a result; with code 0, what this client does. */
export class RealtimeError extends Error {
  /** @param {number} code @param {string} message @param {boolean} [temporary] worth a retry */
  constructor(code, message, temporary = false) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

/** @param {string} message @returns {RealtimeError} The server cannot be heard at the moment. */
export const away = (message) => new RealtimeError(0, message, true);

/** A command as it may be shown. */
function masked(command) {
  const name = ["connect", "refresh"].find((key) => command[key]?.token);
  return name ? { ...command, [name]: { ...command[name], token: "***" } } : command;
}

export class Wire {
  #write;
  #onPush;
  #onPing;
  #onFrame;
  #lastId = 0;
  #waiting = new Map(); // command id -> {name, resolve, reject, timer}

  /**
   * @param {object} options
   * @param {(text: string) => void} options.write
   * @param {(push: object) => void} options.onPush
   * @param {() => void} options.onPing
   * @param {(direction: "in"|"out", text: string) => void} options.onFrame Each object, masked.
   */
  constructor({ write, onPush, onPing, onFrame }) {
    this.#write = write;
    this.#onPush = onPush;
    this.#onPing = onPing;
    this.#onFrame = onFrame;
  }

  /** @param {string} name @param {object} body @returns {Promise<object>} The reply. */
  command(name, body) {
    return this.commands([[name, body]])[0];
  }

  /** Send commands in one text. @returns {Promise<object>[]} The replies, in their order. */
  commands(commands) {
    const frames = commands.map(([name, body]) => ({ id: ++this.#lastId, [name]: body }));
    const replies = frames.map(({ id }, index) => this.#reply(id, commands[index][0]));
    if (frames.length) this.#send(...frames);
    return replies;
  }

  pong() {
    this.#send({});
  }

  /** @param {string} line One object of what came. */
  receive(line) {
    this.#onFrame("in", line);
    const { id, push, error, ...results } = JSON.parse(line);
    if (push) this.#onPush(push);
    else if (!id) this.#onPing();
    else if (error) this.#settle(id, new RealtimeError(error.code, error.message, error.temporary));
    else this.#settle(id, null, results);
  }

  /** The transport is gone: nobody will answer any more. */
  close() {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, away("The connection was lost."));
  }

  #send(...frames) {
    this.#write(frames.map((frame) => JSON.stringify(frame)).join("\n"));
    for (const frame of frames) this.#onFrame("out", JSON.stringify(masked(frame)));
  }

  #reply(id, name) {
    return new Promise((resolve, reject) => {
      const late = () => this.#settle(id, away("The server did not answer."));
      this.#waiting.set(id, { name, resolve, reject, timer: setTimeout(late, REPLY_MS) });
    });
  }

  #settle(id, error, results) {
    const command = this.#waiting.get(id);
    if (!command) return;
    this.#waiting.delete(id);
    clearTimeout(command.timer);
    if (error) command.reject(error);
    else command.resolve(results[command.name] ?? {});
  }
}
