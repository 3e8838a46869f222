// What a site writes: a room, its messages, and a form.
const room = realtime.room("lobby", { since: document.body.dataset.since });
const status = document.querySelector("[role=status]");
const form = document.querySelector("form");

room.on("message", ({ data }) => {
  const item = document.createElement("li");
  item.textContent = data.text;
  document.querySelector("ol").append(item);
});
room.on("gap", () => (document.title = "There is a gap"));
realtime.user?.on("message", ({ data }) => (document.title = data.text));
realtime.on("state", ({ state }) => (status.textContent = state));
status.textContent = realtime.state;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await room.publish({ text: form.elements.text.value });
  form.reset();
});
