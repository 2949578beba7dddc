/* The configuration as it is in effect, without its secrets. */

import { get } from "./api.js";
import { facts, fill, h } from "./dom.js";

export async function settings(place, _path, signal) {
  const { sections } = await get("/config", {}, signal);
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
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Settings"), search), boxes);
  draw();
}
