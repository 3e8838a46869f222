/**
 * A small browser client for the native protocol (the Centrifuge client protocol v2, in JSON).
 * Long, because it is one state machine; what it reads and writes is in wire.js.
 *
 *     const realtime = new Realtime({ url: "/ws/", getToken: fetchAccessToken });
 *     realtime.subscribe("lobby", { onMessage: ({ data }) => console.log(data) });
 *     realtime.connect();
 *
 * It reconnects, enters its rooms again, asks for what it missed there, and renews its token, all
 * without being asked.
 *
 * Events (CustomEvents, the facts are in `event.detail`):
 *   state    {state, code, reason}   with "connecting": why the last connection ended, if one did
 *   message  {room, publication}     a publication is {data, offset, info}
 *   rights   none                    what the user may do has perhaps changed, here or in rooms that
 *                                    the page has not entered: a page that shows rights asks again
 *   notice   {text}                  what an administrator says to the user; text, never HTML
 *   frame    {direction, text}       each object on the wire, "in" or "out", tokens masked
 *   error    {error, room}           what no promise and no handler carries
 *
 * @module realtime/client
 */

import { away, RealtimeError, Wire } from "./wire.js";

export { RealtimeError };

const ALREADY_SUBSCRIBED = 105;
const TOKEN_EXPIRED = 109;
const FRESH_TOKEN_AFTER = new Set([3005, 3014]); // expired; state invalidated
const RESUBSCRIBE_FROM = 2500;

const CONNECT_MS = 10_000;
const PING_GRACE_MS = 10_000;
const REFRESH_LEAD_MS = 15_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;
const STABLE_MS = 10_000; // a shorter connection does not reset the backoff
const TIMER_MAX_MS = 2 ** 31 - 1; // browsers fire longer timers at once

const isFinal = (code) => (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
const after = (ms, run) => setTimeout(run, Math.min(ms, TIMER_MAX_MS));

function backoff(attempt) {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt) * (0.5 + Math.random() / 2);
}

export class Realtime extends EventTarget {
  #url;
  #getToken;
  #state = "closed";
  #socket = null;
  #wire = null;
  #turn = 0; // grows when a socket is let go: what awaits can then see that it is stale
  #attempts = 0;
  #connectedAt = 0;
  #freshToken = false;
  #pong = false;
  #silenceMs = CONNECT_MS;
  #timers = {}; // retry, silence, refresh
  #rooms = new Map(); // name -> subscription; a Map, as a room may be called "__proto__"

  /**
   * @param {object} options
   * @param {string|URL} options.url A path is taken on the page's own host.
   * @param {(why: {fresh: boolean}) => string|Promise<string>} options.getToken Gives an access
   *   token; `fresh` says that the last one has ended or is about to. An error with a true `final`
   *   says that the user has to sign in again; after any other the client tries again.
   */
  constructor({ url, getToken }) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#getToken = getToken;
    // A socket that the network has left looks open for a long time yet.
    globalThis.addEventListener?.("offline", () => this.#offline());
    globalThis.addEventListener?.("online", () => this.#state === "connecting" && this.connect());
  }

  /** "connecting", "connected" or "closed". */
  get state() {
    return this.#state;
  }

  /** Open the connection; while it waits for its next attempt, try at once. */
  connect() {
    if (this.#socket || (this.#state === "connecting" && !this.#timers.retry)) return;
    this.#open();
  }

  /** Leave for good, and forget the rooms. */
  close() {
    this.#drop();
    this.#rooms.clear();
    this.#enter("closed", { code: 1000, reason: "closed by the page" });
  }

  /**
   * Enter a room now, and again after every reconnect.
   *
   * @param {string} room
   * @param {object} [handlers]
   * @param {(publication: object) => void} [handlers.onMessage]
   *   What was missed while the connection was lost comes first, in order.
   * @param {(reply: object) => void} [handlers.onJoined] At each entry, also after a reconnect. With
   *   `was_recovering` it is a return, and `recovered` says whether everything that was missed
   *   follows as messages; if it is false, some messages are gone, and none is sent again.
   * @param {(info: object) => void} [handlers.onEnter] Somebody has come: {user, client, conn_info}.
   * @param {(info: object) => void} [handlers.onExit] Somebody's last connection has gone.
   * @param {(error: RealtimeError) => void} [handlers.onRefused] For good: the room is forgotten.
   * @param {(why: {code: number, reason: string}) => void} [handlers.onLeft] The server took us
   *   out for good. When it only asks to enter again, this client does.
   */
  subscribe(room, handlers = {}) {
    this.#forget(room);
    const subscription = { room, handlers, attempts: 0, timer: 0, position: null, early: null };
    this.#rooms.set(room, subscription);
    if (this.#state === "connected") this.#join(subscription);
  }

  /** Leave a room. @param {string} room @returns {Promise<void>} */
  async unsubscribe(room) {
    if (!this.#forget(room) || this.#state !== "connected") return;
    await this.#wire.command("unsubscribe", { channel: room });
  }

  /**
   * @param {string} room
   * @param {*} data Any JSON value.
   * @returns {Promise<void>} Fulfilled when the server has the message, else a RealtimeError.
   */
  async publish(room, data) {
    await this.#command("publish", { channel: room, data });
  }

  /** Who is in a room. @param {string} room @returns {Promise<object[]>} One for each connection. */
  async presence(room) {
    return Object.values((await this.#command("presence", { channel: room })).presence);
  }

  /**
   * What was said in a room.
   *
   * @param {string} room
   * @param {{limit?: number, reverse?: boolean, since?: {epoch: string, offset: number}}} [page]
   * @returns {Promise<{publications: object[], epoch: string, offset: number}>}
   */
  async history(room, page = {}) {
    return this.#command("history", { channel: room, limit: 100, ...page });
  }

  /** Call a procedure of the site. @param {string} method @param {*} data @returns {Promise<*>} */
  async rpc(method, data = null) {
    return (await this.#command("rpc", { method, data })).data;
  }

  // The connection

  async #open() {
    this.#drop();
    const turn = this.#turn;
    if (this.#state !== "connecting") this.#enter("connecting");
    try {
      const token = await this.#getToken({ fresh: this.#freshToken });
      if (turn === this.#turn) this.#dial(token);
    } catch (error) {
      if (turn === this.#turn) this.#lost({ code: 0, reason: error.message }, error.final === true);
    }
  }

  #dial(token) {
    const socket = (this.#socket = new WebSocket(this.#url));
    this.#wire = new Wire({
      write: (text) => socket.send(text),
      onPush: (push) => this.#push(push),
      onPing: () => this.#pong && this.#wire.pong(),
      onFrame: (direction, text) => this.#emit("frame", { direction, text }),
    });
    socket.onopen = () => this.#greet(token);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost({ code, reason });
    this.#silenceMs = CONNECT_MS;
    this.#heard();
  }

  async #greet(token) {
    const turn = this.#turn;
    try {
      const reply = await this.#wire.command("connect", { token });
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
    this.#enter("connected");
    this.#join(...this.#rooms.values());
  }

  #lost(why, final = isFinal(why.code)) {
    const lasted = this.#state === "connected" ? Date.now() - this.#connectedAt : 0;
    if (lasted > STABLE_MS) this.#attempts = 0;
    if (FRESH_TOKEN_AFTER.has(why.code)) this.#freshToken = true;
    this.#drop();
    if (!final) this.#timers.retry = after(backoff(this.#attempts++), () => this.#open());
    this.#enter(final ? "closed" : "connecting", why);
  }

  #offline() {
    if (this.#socket) this.#lost({ code: 0, reason: "the network is away" });
  }

  /** Let go of the socket without waiting for its close: on a dead network that takes minutes. */
  #drop() {
    this.#turn += 1;
    Object.values(this.#timers).forEach((timer) => clearTimeout(timer));
    this.#timers = {};
    for (const { timer } of this.#rooms.values()) clearTimeout(timer);
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
      this.#wire.close();
    }
  }

  #heard() {
    clearTimeout(this.#timers.silence);
    const miss = () => this.#lost({ code: 0, reason: "no sign of life from the server" });
    this.#timers.silence = after(this.#silenceMs, miss);
  }

  // The token

  #refreshBefore({ expires, ttl }) {
    if (!expires) return;
    const wait = ttl * 1000 - Math.min(REFRESH_LEAD_MS, ttl * 250);
    this.#timers.refresh = after(Math.max(wait, BACKOFF_MS), () => this.#refresh());
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
      if (error.final === true) this.#lost({ code: 0, reason: error.message }, true);
      else this.#timers.refresh = after(backoff(attempt), () => this.#refresh(attempt + 1));
    }
  }

  // The rooms

  #join(...subscriptions) {
    const commands = subscriptions.map((subscription) => {
      subscription.early = [];
      const { room, handlers, position } = subscription;
      const since = position && { recover: true, ...position };
      const watches = (handlers.onEnter || handlers.onExit) && { join_leave: true };
      return ["subscribe", { channel: room, ...since, ...watches }];
    });
    const replies = this.#wire.commands(commands);
    replies.forEach((reply, index) => this.#joined(subscriptions[index], reply));
  }

  async #joined(subscription, promise) {
    const turn = this.#turn;
    const { room, handlers } = subscription;
    const current = () => turn === this.#turn && this.#rooms.get(room) === subscription;
    const [reply, error] = await promise.then((reply) => [reply], (error) => [{}, error]);
    if (!current()) return;
    if (error?.temporary) return this.#rejoin(subscription);
    if (error && error.code !== ALREADY_SUBSCRIBED) {
      this.#forget(room);
      return this.#tell(handlers.onRefused, error, room);
    }
    subscription.attempts = 0;
    const { early } = subscription;
    subscription.early = null;
    // A reply that recovers has the position from which; each message moves it on. In a room that
    // keeps nothing there is nothing to ask for.
    const { epoch, offset = 0 } = reply;
    subscription.position = epoch && reply.recoverable ? { epoch, offset } : null;
    this.#tell(handlers.onJoined, reply, room);
    for (const pub of [...(reply.publications ?? []), ...(early ?? [])]) {
      if (!current()) return; // a handler has left the room
      this.#publication(subscription, pub);
    }
  }

  #publication(subscription, pub) {
    const { room, handlers, position } = subscription;
    if (position && pub.offset) position.offset = pub.offset;
    this.#emit("message", { room, publication: pub });
    this.#tell(handlers.onMessage, pub, room);
  }

  #rejoin(subscription) {
    subscription.timer = after(backoff(subscription.attempts++), () => this.#join(subscription));
  }

  #forget(room) {
    clearTimeout(this.#rooms.get(room)?.timer);
    return this.#rooms.delete(room);
  }

  // The wire

  async #command(name, body) {
    if (this.#state !== "connected") throw away("There is no connection.");
    return this.#wire.command(name, body);
  }

  #receive(text) {
    const turn = this.#turn;
    this.#heard();
    for (const line of text.split("\n")) {
      if (turn !== this.#turn) return;
      if (line) this.#wire.receive(line);
    }
  }

  #push({ channel, pub, join, leave, unsubscribe, message }) {
    if (message && !channel) return this.#told(message.data);
    const subscription = this.#rooms.get(channel);
    if (!subscription) return;
    if (pub) {
      // It may be in the same frame as the reply that it comes after, which is told a moment later.
      if (subscription.early) subscription.early.push(pub);
      else this.#publication(subscription, pub);
    } else if (join) {
      this.#tell(subscription.handlers.onEnter, join.info, channel);
    } else if (leave) {
      this.#tell(subscription.handlers.onExit, leave.info, channel);
    } else if (unsubscribe?.code >= RESUBSCRIBE_FROM) {
      this.#rejoin(subscription);
    } else if (unsubscribe && this.#forget(channel)) {
      this.#tell(subscription.handlers.onLeft, unsubscribe, channel);
    }
  }

  /** A message that is of no room: some of them are the server's own. */
  #told(data) {
    if (data?.realtime === "rights") this.#emit("rights");
    else if (data?.realtime === "notice") this.#emit("notice", { text: data.text });
  }

  // Those who listen

  #enter(state, why = {}) {
    this.#state = state;
    this.#emit("state", { state, ...why });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** A handler that throws is the page's fault: say so, and go on reading. */
  #tell(handler, argument, room) {
    try {
      handler?.(argument);
    } catch (error) {
      this.#emit("error", { error, room });
    }
  }
}
