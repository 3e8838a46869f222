/** The requests of the page. They are signed by the session, as its connection is. */

const { dataset } = document.body;

/** An error with a sentence for the user. `final`: the user has to sign in again. */
export class RequestError extends Error {
  constructor(message, { final = false } = {}) {
    super(message);
    this.final = final;
  }
}

/** The id of the user, as publications name it. */
export const userId = dataset.user;

export async function listRooms() {
  return (await get(dataset.rooms)).rooms;
}

/** What the user may do in a room, and why: an explanation for each action. */
export async function explain(room) {
  return (await get(dataset.explain, { room })).actions;
}

/** What a handshake of this page would meet. */
export function diagnose() {
  return get(dataset.diagnosis, { origin: location.origin });
}

async function get(address, query = {}) {
  const url = new URL(address, location.href);
  url.search = new URLSearchParams(query);
  const response = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => {
    throw new RequestError("The server can’t be reached. Is it running?");
  });
  if ([401, 403].includes(response.status)) {
    throw new RequestError("Your sign-in is no longer valid. Please sign in again.", { final: true });
  }
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After")) || 60;
    throw new RequestError(`Too many tries. Please wait ${seconds} seconds and try again.`);
  }
  if (!response.ok) throw new RequestError(`The server answered ${response.status}. Please try again.`);
  return response.json();
}
