/* Recordings: what there is, what grows, what is gone for good when it is deleted. */

import { base, get, remove } from "./api.js";
import { ask, bytes, clock, fill, h, say, span, table } from "./dom.js";

export async function records(place, _path, signal) {
  let wanted = "";
  let cursors = [""];
  let upcoming = null;
  const list = h("section", { class: "panel", "aria-label": "Recordings" });
  const search = h("input", { type: "search", "aria-label": "Of this stream or app", placeholder: "app/stream" });
  search.addEventListener("change", () => ((wanted = search.value.trim()), (cursors = [""]), again()));
  const back = h("button", { class: "quiet", onclick: () => (cursors.pop(), again()) }, "Back");
  const next = h("button", { class: "quiet", onclick: () => (cursors.push(upcoming), again()) }, "Next");
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Recordings"), search), list, h("div", { class: "row" }, back, next));

  async function drop(row) {
    const title = `Delete the recording of ${row.app}/${row.name}?`;
    if ((await ask({ title, text: "It is gone for good, also from the store.", yes: "Delete" })) === null) return;
    await remove(`/records/${row.id}`).then(() => say("Deleted"), (error) => say(error.message));
    await again();
  }
  async function draw() {
    const page = await get("/records", { stream: wanted, limit: 100, cursor: cursors.at(-1) }, signal);
    upcoming = page.cursor;
    const columns = [
      ["Stream", (row) => h("a", { href: `${base}/${row.app}/${row.name}/r`, target: "_blank", rel: "noopener" }, `${row.app}/${row.name}`), "wide"],
      ["Began", (row) => clock(row.createtime)], ["Length", (row) => span(row.duration_ms), "number"], ["Size", (row) => bytes(row.bytes), "number"],
      ["State", (row) => row.state],
      ["", (row) => row.state === "recording" ? null : h("button", { class: "danger", "aria-label": `Delete ${row.app}/${row.name} of ${clock(row.createtime)}`, onclick: () => drop(row) }, "Delete")],
    ];
    fill(list, page.items.length ? table("Recordings", columns, page.items) : h("p", { class: "note" }, "Nothing is recorded."));
    back.hidden = cursors.length < 2;
    next.hidden = upcoming === null;
  }
  const again = () => draw().catch((error) => error.name !== "AbortError" && say(error.message));
  await draw();
  return { every: 10_000, turn: draw };
}
