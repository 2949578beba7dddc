/* Relays: what is pulled and pushed, why one fails, and new ones. */

import { get, post, remove } from "./api.js";
import { ask, bytes, fill, h, say, table } from "./dom.js";

const STATES = { running: "good", trying: "warn", idle: "" };
const MODES = { static: "always pulled", pull: "pulled on demand", push: "pushed" };

export async function relays(place, _path, signal) {
  const list = h("section", { class: "panel", "aria-label": "Relays" });
  const field = (label, props) => [h("label", {}, label, h("input", { required: true, maxlength: 128, ...props })), label];
  const [app] = field("App", { name: "app", size: 8, value: "live" });
  const [name] = field("Stream", { name: "name", size: 12 });
  const [url] = field("Address", { name: "url", size: 34, maxlength: 4096, placeholder: "rtsp://user:password@192.168.1.64/…", autocomplete: "off" });
  const mode = h("select", { name: "mode" }, Object.entries(MODES).map(([key, words]) => h("option", { value: key }, words)));
  const form = h(
    "form", { class: "panel", "aria-label": "New relay", onsubmit: (event) => (event.preventDefault(), add(event.target)) },
    h("h2", {}, "New relay"), h("div", { class: "row" }, h("label", {}, "What", mode), app, name, url, h("button", {}, "Add")),
    h("p", { class: "dim" }, "It goes where relay.allow_hosts of the configuration lets it, and stays over restarts."),
  );
  fill(place, h("h1", {}, "Relays"), form, list);

  async function add(from) {
    const given = Object.fromEntries(new FormData(from));
    try {
      await post("/relays", given);
      say(`${given.app}/${given.name} is ${MODES[given.mode]}`);
      from.reset();
      await draw();
    } catch (error) {
      say(error.message);
    }
  }
  async function end(row) {
    const text = row.stored ? "The task is taken away." : "It is of a rule of the configuration: one that is always pulled comes back.";
    if ((await ask({ title: `End the relay of ${row.path.slice(1)}?`, text, yes: "End it" })) === null) return;
    await remove(`/relays/${row.id}`).catch((error) => say(error.message));
    await draw().catch(() => {});
  }
  async function draw() {
    const page = await get("/relays", { limit: 500 }, signal);
    const columns = [
      ["Stream", (row) => h("a", { href: `#/stream/${row.app}/${row.name}` }, row.path.slice(1)), "wide"], ["What", (row) => MODES[row.mode] ?? row.mode],
      ["State", (row) => h("span", { class: `tag ${STATES[row.state] ?? ""}` }, row.state)], ["Address", (row) => row.url, "wide"],
      ["Why not", (row) => row.error, "wide"], ["Bytes", (row) => bytes(row.inbytes + row.outbytes), "number"],
      ["", (row) => h("button", { class: "danger", "aria-label": `End: relay of ${row.path.slice(1)}`, onclick: () => end(row) }, "End")],
    ];
    fill(list, page.items.length ? table("Relays", columns, page.items) : h("p", { class: "note" }, "There are none."));
  }
  await draw();
  return { every: 3000, turn: draw };
}
