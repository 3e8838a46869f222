// npm's EventSource, with a fresh token for each connection. Prints each event, one JSON value a line.
import { EventSource } from "eventsource";
import jwt from "jsonwebtoken";

const { URL, SIGNING_KEY, CLAIMS } = process.env;

const withToken = (input, init) => {
  const claims = { token_type: "access", ...JSON.parse(CLAIMS) };
  const options = { expiresIn: 60, jwtid: Math.random().toString(36) };
  const token = jwt.sign(claims, SIGNING_KEY, options);
  return fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
};

const source = new EventSource(URL, { fetch: withToken });
const print = ({ data }) => console.log(data);
source.onmessage = print;
for (const name of ["joined", "refused", "unsubscribed", "closed"]) {
  source.addEventListener(name, print);
}
source.onerror = ({ code }) => {
  if (source.readyState === EventSource.CLOSED) console.log(JSON.stringify({ type: "gone", code }));
};
