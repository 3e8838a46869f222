/** The signed-in user of this page: the tokens, and requests that use them. */

const KEY = "realtime.session";

/** An error with a sentence for the user. `final`: the user has to sign in again. */
export class SignInError extends Error {
  constructor(message, { final = false } = {}) {
    super(message);
    this.final = final;
  }
}

/** Stored for this window only, so that two windows can have two users. */
function stored() {
  return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
}

export function current() {
  return stored()?.username ?? null;
}

/** The id of the user, as publications name it. */
export function userId() {
  const token = stored()?.access;
  return token ? String(claims(token).user_id) : null;
}

export async function signIn(username, password) {
  const response = await post("api/token/", { username, password });
  if (response.status === 401) throw new SignInError("That name and password don’t fit together.");
  if (response.status === 400) throw new SignInError("Please fill in a name and a password.");
  await requireOk(response);
  const { access, refresh } = await response.json();
  sessionStorage.setItem(KEY, JSON.stringify({ username, access, refresh }));
}

export async function signOut() {
  const refresh = stored()?.refresh;
  sessionStorage.removeItem(KEY);
  if (refresh) await post("api/logout/", { refresh }).catch(() => {});
}

export function forget() {
  sessionStorage.removeItem(KEY);
}

/** An access token that is valid for at least 2 s. `fresh`: a new one, even if the old one is valid. */
export async function accessToken({ fresh = false } = {}) {
  const session = stored();
  if (!session) throw new SignInError("You are signed out.", { final: true });
  if (!fresh && claims(session.access).exp * 1000 > Date.now() + 2000) return session.access;
  return refreshed(session);
}

export async function listRooms() {
  const headers = { Authorization: `Bearer ${await accessToken()}` };
  const response = await request("realtime/rooms/", { headers });
  if (response.status === 401) throw new SignInError("Your sign-in is no longer valid.", { final: true });
  await requireOk(response);
  return (await response.json()).rooms;
}

let refreshing = null;

function refreshed(session) {
  // One at a time: a refresh token works once.
  refreshing ??= rotate(session).finally(() => (refreshing = null));
  return refreshing;
}

async function rotate(session) {
  const response = await post("api/token/refresh/", { refresh: session.refresh });
  if (response.status === 401) {
    throw new SignInError("Your sign-in has ended. Please sign in again.", { final: true });
  }
  await requireOk(response);
  const { access, refresh } = await response.json();
  sessionStorage.setItem(KEY, JSON.stringify({ ...session, access, refresh }));
  return access;
}

function post(path, body) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function request(path, options) {
  try {
    return await fetch(path, { credentials: "omit", ...options });
  } catch {
    throw new SignInError("The server can’t be reached. Is it running?");
  }
}

async function requireOk(response) {
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After")) || 60;
    throw new SignInError(`Too many tries. Please wait ${seconds} seconds and try again.`);
  }
  if (!response.ok) throw new SignInError(`The server answered ${response.status}. Please try again.`);
}

function claims(token) {
  const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(base64));
}
