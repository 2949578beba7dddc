/* Relays: what is pulled and pushed, why one fails, and new ones. */

import { get, post, remove } from "./api.js";
import { ask, busy, bytes, fill, h, say, table } from "./dom.js";

const STATES = { running: "good", trying: "warn", idle: "" };
const MODES = { static: "always pulled", pull: "pulled on demand", push: "pushed" };

/** The address of a camera: a preset with its fields filled in as the server does it. */
export function cameraAddress(pattern, { host, user, password, channel }) {
  const credentials = user || password ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : "";
  const fields = { "{credentials}": credentials, "{host}": host, "{channel}": channel };
  return pattern.replace(/\{(credentials|host|channel)\}/g, (field) => fields[field]);
}

export async function relays(place, _path, signal) {
  const list = h("section", { class: "panel", "aria-label": "Relays" });
  const field = (label, props) => [h("label", {}, label, h("input", { required: true, maxlength: 128, ...props })), label];
  const [app] = field("App", { name: "app", size: 8, value: "live" });
  const [name] = field("Stream", { name: "name", size: 12 });
  const [url] = field("Address", { name: "url", size: 34, maxlength: 4096, placeholder: "rtsp://user:password@192.168.1.64/…", autocomplete: "off" });
  const makes = (await get("/relays/presets", {}, signal).catch(() => ({ items: [] }))).items;
  const camera = h("select", { name: "camera", onchange: () => byMake() }, h("option", { value: "" }, "an address"),
    makes.map(({ make }) => h("option", { value: make }, `camera: ${make}`)));
  const [host] = field("Camera's address", { name: "host", size: 16, placeholder: "192.168.1.64" });
  const [user] = field("User", { name: "user", size: 9, required: false, autocomplete: "off" });
  const [password] = field("Password", { name: "password", size: 9, type: "password", required: false, autocomplete: "new-password" });
  const [channel] = field("Channel", { name: "channel", type: "number", min: 1, max: 999, value: 1 });
  const small = h("select", { name: "size" }, h("option", { value: "main" }, "large"), h("option", { value: "sub" }, "small"));
  const lens = [host, user, password, channel, h("label", {}, "Picture", small)];
  const mode = h("select", { name: "mode" }, Object.entries(MODES).map(([key, words]) => h("option", { value: key }, words)));
  const form = h(
    "form", { class: "panel", "aria-label": "New relay", onsubmit: (event) => (event.preventDefault(), add(event.target)) },
    h("h2", {}, "New relay"), h("div", { class: "row" }, h("label", {}, "What", mode), app, name, makes.length ? h("label", {}, "Comes from", camera) : null, url, lens, h("button", {}, "Add")),
    h("p", { class: "dim" }, "It goes where relay.allow_hosts of the configuration lets it, and stays over restarts."),
  );
  fill(place, h("h1", {}, "Relays"), form, list);
  byMake();

  /** Shows what is to be filled in: an address, or what one is made of. */
  function byMake() {
    const ready = makes.some(({ make }) => make === camera.value);
    for (const one of [url, ...lens]) {
      one.hidden = one === url ? ready : !ready;
      one.querySelector("input, select").disabled = one.hidden; // what is hidden is not asked for, nor sent
    }
  }

  async function add(from) {
    const said = Object.fromEntries(new FormData(from));
    const make = makes.find((one) => one.make === said.camera);
    const given = { mode: said.mode, app: said.app, name: said.name, url: make ? cameraAddress(make[said.size] ?? make.main ?? "", said) : said.url };
    try {
      await post("/relays", given);
      say(`${given.app}/${given.name} is ${MODES[given.mode]}`);
      from.reset();
      byMake();
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
  async function draw(turn = false) {
    if (turn && busy(list)) return;
    const page = await get("/relays", { limit: 500 }, signal);
    const columns = [
      ["Stream", (row) => h("a", { href: `#/stream/${row.app}/${row.name}` }, row.path.slice(1)), "wide"], ["What", (row) => MODES[row.mode] ?? row.mode],
      ["State", (row) => h("span", { class: `tag ${STATES[row.state] ?? ""}` }, row.state)], ["Address", (row) => row.url, "wide"],
      ["Why not", (row) => row.error, "wide"], ["Bytes", (row) => bytes(row.inbytes + row.outbytes), "number"],
      ["", (row) => h("button", { class: "danger", "aria-label": `End: relay of ${row.path.slice(1)}`, onclick: () => end(row) }, "End")],
    ];
    fill(list, page.items.length ? table("Relays", columns, page.items) : h("p", { class: "note" }, "There are none."));
    if (page.cursor) list.append(h("p", { class: "note" }, "And more: the API has all of them."));
  }
  await draw();
  return { every: 3000, turn: () => draw(true) };
}
