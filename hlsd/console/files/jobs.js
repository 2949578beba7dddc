/* Jobs: files that become films, how far each is, why one failed, and new ones. */

import { base, get, post, remove } from "./api.js";
import { ask, busy, bytes, clock, fill, h, say, span, table } from "./dom.js";

const PAGE = 100;
const STATES = { queued: "", running: "warn", done: "good", failed: "bad", cancelled: "" };
const LONG = 30000; // ms for which a job waits, and nothing is wrong
const OVER = ["done", "failed", "cancelled"];

/** How far it is, in words. */
function progress(row) {
  if (row.state !== "running") return row.state === "done" ? span(row.duration_ms) : "";
  const left = row.eta ? ` · ${span(row.eta * 1000)} left` : "";
  return h("span", {}, h("progress", { max: 100, value: row.percent, "aria-label": "Done" }), ` ${row.step} ${row.percent} %${left}`);
}

export async function jobs(place, _path, signal) {
  let cursors = [""];
  let upcoming = null;
  let state = "";
  const list = h("section", { class: "panel", "aria-label": "Jobs" });
  const back = h("button", { class: "quiet", onclick: () => (cursors.pop(), again()) }, "Back");
  const next = h("button", { class: "quiet", onclick: () => (cursors.push(upcoming), again()) }, "Next");
  const only = h("select", { "aria-label": "State", onchange: () => ((state = only.value), (cursors = [""]), again()) },
    h("option", { value: "" }, "all"), Object.keys(STATES).map((one) => h("option", { value: one }, one)));
  const field = (label, props) => h("label", {}, label, h("input", props));
  const form = h(
    "form", { class: "panel", "aria-label": "New job", onsubmit: (event) => (event.preventDefault(), add(event.target)) },
    h("h2", {}, "New job"),
    h("div", { class: "row" }, field("File of the server, or http(s) address", { name: "source", size: 44, required: true, maxlength: 4096, autocomplete: "off" }),
      field("Title", { name: "title", size: 22, maxlength: 200 }), h("button", {}, "Add")),
    h("p", { class: "dim" }, "Files lie below one of vod.roots. Workers (hlsd worker) do the work. Films are uploaded and watched on the ", h("a", { href: `${base}/_/films`, target: "_blank", rel: "noopener" }, "page of films"), "."),
  );
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Jobs"), only), form, list, h("div", { class: "row" }, back, next));

  async function add(from) {
    const { source, title } = Object.fromEntries(new FormData(from));
    const given = /^https?:/i.test(source.trim()) ? { url: source.trim() } : { file: source.trim() };
    try {
      await post("/jobs", title.trim() ? { ...given, title: title.trim() } : given);
      say("The job waits for a worker");
      from.reset();
    } catch (error) {
      say(error.message);
    }
    await again();
  }
  async function end(row) {
    const over = OVER.includes(row.state);
    const what = row.title || row.source;
    const text = over ? "All that it made is gone for good." : "What it has made so far is thrown away.";
    if ((await ask({ title: `${over ? "Delete" : "Cancel"} ${what}?`, text, yes: over ? "Delete" : "Cancel it" })) === null) return;
    await remove(`/jobs/${row.id}`).catch((error) => say(error.message));
    await again();
  }
  const waits = (row) => row.state === "queued" && Date.now() - row.createtime > LONG && "No worker has taken it: is there an hlsd worker, and are others before it?";
  const why = (row) => row.error || waits(row) || (row.damaged ? "The film is damaged; what could be read was made." : row.tries.at(-1)?.error ?? "");
  async function draw(turn = false) {
    if (turn && busy(list)) return;
    let page;
    try {
      page = await get("/jobs", { state, limit: PAGE, cursor: cursors.at(-1) }, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
      form.hidden = only.hidden = true;
      fill(list, h("p", { class: "note" }, "This server makes no films: vod.enabled of the configuration is off."));
      page = null;
    }
    upcoming = page?.cursor ?? null;
    back.hidden = cursors.length < 2;
    next.hidden = upcoming === null;
    if (!page) return;
    const columns = [
      ["Film", (row) => row.title || row.id, "wide"], ["Of", (row) => row.source, "wide dim"],
      ["State", (row) => h("span", { class: `tag ${STATES[row.state] ?? ""}` }, row.state)], ["", progress], ["Since", (row) => clock(row.createtime)],
      ["Size", (row) => (row.bytes ? bytes(row.bytes) : ""), "number"], ["Why not", why, "wide"],
      ["", (row) => h("button", { class: "danger", "aria-label": `${OVER.includes(row.state) ? "Delete" : "Cancel"}: ${row.title || row.id}`, onclick: () => end(row) }, OVER.includes(row.state) ? "Delete" : "Cancel")],
    ];
    fill(list, page.items.length ? table("Jobs", columns, page.items) : h("p", { class: "note" }, "There are none."));
  }
  const again = () => draw().catch((error) => error.name !== "AbortError" && say(error.message));
  await draw();
  return { every: 3000, turn: () => draw(true) };
}
