/**
 * A small browser client for the native protocol (the Centrifuge client protocol v2, in JSON).
 *
 *     const realtime = new Realtime({ url: "/ws/", getToken: () => fetchAccessToken() });
 *     realtime.subscribe("lobby", { onMessage: ({ data }) => console.log(data) });
 *     realtime.connect();
 *     await realtime.publish("lobby", { text: "Hello" });
 *
 * It reconnects, enters its rooms again and renews its token without being asked. Recovery of
 * missed messages, presence and history are what the `centrifuge` package on npm adds to this.
 *
 * Events (all CustomEvents, the facts are in `event.detail`):
 *   state    {state, code, reason, delay}   `delay` in ms while waiting; `code` says why
 *   message  {room, publication}            publication: {data, offset, info: {user, client, conn_info}}
 *   frame    {direction, frame}             each object on the wire, "in" or "out", tokens hidden
 *   error    {error, room}                  a RealtimeError that no promise carries
 *
 * @module realtime/client
 */

/** States of a connection: closed -> connecting -> connected -> waiting -> connecting ... */
export const State = Object.freeze({
  CLOSED: "closed",
  CONNECTING: "connecting",
  CONNECTED: "connected",
  WAITING: "waiting",
});

/** Codes of this client itself; those of the server start at 100. */
export const Local = Object.freeze({ BY_CALLER: 0, AWAY: 1, NO_REPLY: 2, NO_PING: 3, NO_TOKEN: 4, BAD_FRAME: 5 });

const UNAUTHORIZED = 101;
const TOKEN_EXPIRED = 109;
const ALREADY_SUBSCRIBED = 105;
const RENEW_TOKEN = new Set([3005, 3014]); // expired; state invalidated
const RESUBSCRIBE_FROM = 2500;

const REPLY_MS = 10_000;
const PING_GRACE_MS = 10_000;
const REFRESH_LEAD_MS = 15_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
const STABLE_MS = 10_000; // a shorter connection does not reset the backoff
const TIMER_MAX_MS = 2 ** 31 - 1; // browsers fire longer timers at once

/** What the server, or this client, answers instead of a result. */
export class RealtimeError extends Error {
  /** @param {number} code @param {string} message @param {boolean} [temporary] worth a retry */
  constructor(code, message, temporary = false) {
    super(message);
    this.name = "RealtimeError";
    this.code = code;
    this.temporary = temporary;
  }
}

const isFinal = (code) => (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);

const backoff = (attempt) => {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt);
  return ceiling * (0.5 + Math.random() / 2);
};

const redact = (frame) => {
  const [name] = ["connect", "refresh"].filter((key) => frame[key]?.token);
  return name ? { ...frame, [name]: { ...frame[name], token: "(hidden)" } } : frame;
};

export class Realtime extends EventTarget {
  #url;
  #getToken;
  #name;
  #state = State.CLOSED;
  #socket = null;
  #turn = 0; // grows with every attempt, so that what an older one awaits can see that it is stale
  #attempts = 0;
  #connectedAt = 0;
  #freshToken = false;
  #farewell = null; // the disconnect push: some servers drop the reason of the close that follows it
  #pong = false;
  #silenceMs = REPLY_MS;
  #timers = { retry: 0, silence: 0, refresh: 0 };
  #lastId = 0;
  #replies = new Map(); // command id -> {resolve, reject, timer}
  #rooms = new Map(); // room name -> subscription; a Map, as a room may be called "__proto__"

  /**
   * @param {object} options
   * @param {string|URL} options.url The socket's address; a path is taken on the page's own host.
   * @param {(why: {fresh: boolean}) => string|Promise<string>} options.getToken Gives an access
   *   token. `fresh` says that the last one has ended or is about to. Throw a RealtimeError with
   *   code 101 when the user has to sign in again; any other error is tried again later.
   * @param {string} [options.name] What the server may call this client in its metrics.
   */
  constructor({ url, getToken, name = "realtime.js" }) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    this.#getToken = getToken;
    this.#name = name;
  }

  get state() {
    return this.#state;
  }

  /** Open the connection; while it waits for its next attempt, try at once. */
  connect() {
    if (this.#state === State.CLOSED) this.#attempts = 0;
    if (this.#state === State.CLOSED || this.#state === State.WAITING) this.#open();
  }

  /** Leave for good, and forget the rooms. */
  close() {
    this.#rooms.clear();
    this.#drop();
    this.#enter(State.CLOSED, { code: Local.BY_CALLER, reason: "closed" });
  }

  /**
   * Enter a room now, and again after every reconnect.
   *
   * @param {string} room
   * @param {object} [handlers]
   * @param {(publication: object) => void} [handlers.onMessage]
   * @param {(reply: object) => void} [handlers.onJoined] At each entry, also after a reconnect.
   * @param {(why: {code: number, reason: string, final: boolean}) => void} [handlers.onLeft]
   *   The server took us out, or refused the room. Unless `final`, this client enters it again.
   */
  subscribe(room, handlers = {}) {
    const subscription = { room, handlers, attempts: 0, timer: 0 };
    this.unsubscribe(room);
    this.#rooms.set(room, subscription);
    if (this.#state === State.CONNECTED) this.#join(subscription);
  }

  /** Leave a room. @param {string} room */
  unsubscribe(room) {
    if (!this.#forget(room) || this.#state !== State.CONNECTED) return;
    this.#command("unsubscribe", { channel: room }).catch((error) => this.#report(error, room));
  }

  /**
   * @param {string} room @param {*} data Any JSON value.
   * @returns {Promise<object>} Resolves when the server has taken the message; rejects with a RealtimeError.
   */
  publish(room, data) {
    return this.#whenConnected("publish", { channel: room, data });
  }

  /** Call a procedure of the site. @param {string} method @param {*} [data] @returns {Promise<*>} */
  async rpc(method, data = null) {
    return (await this.#whenConnected("rpc", { method, data })).data;
  }

  // The connection

  async #open() {
    this.#drop();
    const turn = this.#turn;
    this.#enter(State.CONNECTING);
    let token;
    try {
      token = await this.#getToken({ fresh: this.#freshToken });
    } catch (error) {
      if (turn === this.#turn) this.#tokenFailed(error);
      return;
    }
    if (turn !== this.#turn) return;
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.onopen = () => this.#greet(token);
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(this.#farewell ?? event);
    this.#silenceMs = REPLY_MS;
    this.#heard();
  }

  async #greet(token) {
    const turn = this.#turn;
    try {
      const reply = await this.#command("connect", { token, name: this.#name });
      if (turn === this.#turn) this.#welcome(reply);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#freshToken = error.code === TOKEN_EXPIRED;
      const final = !this.#freshToken && !error.temporary;
      this.#lost({ code: error.code, reason: error.message }, final);
    }
  }

  #welcome(reply) {
    this.#freshToken = false;
    this.#connectedAt = Date.now();
    this.#pong = Boolean(reply.pong);
    this.#silenceMs = reply.ping ? reply.ping * 1000 + PING_GRACE_MS : TIMER_MAX_MS;
    this.#heard();
    this.#refreshBefore(reply);
    this.#enter(State.CONNECTED, { client: reply.client, data: reply.data });
    this.#join(...this.#rooms.values());
  }

  #lost({ code, reason }, final = isFinal(code)) {
    const lasted = this.#state === State.CONNECTED ? Date.now() - this.#connectedAt : 0;
    if (lasted > STABLE_MS) this.#attempts = 0;
    if (RENEW_TOKEN.has(code)) this.#freshToken = true;
    this.#drop();
    if (final) {
      this.#enter(State.CLOSED, { code, reason });
      return;
    }
    const delay = backoff(this.#attempts++);
    this.#timers.retry = setTimeout(() => this.#open(), delay);
    this.#enter(State.WAITING, { code, reason, delay });
  }

  /** Let go of the socket without waiting for its close: on a dead network that takes minutes. */
  #drop() {
    this.#turn += 1;
    Object.values(this.#timers).forEach(clearTimeout);
    for (const { timer } of this.#rooms.values()) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = this.#farewell = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const id of [...this.#replies.keys()]) this.#answer({ id, error: { code: Local.AWAY, message: "connection lost", temporary: true } });
  }

  #heard() {
    clearTimeout(this.#timers.silence);
    const miss = () => this.#lost({ code: Local.NO_PING, reason: "no ping from the server" });
    this.#timers.silence = setTimeout(miss, Math.min(this.#silenceMs, TIMER_MAX_MS));
  }

  // The token

  #refreshBefore({ expires, ttl }) {
    if (!expires) return;
    const wait = ttl * 1000 - Math.min(REFRESH_LEAD_MS, ttl * 250);
    this.#timers.refresh = setTimeout(() => this.#refresh(), Math.min(Math.max(wait, BACKOFF_MS), TIMER_MAX_MS));
  }

  async #refresh(attempt = 0) {
    const turn = this.#turn;
    try {
      const token = await this.#getToken({ fresh: true });
      if (turn !== this.#turn) return;
      const reply = await this.#command("refresh", { token });
      if (turn === this.#turn) this.#refreshBefore(reply);
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error.code === UNAUTHORIZED) this.#tokenFailed(error);
      else this.#timers.refresh = setTimeout(() => this.#refresh(attempt + 1), backoff(attempt));
    }
  }

  #tokenFailed(error) {
    const code = error.code === UNAUTHORIZED ? UNAUTHORIZED : Local.NO_TOKEN;
    this.#lost({ code, reason: error.message }, code === UNAUTHORIZED);
  }

  // The rooms

  #join(...subscriptions) {
    const commands = subscriptions.map(({ room }) => ["subscribe", { channel: room }]);
    this.#commands(commands).forEach((reply, index) => this.#joined(subscriptions[index], reply));
  }

  async #joined(subscription, promise) {
    const { room, handlers } = subscription;
    try {
      const reply = await promise;
      subscription.attempts = 0;
      if (this.#rooms.get(room) === subscription) this.#tell(handlers.onJoined, reply, room);
    } catch (error) {
      if (this.#rooms.get(room) !== subscription || this.#state !== State.CONNECTED) return;
      if (error.code === ALREADY_SUBSCRIBED) this.#tell(handlers.onJoined, {}, room);
      else this.#left(subscription, error.code, error.message, !error.temporary);
    }
  }

  #left(subscription, code, reason, final) {
    if (final) this.#forget(subscription.room);
    else subscription.timer = setTimeout(() => this.#join(subscription), backoff(subscription.attempts++));
    this.#tell(subscription.handlers.onLeft, { code, reason, final }, subscription.room);
  }

  #forget(room) {
    clearTimeout(this.#rooms.get(room)?.timer);
    return this.#rooms.delete(room);
  }

  // The wire

  #whenConnected(name, body) {
    if (this.#state === State.CONNECTED) return this.#command(name, body);
    return Promise.reject(new RealtimeError(Local.AWAY, "not connected", true));
  }

  #command(name, body) {
    return this.#commands([[name, body]])[0];
  }

  /** Send commands in one frame; a promise of the reply for each. */
  #commands(commands) {
    const frames = commands.map(([name, body]) => ({ id: ++this.#lastId, [name]: body }));
    const promises = frames.map(({ id }, index) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#answer({ id, error: { code: Local.NO_REPLY, message: "no reply in time", temporary: true } }), REPLY_MS);
      this.#replies.set(id, { resolve, reject, timer, name: commands[index][0] });
    }));
    if (frames.length) this.#send(frames);
    return promises;
  }

  #send(frames) {
    this.#socket.send(frames.map((frame) => JSON.stringify(frame)).join("\n"));
    for (const frame of frames) this.#emit("frame", { direction: "out", frame: redact(frame) });
  }

  #receive(text) {
    const turn = this.#turn;
    this.#heard();
    for (const line of text.split("\n")) {
      if (!line.trim() || turn !== this.#turn) continue;
      try {
        this.#take(JSON.parse(line));
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        this.#lost({ code: Local.BAD_FRAME, reason: "the server sent something that is not JSON" });
      }
    }
  }

  #take(frame) {
    this.#emit("frame", { direction: "in", frame });
    if (frame.id) this.#answer(frame);
    else if (frame.push) this.#push(frame.push);
    else if (this.#pong) this.#send([{}]);
  }

  #answer({ id, error, ...results }) {
    const waiting = this.#replies.get(id);
    if (!waiting) return;
    this.#replies.delete(id);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new RealtimeError(error.code, error.message, error.temporary));
    else waiting.resolve(results[waiting.name] ?? {});
  }

  #push({ channel, pub, unsubscribe, disconnect }) {
    const subscription = this.#rooms.get(channel);
    if (disconnect) {
      this.#farewell = disconnect;
    } else if (subscription && pub) {
      this.#emit("message", { room: channel, publication: pub });
      this.#tell(subscription.handlers.onMessage, pub, channel);
    } else if (subscription && unsubscribe) {
      const { code, reason } = unsubscribe;
      this.#left(subscription, code, reason, code < RESUBSCRIBE_FROM);
    }
  }

  // Those who listen

  #enter(state, detail = {}) {
    this.#state = state;
    this.#emit("state", { state, ...detail });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** A handler that throws is the page's fault: show it, and go on reading. */
  #tell(handler, argument, room) {
    try {
      handler?.(argument);
    } catch (error) {
      this.#report(error, room);
    }
  }

  #report(error, room) {
    this.#emit("error", { error, room });
  }
}
