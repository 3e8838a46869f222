/**
 * The browser client: one connection for the page, and rooms in it.
 *
 *     {% load realtime %}{% realtime_script %}                     in the template, then
 *     realtime.room("lobby").on("message", ({ data }) => show(data));     in a script of yours
 *
 * `window.realtime` is made by the tag; it connects when it is used for the first time. A page that
 * needs another address or a token makes its own: `new Realtime({ url, getToken })`.
 *
 * The client reconnects, enters its rooms again, asks for what it missed there, and renews its
 * token. It speaks the native protocol (the Centrifuge client protocol v2, in JSON).
 *
 * Long, because it is one file without imports: storages that put a hash into file names rewrite
 * none.
 * Its sections: errors, wire, rooms, connection, the client of the page, live HTML. advice.js is for
 * developers.
 *
 * @module realtime/client
 */

// Errors

const NAMES = {
  0: "Away", 100: "Internal", 101: "Unauthorized", 102: "UnknownRoom", 103: "PermissionDenied",
  104: "MethodNotFound", 105: "AlreadySubscribed", 106: "LimitExceeded", 107: "BadRequest",
  108: "NotAvailable", 109: "TokenExpired", 111: "TooManyRequests", 112: "UnrecoverablePosition",
};
const ALREADY_SUBSCRIBED = 105;
const TOKEN_EXPIRED = 109;

/**
 * What the server answers instead of a result; with code 0, the server could not be heard. `name`
 * is a word for `code`: "PermissionDenied", or "Rejected" for the codes of the site's own hooks.
 */
export class RealtimeError extends Error {
  constructor(code, message, temporary = false) {
    super(message);
    this.name = NAMES[code] ?? "Rejected";
    this.code = code;
    this.temporary = temporary;
  }
}

const away = (message) => new RealtimeError(0, message, true);

// The wire: a text holds one or more JSON objects, split by newlines: replies by their id, pushes,
// pings

const REPLY_MS = 10_000;

/** A command as it may be shown. */
function masked(command) {
  const name = ["connect", "refresh"].find((key) => command[key]?.token);
  return name ? { ...command, [name]: { ...command[name], token: "***" } } : command;
}

class Wire {
  #write;
  #onPush;
  #onPing;
  #onFrame;
  #lastId = 0;
  #waiting = new Map(); // command id -> {name, resolve, reject, timer}

  constructor({ write, onPush, onPing, onFrame }) {
    this.#write = write;
    this.#onPush = onPush;
    this.#onPing = onPing;
    this.#onFrame = onFrame;
  }

  /** Send a command. @returns {Promise<object>} The reply. */
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

  /** Read one object of what came. */
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

// Rooms

/**
 * A room of the page, from `realtime.room(name)`. Listening to it enters it. Its events are
 * message, joined, state, recovered, gap, enter, exit, refused and left: see RoomEvents in client.d.ts.
 */
class Room {
  #realtime;
  #find;
  #listen;

  constructor(name, realtime, find, listen) {
    this.name = name;
    this.#realtime = realtime;
    this.#find = find;
    this.#listen = listen;
  }

  /** Whether messages arrive at the moment. */
  get joined() {
    return Boolean(this.#find(this.name)?.joined);
  }

  get state() {
    return this.#find(this.name)?.joined?.data;
  }

  /** The position of the last message: {epoch, offset}, or null if the room keeps none. */
  get position() {
    return this.#find(this.name)?.position ?? null;
  }

  /** @returns {() => void} A function that stops listening; it does not leave the room. */
  on(event, listener) {
    return this.#listen(this.name, event, listener);
  }

  publish(data) {
    return this.#realtime.publish(this.name, data);
  }

  /** Call a method of the room type that has `@rooms.rpc`. */
  rpc(method, data) {
    return this.#realtime.rpc(`${this.name}:${method}`, data);
  }

  presence() {
    return this.#realtime.presence(this.name);
  }

  history(page) {
    return this.#realtime.history(this.name, page);
  }

  /** Leave, and forget all listeners. */
  leave() {
    return this.#realtime.unsubscribe(this.name);
  }
}

/** What the client knows of a room, until it is left. */
class Subscription {
  listeners = new Map(); // event -> Set of functions
  wanted = false; // somebody listens
  joined = null; // the last reply, while the page is in the room
  early = null; // what came before the reply, while it is awaited
  position = null;
  watches = false; // joins and leaves were asked for
  attempts = 0;
  timer = 0;

  constructor(name) {
    this.name = name;
  }

  /** Whether somebody wants joins and leaves. */
  get watched() {
    return ["enter", "exit"].some((event) => this.listeners.get(event)?.size);
  }

  out() {
    clearTimeout(this.timer);
    this.joined = this.early = null;
  }
}

/** A position as an object or as `<epoch>:<offset>`. */
function asPosition(since) {
  if (typeof since !== "string") return since ? { epoch: since.epoch, offset: since.offset } : null;
  const colon = since.lastIndexOf(":");
  return { epoch: since.slice(0, colon), offset: Number(since.slice(colon + 1)) };
}

// The connection

const FRESH_TOKEN_AFTER = new Set([3005, 3014]); // expired; state invalidated
const RESUBSCRIBE_FROM = 2500;

const CONNECT_MS = 10_000;
const PING_GRACE_MS = 10_000;
const REFRESH_LEAD_MS = 15_000;
const REFRESH_MIN_MS = 500;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 20_000;
const STABLE_MS = 10_000; // a shorter connection does not reset the backoff
const CLOCK_MS = 5_000; // how often the clock is looked at: timers stand still while a machine sleeps
const TIMER_MAX_MS = 2 ** 31 - 1; // browsers fire longer timers at once

const isFinal = (code) => (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
const after = (ms, run) => setTimeout(run, Math.min(ms, TIMER_MAX_MS));

/** Full jitter: clients that lost their server together come back one by one. */
function backoff(attempt) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt);
}

/**
 * The connection. Its events, with the facts in `event.detail`, are state, message, rights, notice,
 * refused, frame and error: see RealtimeEvents in client.d.ts.
 */
export class Realtime extends EventTarget {
  #url;
  #getToken;
  #getTicket;
  #userRoom;
  #state = "closed";
  #client = null;
  #isIdle = true; // nobody has connected or closed it yet
  #isAsleep = false; // frozen, or kept by the browser for the Back button
  #socket = null;
  #wire = null;
  #turn = 0; // grows when a socket is let go: what awaits can then see that it is stale
  #attempts = 0;
  #connectedAt = 0;
  #freshToken = false;
  #hasToken = false;
  #pong = false;
  #silenceMs = CONNECT_MS;
  #alarms = {}; // retry, silence, refresh -> {due, ring, timer}
  #subscriptions = new Map(); // name -> Subscription; a Map, as a room may be called "__proto__"
  #entering = new Set(); // subscriptions that are sent together, at the end of this tick
  #ears = null; // an AbortController of the listeners on the window

  /**
   * Options:
   *   url        of the socket; a path is taken on the page's own host
   *   getToken   a function ({fresh}) that gives an access token, or a promise of one; `fresh`: the
   *              last one has ended or is about to. No token: the session cookie says who the user
   *              is. An error with a true `final` says that the user has to sign in again; after any
   *              other the client tries again
   *   getTicket  a function that gives a ticket, asked for at each connect: for pages of another
   *              origin, or without cookies
   *   userRoom   the name of the user's personal room
   */
  constructor(options = {}) {
    super();
    this.#url = new URL("/ws/", globalThis.location?.href ?? "ws://localhost");
    this.configure(options);
  }

  /** Change the options, before the first use. */
  configure({ url, getToken = this.#getToken, getTicket = this.#getTicket, userRoom = this.#userRoom } = {}) {
    if (getToken && getTicket) throw new TypeError("Give getToken or getTicket, not both.");
    if (url) this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#getToken = getToken;
    this.#getTicket = getTicket;
    this.#userRoom = userRoom;
    return this;
  }

  /** The address of the socket. */
  get url() {
    return this.#url.href;
  }

  /** The id of this connection, as `info.client` of its messages has it; null without one. */
  get client() {
    return this.#client;
  }

  /** "connecting", "connected" or "closed". */
  get state() {
    return this.#state;
  }

  /** Open the connection; while it waits for its next attempt, try at once. */
  connect() {
    this.#isIdle = this.#isAsleep = false;
    if (this.#socket || (this.#state === "connecting" && !this.#alarms.retry)) return;
    this.#listenToTheWindow();
    this.#open();
  }

  /** Leave for good, and forget the rooms. */
  close() {
    this.#isIdle = this.#isAsleep = false;
    this.#drop();
    this.#subscriptions.clear();
    this.#ears?.abort();
    this.#ears = null;
    this.#enter("closed", { code: 1000, reason: "closed by the page" });
  }

  /** Call a function with the facts of each event. Returns a function that stops it. */
  on(event, listener) {
    const call = ({ detail }) => listener(detail);
    this.addEventListener(event, call);
    this.#wake();
    return () => this.removeEventListener(event, call);
  }

  /**
   * A room, which the page enters when it listens. `since`: enter from a position that the server
   * put into the page, {epoch, offset} or "<epoch>:<offset>"; what was said since then follows.
   */
  room(name, { since } = {}) {
    const position = asPosition(since);
    if (position) {
      const subscription = this.#find(name);
      // Two parts of a page may be rendered at different moments: from the earlier one.
      const isEarlier = !(subscription.position?.offset <= position.offset);
      if (!subscription.joined && isEarlier) subscription.position = position;
    }
    const find = (name) => this.#subscriptions.get(name);
    return new Room(name, this, find, (...heard) => this.#listen(...heard));
  }

  /** The personal room of the user: what the server publishes to a user arrives there, or null. */
  get user() {
    return this.#userRoom ? this.room(this.#userRoom) : null;
  }

  /**
   * Enter a room with handlers, in place of those that it had: `onMessage`, `onJoined`, `onRefused`
   * and so on are the events of a room. Before `connect()`, this waits for it.
   */
  subscribe(name, handlers = {}) {
    this.#forget(name);
    this.#isIdle = false;
    this.#enterSoon(this.#find(name));
    for (const [key, handler] of Object.entries(handlers)) {
      if (handler) this.#listen(name, key.slice(2).toLowerCase(), handler);
    }
  }

  /** Leave a room. */
  async unsubscribe(name) {
    if (!this.#forget(name)?.wanted || this.#state !== "connected") return;
    await this.#wire.command("unsubscribe", { channel: name });
  }

  /** Publish any JSON value. Fulfilled when the server has it, else a RealtimeError. */
  async publish(room, data) {
    await this.#command("publish", { channel: room, data });
  }

  /** Who is in a room: one entry for each connection. */
  async presence(room) {
    return Object.values((await this.#command("presence", { channel: room })).presence);
  }

  /** What was said in a room: {publications, epoch, offset}. `page`: {limit, reverse, since}. */
  async history(room, page = {}) {
    return this.#command("history", { channel: room, limit: 100, ...page });
  }

  /** Call a procedure of the site. */
  async rpc(method, data = null) {
    return (await this.#command("rpc", { method, data })).data;
  }

  /** Leave a room that nobody listens to any more. */
  release(name) {
    const heard = [...(this.#subscriptions.get(name)?.listeners.values() ?? [])];
    if (heard.every(({ size }) => !size)) this.unsubscribe(name).catch(() => {});
  }

  // Opening and losing

  /** The first use opens the connection. */
  #wake() {
    if (this.#isIdle) this.connect();
  }

  async #open() {
    this.#drop();
    const turn = this.#turn;
    if (this.#state !== "connecting") this.#enter("connecting");
    try {
      const ticket = await this.#getTicket?.();
      const token = await this.#getToken?.({ fresh: this.#freshToken });
      if (turn === this.#turn) this.#dial(token || undefined, ticket);
    } catch (error) {
      if (turn === this.#turn) this.#lost({ code: 0, reason: error.message }, error.final === true);
    }
  }

  #dial(token, ticket) {
    const url = new URL(this.#url);
    if (ticket) url.searchParams.set("ticket", ticket);
    const socket = (this.#socket = new WebSocket(url));
    let wasOpen = false;
    this.#hasToken = Boolean(token);
    this.#wire = new Wire({
      write: (text) => socket.send(text),
      onPush: (push) => this.#push(push),
      onPing: () => this.#pong && this.#wire.pong(),
      onFrame: (direction, text) => this.#emit("frame", { direction, text }),
    });
    socket.onopen = () => {
      wasOpen = true;
      this.#greet(token);
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost({ code, reason, wasOpen });
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
    this.#client = reply.client;
    this.#freshToken = false;
    this.#connectedAt = Date.now();
    this.#pong = Boolean(reply.pong);
    this.#silenceMs = reply.ping ? reply.ping * 1000 + PING_GRACE_MS : TIMER_MAX_MS;
    this.#heard();
    this.#refreshBefore(reply);
    this.#enter("connected");
    this.#join(...[...this.#subscriptions.values()].filter(({ wanted }) => wanted));
  }

  #lost({ wasOpen, ...why }, final = isFinal(why.code)) {
    const lasted = this.#state === "connected" ? Date.now() - this.#connectedAt : 0;
    if (lasted > STABLE_MS) this.#attempts = 0;
    if (FRESH_TOKEN_AFTER.has(why.code)) this.#freshToken = true;
    this.#drop();
    if (!final) this.#alarm("retry", backoff(this.#attempts++), () => this.#open());
    this.#enter(final ? "closed" : "connecting", why);
    if (wasOpen === false) this.#emit("unreachable"); // for advice.js
  }

  /** Let go of the socket without waiting for its close: on a dead network that takes minutes. */
  #drop() {
    this.#turn += 1;
    this.#client = null;
    // Timers stood still: the token has ended, or is about to.
    if (this.#alarms.refresh?.due < Date.now()) this.#freshToken = true;
    Object.values(this.#alarms).forEach(({ timer }) => clearTimeout(timer));
    this.#alarms = {};
    for (const subscription of this.#subscriptions.values()) subscription.out();
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
      this.#wire.close();
    }
  }

  #heard() {
    const miss = () => this.#lost({ code: 0, reason: "no sign of life from the server" });
    this.#alarm("silence", this.#silenceMs, miss);
  }

  // Sleep, networks and the Back button

  #listenToTheWindow() {
    if (this.#ears || !globalThis.addEventListener) return;
    this.#ears = new AbortController();
    const { signal } = this.#ears;
    const listen = (target, event, run) => target?.addEventListener(event, run, { signal });
    const { document } = globalThis;
    // A socket that the network has left looks open for a long time yet.
    listen(globalThis, "offline", () => {
      if (this.#socket) this.#lost({ code: 0, reason: "the network is away" });
    });
    listen(globalThis, "online", () => this.#retryNow());
    listen(document, "visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      this.#ringOverdue();
      this.#retryNow();
    });
    // The browser keeps a page for the Back button only if it has no open socket.
    listen(globalThis, "pagehide", ({ persisted }) => persisted && this.#sleep());
    listen(globalThis, "pageshow", ({ persisted }) => persisted && this.#wakeUp());
    listen(document, "freeze", () => this.#sleep());
    listen(document, "resume", () => this.#wakeUp());
    const clock = setInterval(() => this.#ringOverdue(), CLOCK_MS);
    signal.addEventListener("abort", () => clearInterval(clock));
  }

  #retryNow() {
    if (this.#alarms.retry) this.#open();
  }

  /** Close quietly: the page goes on where it was when it wakes up. */
  #sleep() {
    if (this.#state === "closed" || this.#isAsleep) return;
    this.#isAsleep = true;
    this.#drop();
    this.#enter("connecting", { code: 0, reason: "the page is asleep" });
  }

  #wakeUp() {
    if (!this.#isAsleep) return;
    this.#isAsleep = false;
    this.#open();
  }

  /** Run something later, by the clock. */
  #alarm(name, ms, run) {
    clearTimeout(this.#alarms[name]?.timer);
    const ring = () => {
      clearTimeout(alarm.timer);
      delete this.#alarms[name];
      run();
    };
    const alarm = (this.#alarms[name] = { due: Date.now() + ms, ring, timer: after(ms, ring) });
  }

  /** Timers are late after a sleep of the machine; the clock is not. */
  #ringOverdue() {
    const now = Date.now();
    const overdue = Object.values(this.#alarms).find(({ due }) => due < now);
    overdue?.ring();
  }

  // The token

  #refreshBefore({ expires, ttl }) {
    // A session is looked at by the server; a ticket is used once. Both connect again at the end.
    if (!expires || !this.#hasToken) return;
    const wait = ttl * 1000 - Math.min(REFRESH_LEAD_MS, ttl * 250);
    this.#alarm("refresh", Math.max(wait, REFRESH_MIN_MS), () => this.#refresh());
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
      else this.#alarm("refresh", backoff(attempt), () => this.#refresh(attempt + 1));
    }
  }

  // The rooms

  #find(name) {
    let subscription = this.#subscriptions.get(name);
    if (!subscription) this.#subscriptions.set(name, (subscription = new Subscription(name)));
    return subscription;
  }

  #listen(name, event, listener) {
    const subscription = this.#find(name);
    const { listeners, joined } = subscription;
    if (!listeners.has(event)) listeners.set(event, new Set());
    listeners.get(event).add(listener);
    if (!subscription.wanted || (joined && subscription.watched && !subscription.watches)) {
      this.#enterSoon(subscription);
    } else if (joined && (event === "joined" || (event === "state" && "data" in joined))) {
      // Somebody else on the page was here first.
      queueMicrotask(() => this.#call(listener, event === "joined" ? joined : joined.data, name));
    }
    return () => listeners.get(event).delete(listener);
  }

  /** Enter with all rooms that the page names in this tick, in one frame. */
  #enterSoon(subscription) {
    subscription.wanted = true;
    if (!this.#entering.size) {
      queueMicrotask(() => {
        const entering = [...this.#entering].filter((one) => this.#isCurrent(one));
        this.#entering.clear();
        if (this.#state === "connected") this.#join(...entering.filter(({ early }) => !early));
        else if (entering.length) this.#wake();
      });
    }
    this.#entering.add(subscription);
  }

  #isCurrent(subscription) {
    return this.#subscriptions.get(subscription.name) === subscription;
  }

  #join(...subscriptions) {
    const commands = [];
    const numbers = subscriptions.map((subscription) => {
      const { name, position, watched, joined } = subscription;
      subscription.early = [];
      subscription.watches = watched;
      const since = position && { recover: true, ...position };
      // In the room already, but without joins and leaves: go in again, from the same position.
      if (joined) commands.push(["unsubscribe", { channel: name }]);
      return commands.push(["subscribe", { channel: name, ...since, ...(watched && { join_leave: true }) }]) - 1;
    });
    const replies = this.#wire.commands(commands);
    replies.forEach((reply) => reply.catch(() => {})); // those of `unsubscribe` interest nobody
    numbers.forEach((number, index) => this.#answered(subscriptions[index], replies[number]));
  }

  async #answered(subscription, promise) {
    const turn = this.#turn;
    const { name } = subscription;
    const current = () => turn === this.#turn && this.#isCurrent(subscription);
    const [reply, error] = await promise.then((reply) => [reply], (error) => [{}, error]);
    if (!current()) return;
    if (error?.temporary) return this.#rejoin(subscription);
    if (error && error.code !== ALREADY_SUBSCRIBED) {
      this.#forget(name);
      this.#emit("refused", { room: name, error });
      return this.#tell(subscription, "refused", error);
    }
    subscription.attempts = 0;
    const { early } = subscription;
    subscription.early = null;
    subscription.joined = reply;
    // A reply that recovers has the position from which; each message moves it on. In a room that
    // keeps nothing there is nothing to ask for.
    const { epoch, offset = 0, publications = [] } = reply;
    subscription.position = epoch && reply.recoverable ? { epoch, offset } : null;
    this.#tell(subscription, "joined", reply);
    if ("data" in reply && current()) this.#tell(subscription, "state", reply.data);
    if (reply.was_recovering && current()) {
      if (reply.recovered) this.#tell(subscription, "recovered", { count: publications.length });
      else this.#tell(subscription, "gap", {});
    }
    for (const pub of [...publications, ...(early ?? [])]) {
      if (!current()) return; // a listener has left the room
      this.#publication(subscription, pub);
    }
    if (current() && subscription.watched && !subscription.watches) this.#enterSoon(subscription);
  }

  #publication(subscription, pub) {
    const { name, position } = subscription;
    if (position && pub.offset) {
      if (pub.offset <= position.offset) return; // it came twice, while the room was entered again
      position.offset = pub.offset;
    }
    this.#emit("message", { room: name, publication: pub });
    this.#tell(subscription, "message", pub);
  }

  #rejoin(subscription) {
    subscription.out();
    subscription.timer = after(backoff(subscription.attempts++), () => this.#join(subscription));
  }

  #forget(name) {
    const subscription = this.#subscriptions.get(name);
    subscription?.out();
    this.#subscriptions.delete(name);
    return subscription;
  }

  // Commands and pushes

  async #command(name, body) {
    this.#wake();
    if (this.#state === "connecting") await this.#connected();
    if (this.#state !== "connected") throw away("There is no connection.");
    const reply = this.#wire.command(name, body);
    reply.catch((error) => this.#emit("failed", { name, body, error })); // for advice.js
    return reply;
  }

  /** Wait for the connection, but no longer than for a reply. */
  #connected() {
    return new Promise((resolve) => {
      const done = () => {
        if (this.#state === "connecting" && timer) return;
        clearTimeout(timer);
        this.removeEventListener("state", done);
        resolve();
      };
      let timer = setTimeout(() => done((timer = 0)), REPLY_MS);
      this.addEventListener("state", done);
    });
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
    const subscription = this.#subscriptions.get(channel);
    if (!subscription) return;
    if (pub) {
      // It may be in the same frame as the reply that it comes after, which is told a moment later.
      if (subscription.early) subscription.early.push(pub);
      else this.#publication(subscription, pub);
    } else if (join) {
      this.#tell(subscription, "enter", join.info);
    } else if (leave) {
      this.#tell(subscription, "exit", leave.info);
    } else if (unsubscribe?.code >= RESUBSCRIBE_FROM) {
      this.#rejoin(subscription);
    } else if (unsubscribe) {
      this.#forget(channel);
      this.#tell(subscription, "left", unsubscribe);
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

  #tell({ name, listeners }, event, argument) {
    for (const listener of [...(listeners.get(event) ?? [])]) this.#call(listener, argument, name);
  }

  /** A listener that throws is the page's fault: report it as such, and go on reading. */
  #call(listener, argument, room) {
    try {
      listener(argument);
    } catch (error) {
      this.#emit("error", { error, room });
      globalThis.reportError?.(error);
    }
  }
}

// The client of the page: what {% realtime_script %} says is in the attributes of its element

function ofThisPage() {
  const made = globalThis.realtime;
  // A page that loads this file by two addresses still has one connection. (An element whose id is
  // "realtime" would be found under this name too.)
  if (typeof made?.room === "function") return made;
  const { dataset } = globalThis.document?.querySelector("script[data-realtime]") ?? {};
  const realtime = new Realtime({ url: dataset?.url, userRoom: dataset?.userRoom });
  if (dataset) globalThis.realtime = realtime;
  return realtime;
}

/** The client of this page; it connects when it is used for the first time. */
export const realtime = ofThisPage();

// Live HTML: elements of {% live %} show what the server renders for their room. Events on what
// changes, with {room, action, content}: realtime:before-swap, which can be prevented, and
// realtime:after-swap

const LIVE = "[data-realtime-room]";
const NAMED = "[id],[name]";
const TOKEN = "csrfmiddlewaretoken";
const REFRESH_MAX_MS = 3_000; // pages that lost the same room load it again one by one

const elements = (root, selector) => [...root.querySelectorAll(selector)];
const roomOf = (element) => element.dataset.realtimeRoom;
const templateOf = (element) => element.dataset.realtimeTemplate;

/** What tells a node from its siblings: its id or name, or that of an element inside. */
function keyOf(node) {
  const named = node.matches?.(NAMED) ? node : node.querySelector?.(NAMED);
  return named && (named.getAttribute("id") || named.getAttribute("name"));
}

const isSame = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

/** Make a node like another one of its kind. It stays: with its focus, typed text and scrolling. */
function morph(old, wanted) {
  if (!old.attributes) {
    old.data = wanted.data;
    return;
  }
  if (old.matches(`[name=${TOKEN}],[data-realtime-keep]`)) return;
  for (const { name } of [...old.attributes]) {
    // Whether it is open is the visitor's.
    if (!wanted.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, wanted);
}

function morphChildren(old, wanted) {
  let at = old.firstChild;
  const next = () => {
    const one = at;
    at = at.nextSibling;
    return one;
  };
  for (const child of [...wanted.childNodes]) {
    let found = at;
    while (found && !isSame(found, child)) found = found.nextSibling;
    if (!found) {
      old.insertBefore(child, at);
      continue;
    }
    // What is moved loses the focus: move the others out of its way.
    if (found.contains(document.activeElement)) while (at !== found) old.append(next());
    if (found === at) next();
    else old.insertBefore(found, at);
    morph(found, child);
  }
  while (at) next().remove();
}

/** Add elements by a method of `place`; one that is there already, by its id, becomes the new one. */
const adding = (method) => (place, content) => {
  const isAtEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 2;
  for (const child of [...content.children]) {
    const known = child.id && document.getElementById(child.id);
    if (known?.nodeName !== child.nodeName) continue;
    morph(known, child);
    child.remove();
  }
  place[method](content);
  if (isAtEnd) place.scrollTop = place.scrollHeight;
};

const ACTIONS = {
  replace(place, content) {
    const [only, another] = content.children;
    if (roomOf(place)) morphChildren(place, content);
    else if (!another && only?.nodeName === place.nodeName) morph(place, only);
    else place.replaceWith(content);
  },
  update: morphChildren,
  remove: (place) => place.remove(),
};
for (const name of ["append", "prepend", "before", "after"]) ACTIONS[name] = adding(name);

let policy;

/** For pages with Trusted Types. */
function trusted(html) {
  policy ??= globalThis.trustedTypes?.createPolicy("realtime", { createHTML: (text) => text });
  return policy ? policy.createHTML(html) : html;
}

/** HTML as nodes, without scripts, and with the token of the page in its forms. */
function parse(html) {
  const box = document.createElement("template");
  box.innerHTML = trusted(html);
  elements(box.content, "script").forEach((script) => script.remove());
  const token = document.querySelector(`[name=${TOKEN}]`)?.value;
  for (const field of elements(box.content, `[name=${TOKEN}]`)) field.value ||= token ?? "";
  return box.content;
}

function swap(room, action, place, content) {
  const detail = { room, action, content };
  const tell = (node, name) =>
    node.dispatchEvent(new CustomEvent(`realtime:${name}-swap`, { detail, bubbles: true, cancelable: true }));
  if (!tell(place, "before")) return;
  const around = place.parentElement;
  const focused = document.activeElement;
  const scrolled = elements(around, "[id]").map(({ id, scrollTop }) => [id, scrollTop]);
  ACTIONS[action](place, content);
  for (const [id, top] of scrolled) {
    const one = top && document.getElementById(id);
    if (one && !one.scrollTop) one.scrollTop = top; // it was moved, or is another one
  }
  if (focused !== document.activeElement) {
    const again = focused.isConnected ? focused : document.getElementById(focused.id);
    again?.focus({ preventScroll: true });
  }
  if (!place.isConnected) place = around;
  globalThis.htmx?.process(place);
  tell(place, "after");
}

class LivePage {
  #realtime;
  #positions = new Map(); // element -> its position, or null
  #leaving = new Map(); // room -> functions that stop listening
  #stale = new Set(); // rooms that have to be loaded again
  #failures = 0; // of loading them, one after the other

  constructor(realtime) {
    this.#realtime = realtime;
    this.#look();
    new MutationObserver(() => this.#look()).observe(document, { childList: true, subtree: true });
  }

  /** Follow the rooms of elements that have come, and leave those of elements that have gone. */
  #look() {
    const now = new Set(elements(document, LIVE));
    for (const element of this.#positions.keys()) if (!now.has(element)) this.#positions.delete(element);
    for (const element of now) if (!this.#positions.has(element)) this.#follow(element);
    for (const [room, functions] of this.#leaving) {
      if (this.#of(room).length) continue;
      functions.forEach((stop) => stop());
      this.#leaving.delete(room);
      this.#realtime.release(room);
    }
  }

  #follow(element) {
    const name = roomOf(element);
    const since = element.dataset.realtimeSince;
    this.#positions.set(element, asPosition(since));
    const room = this.#realtime.room(name, { since });
    if (this.#leaving.has(name)) this.#catchUp(element);
    else
      this.#leaving.set(name, [
        room.on("message", (publication) => this.#show(name, publication)),
        room.on("joined", ({ recovered }) => recovered || this.#refreshSoon(name)),
      ]);
  }

  #of(room) {
    return [...this.#positions.keys()].filter((element) => roomOf(element) === room);
  }

  /** Show a publication, once in each element: some were rendered after it. */
  #show(room, { data, offset, tags }, only) {
    const due = (only ?? this.#of(room)).filter((element) => !(this.#positions.get(element)?.offset >= offset));
    for (const element of due) {
      const position = this.#positions.get(element);
      if (position) position.offset = offset;
    }
    // The server alone can write this tag: what a client publishes is never HTML.
    if (tags?.realtime !== "html" || !ACTIONS[data.action]) return;
    for (const place of this.#places(room, data, due, only)) swap(room, data.action, place, parse(data.html ?? ""));
  }

  #places(room, { action, target, template }, due, only) {
    if (!target) return due.filter((one) => /pend$/.test(action) || templateOf(one) === template);
    const place = document.getElementById(target);
    const owner = this.#of(room).find((element) => element.contains(place));
    return place && (owner ? due.includes(owner) : !only && due.length) ? [place] : [];
  }

  /** An element that came later may be older than the rest of the page. */
  async #catchUp(element) {
    const room = this.#realtime.room(roomOf(element));
    const since = this.#positions.get(element);
    if (!since || !room.joined || room.position?.offset <= since.offset) return;
    try {
      const { publications } = await room.history({ since: { ...since }, limit: 300 });
      for (const publication of publications) this.#show(room.name, publication, [element]);
    } catch {
      this.#refreshSoon(room.name);
    }
  }

  /** Messages are lost: load the page again, and take its elements. */
  #refreshSoon(room) {
    const ms = Math.random() * REFRESH_MAX_MS + (this.#failures && backoff(this.#failures));
    if (!this.#stale.size) setTimeout(() => this.#refresh(), ms);
    this.#stale.add(room);
    for (const element of this.#of(room)) this.#positions.set(element, null);
  }

  async #refresh() {
    const stale = [...this.#stale];
    this.#stale.clear();
    const response = await fetch(location.href, { cache: "no-store" }).catch(() => null);
    const text = await response?.text().catch(() => null);
    if (text == null || response.status === 429 || response.status >= 500) {
      // The network is away again, or the server is only starting.
      this.#failures += 1;
      for (const room of stale) if (this.#of(room).length) this.#refreshSoon(room);
      return;
    }
    this.#failures = 0;
    if (!response.ok || response.redirected) return;
    const fresh = elements(parse(text), LIVE);
    for (const element of stale.flatMap((room) => this.#of(room))) {
      const room = roomOf(element);
      const index = fresh.findIndex((one) => roomOf(one) === room && templateOf(one) === templateOf(element));
      if (index < 0) continue;
      const [found] = fresh.splice(index, 1);
      this.#positions.set(element, asPosition(found.dataset.realtimeSince));
      swap(room, "update", element, found);
      this.#catchUp(element);
    }
  }
}

// Once the scripts of the page have said how to connect
if (globalThis.realtime === realtime) {
  let page;
  const begin = () => (page ??= new LivePage(realtime));
  for (const event of ["DOMContentLoaded", "load"]) addEventListener(event, begin);
  if (document.readyState === "complete") begin();
}
