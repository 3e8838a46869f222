// A page of a site, as TypeScript sees it. What must not compile says so.
import { type Publication, Realtime, RealtimeError, realtime } from "../../../../realtime/static/realtime/client.js";

interface Order {
  status: "open" | "paid";
}

const order = window.realtime.room<Order, { total: number }>("orders/42", { since: { epoch: "e", offset: 7 } });
const stop: () => void = order.on("message", ({ data, offset, info }) => {
  const status: "open" | "paid" = data.status;
  console.log(status, offset?.toFixed(), info?.user.length);
});
order.on("state", ({ total }) => total.toFixed());
order.on("gap", () => location.reload());
order.on("recovered", ({ count }) => count.toFixed());
order.on("left", ({ code, reason }) => console.log(code.toFixed(), reason.length));
order.on("refused", (error) => {
  if (error.name === "PermissionDenied") console.log(error.code, error.temporary);
  // @ts-expect-error: no error has this name
  if (error.name === "PermissionDeny") stop();
});
// @ts-expect-error: rooms have no such event
order.on("massage", () => {});
// @ts-expect-error: no order is "lost"
void order.publish({ status: "lost" });

realtime.user?.on("message", ({ data }) => console.log(data));
realtime.on("notice", ({ text }) => console.log(text.trim()));
realtime.on("state", ({ state, reason }) => state === "closed" && console.log(reason?.trim()));
realtime.configure({ url: "/live/", getToken: async ({ fresh }) => (fresh ? null : "token") });

const other = new Realtime({ url: new URL("wss://example.com/ws/"), getTicket: () => fetch("/ticket/").then((r) => r.text()) });
// @ts-expect-error: a token or a ticket
new Realtime({ getToken: () => "token", getTicket: () => "ticket" });
other.subscribe("lobby", { onMessage: (publication: Publication<string>) => publication.data.trim() });

async function ask(): Promise<number> {
  try {
    const { publications, epoch } = await order.history({ limit: 10, reverse: true });
    const people = await other.presence("lobby");
    return publications.length + people.length + epoch.length + (await realtime.rpc<number>("orders.count"));
  } catch (error) {
    if (error instanceof RealtimeError && error.temporary) return 0;
    throw error;
  }
}
void ask().then(() => order.leave());
