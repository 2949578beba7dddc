/* Viewers: who watches what, since when, how much; and sending them away. */

import { get, remove } from "./api.js";
import { ask, busy, bytes, clock, fill, h, say, span, table } from "./dom.js";

const PAGE = 100;
const SORTS = [
  (row) => row.path, (row) => row.user_id, (row) => row.ip, (row) => row.protocol, (row) => row.createtime, (row) => row.outbytes,
];

/** Ends a session, after a question. */
export async function kick(row, done) {
  const who = row.user_id || row.ip;
  const ban = await ask({
    title: `Send ${who} away?`, text: `The session on ${row.path.slice(1)} ends at once.`, yes: "Send away",
    field: "Keep out for seconds (0: may come back at once)", value: 60,
  });
  if (ban === null) return;
  try {
    await remove(`/sessions/${encodeURIComponent(row.id)}`, { ban });
    say(`${who} was sent away`);
  } catch (error) {
    say(error.message);
  }
  done();
}

/** A table of sessions; `fixed`: only those of one stream. */
export function sessionTable(place, fixed, signal) {
  const filters = { stream: fixed, user_id: "", ip: "", protocol: "" };
  let cursors = [""];
  let sorted = [4, 1];
  let rows = [];
  const list = h("div", {});
  const words = h("p", { class: "note" });
  const back = h("button", { class: "quiet", onclick: () => (cursors.pop(), again()) }, "Back");
  const next = h("button", { class: "quiet", onclick: () => (cursors.push(upcoming), again()) }, "Next");
  let upcoming = null;
  let questions = 0;
  const field = (key, label, width) => {
    const input = h("input", { type: "search", size: width, maxlength: 256 });
    input.addEventListener("change", () => ((filters[key] = input.value.trim()), (cursors = [""]), again()));
    return h("label", {}, label, input);
  };
  const asked = [
    fixed ? null : field("stream", "Stream (app/stream)", 18), field("user_id", "User", 12), field("ip", "Address", 14), field("protocol", "Protocol", 7),
  ];
  fill(place, h("div", { class: "row" }, asked), words, list, h("div", { class: "row" }, back, next));

  const columns = [
    ["Stream", (row) => row.path.slice(1), "wide"], ["User", (row) => row.user_id, "wide"], ["Address", (row) => row.ip],
    ["By", (row) => row.protocol], ["Since", (row) => h("span", { title: clock(row.createtime) }, span(Date.now() - row.createtime))],
    ["Bytes", (row) => bytes(row.outbytes), "number"], ["Player", (row) => row.user_agent, "wide dim"],
    ["", (row) => h("button", { class: "danger", "aria-label": `Send away: ${row.user_id || row.ip}`, onclick: () => kick(row, again) }, "Send away")],
  ];
  const from = fixed ? 1 : 0;

  function draw() {
    const by = SORTS[sorted[0]] ?? SORTS[4];
    const shown = rows.toSorted((one, other) => (by(one) > by(other) ? 1 : by(one) < by(other) ? -1 : 0) * sorted[1]);
    const order = (index) => ((sorted = [index + from, sorted[0] === index + from ? -sorted[1] : 1]), draw());
    fill(list, rows.length ? table("Sessions", columns.slice(from), shown, order, [sorted[0] - from, sorted[1]]) : null);
    words.textContent = rows.length ? "" : "Nobody.";
    back.hidden = cursors.length < 2;
    next.hidden = upcoming === null;
  }
  async function load() {
    const mine = ++questions;
    const page = await get("/sessions", { ...filters, limit: PAGE, cursor: cursors.at(-1) }, signal);
    if (mine !== questions) return; // another question was asked meanwhile
    [rows, upcoming] = [page.items, page.cursor];
    next.disabled = back.disabled = false;
    draw();
  }
  function again() {
    next.disabled = back.disabled = true;
    load().catch((error) => error.name !== "AbortError" && say(error.message));
  }
  return () => (busy(list) ? null : load());
}

export async function viewers(place, _path, signal) {
  const box = h("section", { class: "panel", "aria-label": "Sessions" });
  fill(place, h("h1", {}, "Viewers"), box);
  const load = sessionTable(box, "", signal);
  await load();
  return { every: 3000, turn: load };
}
