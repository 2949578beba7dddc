/* The configuration as it is in effect, without its secrets. */

import { get, post } from "./api.js";
import { facts, fill, h, say } from "./dom.js";

export async function settings(place, _path, signal) {
  let { sections } = await get("/config", {}, signal);
  const search = h("input", { type: "search", "aria-label": "Keys with", placeholder: "key" });
  const boxes = h("div", { class: "panel" });
  const draw = () => {
    const word = search.value.trim().toLowerCase();
    const shown = Object.entries(sections).map(([section, keys]) => {
      const found = Object.entries(keys).filter(([key]) => !word || `${section}.${key}`.includes(word));
      const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));
      const rows = found.map(([key, value]) => [key, words(value) === "" ? "(empty)" : words(value)]);
      return found.length ? h("details", { open: Boolean(word) }, h("summary", {}, section), facts(rows)) : null;
    });
    fill(boxes, shown.some(Boolean) ? shown : h("p", { class: "note" }, "No such key."));
  };
  search.addEventListener("input", draw);
  const told = h("p", { class: "note", role: "status" });
  const again = h("button", { onclick: reload, title: "As hlsd reload: nobody is dropped" }, "Read the configuration again");
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Settings"), h("div", { class: "row" }, search, again)), told, boxes);

  async function reload() {
    again.disabled = true;
    try {
      const done = await post("/reload");
      const words = (keys, before) => (keys.length ? [`${before}: ${keys.join(", ")}.`] : []);
      told.textContent = [...words(done.changed, "Changed"), ...words(done.needs_restart, "Needs a restart")].join(" ") || "Nothing has changed.";
      ({ sections } = await get("/config", {}, signal));
      draw();
    } catch (error) {
      told.textContent = error.message;
      say("nothing has changed");
    }
    again.disabled = false;
  }

  draw();
}
