/** The sentences that the page shows: for close codes, errors, rights and recoveries. */

const CLOSED = new Map([
  [3500, "Your sign-in is no longer valid. Please sign in again."],
  [3501, "The server did not understand this page. Please reload it."],
  [3502, "Signing in took too long. Please try again."],
  [3503, "An administrator has ended your connection."],
  [3504, "You are connected too often. Close another window and sign in again."],
  [3505, "You are in too many rooms. Leave one and try again."],
  [3507, "You may not use this. Ask an administrator."],
  [3509, "Too many mistakes in a row. Please reload the page."],
]);

const REFUSED = new Map([
  [0, "There is no connection just now. Please try again in a moment."],
  [100, "The server could not do that just now. Please try again."],
  [101, "Please sign in first."],
  [103, "You may not do that in this room."],
  [104, "The server does not know how to do that."],
  [106, "That is too long, or too many rooms at once."],
  [107, "The server did not understand that."],
  [108, "The server does not offer that."],
  [111, "That was too fast. Please wait a moment."],
]);

export const LOST = "The connection was lost. Trying again …";
export const NOT_OPENED = "The connection can’t be opened. Trying again … Diagnosis may know why.";

export function whyNoHistory(error) {
  return error.code === 108 ? "This room keeps no messages." : whyRefused(error);
}

export function whyClosed(code, reason) {
  return CLOSED.get(code) ?? `The connection has ended: ${reason || code}.`;
}

export function whyRefused(error) {
  // With 103, the site may send its own sentence.
  if (error.code === 103 && error.message !== "permission denied") return error.message;
  return REFUSED.get(error.code) ?? error.message;
}

export const MAY_NOT_ENTER = "You may not be in this room any more.";

export const isRightLost = ({ reason }) => reason === "you may not be in this room any more";

export function whyNotEntered(error) {
  return error.code === 103 && error.message === "permission denied"
    ? "You may not enter this room."
    : whyRefused(error);
}

/** Why the server took the user out of a room. */
export function whyLeft(why) {
  if (isRightLost(why)) return MAY_NOT_ENTER;
  return why.reason
    ? `You have been taken out of the room: ${why.reason}.`
    : "You have been taken out of the room.";
}

/** The line in a room that shows that the right to write was given or withdrawn. */
export function whatMayBeWritten(can) {
  return can ? "You can write here now." : "You can’t write here any more.";
}

/** Why the user can't write; "" if the user can, or if the room is still being entered. */
export function whyNotPublish({ rights, access, isLost, isOut, isSilenced, wasJoined }, isReady) {
  if (isLost && !wasJoined) return "This room is not open to you: see “What I may do here”.";
  if (isLost) return "This room is closed to you now. An administrator can let you in again.";
  if (isOut) return "You are not in the room. Enter it to take part.";
  if (!isReady || rights.publish) return "";
  if (isSilenced) return "You can read here. An administrator has switched writing off for you.";
  return access === "anyone"
    ? "You can read here, not write."
    : "You can read here. Only moderators and people with the right can write.";
}

/** The line that a subscribe reply is shown as: whether messages were missed, and how many. */
export function whatWasMissed({ was_recovering: isBack, recovered, publications = [] }) {
  if (!isBack) return "You are in the room.";
  if (!recovered) return "You are back. Some messages were missed, and can’t be shown any more.";
  if (publications.length === 0) return "You are back. Nothing was missed.";
  const count = publications.length === 1 ? "One message" : `${publications.length} messages`;
  return `You are back. ${count} arrived while you were away:`;
}
