/* What happens, as it comes: the newest first. */

import { get } from "./api.js";
import { clock, fill, h, table } from "./dom.js";

const MOST = 300;
const OWN = new Set(["action", "id", "event_id", "event_ts", "seq", "server_id", "query", "number", "app", "name", "path", "ip"]);

export async function events(place, _path, signal) {
  let after = 0;
  let kept = [];
  let only = "";
  const list = h("section", { class: "panel", "aria-label": "Events" });
  const choose = h("input", { type: "search", "aria-label": "Only actions or streams with", placeholder: "action, stream or address" });
  choose.addEventListener("input", () => ((only = choose.value.trim().toLowerCase()), draw()));
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Events"), choose), list);

  const rest = (event) =>
    Object.entries(event).filter(([key, value]) => !OWN.has(key) && value !== "" && value !== 0).map(([key, value]) => `${key} ${value}`).join(", ");

  function draw() {
    const found = kept.filter((one) => !only || [one.action, one.path, one.ip, one.user_id].join(" ").toLowerCase().includes(only));
    const columns = [
      ["When", (one) => clock(one.event_ts)], ["What", (one) => h("b", {}, one.action)], ["Stream", (one) => (one.path ?? "").slice(1), "wide"],
      ["Address", (one) => one.ip ?? ""],
      ["More", (one) => h("details", {}, h("summary", {}, one.reason || one.codec || "details"), h("span", { class: "dim" }, rest(one))), "wide"],
    ];
    fill(list, found.length ? table("Events", columns, found) : h("p", { class: "note" }, "Nothing has happened yet."));
  }
  async function load(wait) {
    const found = await get("/events", { after, limit: 500, wait }, signal);
    after = found.cursor;
    if (found.items.length) {
      kept = [...found.items.toReversed(), ...kept].slice(0, MOST);
      // What was opened stays open until something new comes.
      draw();
    }
  }
  await load(0);
  draw();
  return { every: 200, turn: () => load(20) };
}
