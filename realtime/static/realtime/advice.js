/**
 * Advice for developers: says in the console what is wrong, and what to do about it.
 *
 * {% realtime_script %} adds this file to the page under DEBUG, behind client.js; in production no
 * page has it. It imports nothing, like client.js, so that the names of both may have a hash.
 *
 * @module realtime/advice
 */

const realtime = globalThis.realtime;
const { user, diagnosis } = document.querySelector("script[data-realtime-advice]").dataset;

const NO_CREDENTIAL = new Set([101, 3500, 3502]);
const RETRIES = new Set([100, 111]); // temporary: the client tries again by itself

const said = new Set();

/** Say a sentence once, until the page is connected again. */
function say(text) {
  if (said.has(text)) return;
  said.add(text);
  console.warn(`realtime: ${text}`);
}

/** A word of a command line. */
const word = (text) => (/^[\w/.:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

function explain(room, action) {
  const who = user ? word(user) : "<user>";
  return `To see why, run: python manage.py realtime explain ${who} ${word(room)} ${action}`;
}

const hear = (event, run) => realtime.addEventListener(event, ({ detail }) => run(detail));

hear("refused", ({ room, error: { code, message } }) => {
  if (code !== 103) return say(`The room "${room}" can't be entered (${code}, ${message}).`);
  say(`The room "${room}" does not exist, or the user may not enter it (103). ${explain(room, "join")}`);
});

hear("failed", ({ name, body, error: { code, message } }) => {
  if (!code || RETRIES.has(code)) return;
  const advice = {
    103: name === "publish" && explain(body.channel, "publish"),
    104: "No @rooms.rpc of the site has this name.",
    107: `The server can't take what was sent: ${JSON.stringify(body)}`,
    108: "The room does not keep what this asks for: see its history_size and presence.",
  };
  say(`${name} "${body.channel ?? body.method ?? ""}" failed (${code}, ${message}). ${advice[code] || ""}`.trim());
});

const EVENTS = {
  room: ["message", "joined", "state", "recovered", "gap", "enter", "exit", "refused", "left"],
  realtime: ["state", "message", "rights", "notice", "refused", "error", "failed", "unreachable", "frame"],
};

/** How many letters differ, as far as that matters for a slip of the finger. */
const difference = (a, b) =>
  Math.abs(a.length - b.length) + [...a].filter((letter, at) => letter !== b[at] && !b.includes(letter)).length;

/** Listeners to an event that never comes are silent otherwise. */
function checkNames(of, kind) {
  const { on } = of;
  of.on = function (event, listener) {
    if (!EVENTS[kind].includes(event)) {
      const [nearest] = EVENTS[kind].toSorted((a, b) => difference(event, a) - difference(event, b));
      say(`There is no event "${event}". Is it "${nearest}"? All: ${EVENTS[kind].join(", ")}.`);
    }
    return on.call(this, event, listener);
  };
}

if (realtime.room) {
  checkNames(Object.getPrototypeOf(realtime.room("advice")), "room");
  checkNames(realtime, "realtime");
}

let inARow = 0;

hear("state", ({ state, code, reason }) => {
  if (state === "connected") said.clear();
  // The server opened the socket and closed it again, such as because its Redis is away.
  if (state !== "connecting" || !(code >= 3000)) inARow = state === "connected" ? 0 : inARow;
  else if (++inARow === 2) {
    say(`The server closes the connection (${code}, ${reason}): its log says why. Is Redis running?`);
  }
  if (state !== "closed" || code === 1000) return;
  if (!NO_CREDENTIAL.has(code)) return say(`The connection is closed for good (${code}, ${reason}).`);
  say(
    `The server accepts no credential of this page (${code}, ${reason}). Sign in on this site first, or ` +
      "give a token before the first use: realtime.configure({ getToken }).",
  );
});

// A browser hides why a handshake fails. The server knows, and says it under DEBUG.
hear("unreachable", async () => {
  const failed = `No WebSocket could be opened at ${realtime.url}.`;
  if (!diagnosis) {
    return say(
      `${failed} Does an ASGI server serve this site (runserver: "daphne" first in INSTALLED_APPS)? ` +
        'For a diagnosis here, add path("realtime/", include("realtime.urls")) to the URLs.',
    );
  }
  try {
    const response = await fetch(`${diagnosis}?origin=${encodeURIComponent(location.origin)}`);
    const { url, problems = [] } = response.ok ? await response.json() : {};
    const elsewhere = url && url !== realtime.url ? [`The socket of this site is at ${url}.`] : [];
    say([failed, ...elsewhere, ...problems].join("\n* "));
  } catch {
    say(`${failed} The server does not answer at ${diagnosis} either. Is it running?`);
  }
});

document.addEventListener("securitypolicyviolation", ({ blockedURI, effectiveDirective }) => {
  if (!blockedURI.startsWith("ws")) return;
  say(`The Content-Security-Policy forbids ${blockedURI}. Add it to ${effectiveDirective}.`);
});
