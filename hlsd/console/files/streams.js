/* The streams: cards with a picture, and what comes in and goes out. */

import { base, get } from "./api.js";
import { bits, fill, h, span } from "./dom.js";

const PAGE = 60;
const STATES = { live: ["good", "live"], grace: ["warn", "away"], ended: ["bad", "ended"] };

export const badge = (state) => h("span", { class: `tag ${STATES[state]?.[0] ?? ""}` }, STATES[state]?.[1] ?? state);

/** A still picture of a stream, asked for anew now and then; words where there is none. */
export function still(row) {
  const place = h("div", { class: "still" });
  if (!row.snapshot) fill(place, h("span", {}, row.video ? "no picture" : "sound alone"));
  else {
    const image = h("img", { alt: "", loading: "lazy", src: `${base}${row.snapshot}?t=${Math.floor(Date.now() / 10000)}` });
    image.addEventListener("error", () => fill(place, h("span", {}, "no picture")), { once: true });
    fill(place, image);
  }
  return place;
}

export const about = (row) =>
  [row.video && `${row.video.width}×${row.video.height} ${row.video.frame_rate.toFixed(0)} fps`, row.video?.codec.split(".")[0], row.audio?.codec.split(".")[0]]
    .filter(Boolean)
    .join(" · ");

export async function streams(place, _path, signal) {
  let most = PAGE;
  let wanted = "";
  const list = h("ul", { class: "cards" });
  const words = h("p", { class: "note" });
  const more = h("button", { class: "quiet", hidden: true, onclick: () => ((most += PAGE), draw()) }, "Show more");
  const search = h("input", { type: "search", placeholder: "only this app", "aria-label": "Streams of this app", maxlength: 128 });
  search.addEventListener("input", () => ((wanted = search.value.trim()), (most = PAGE), draw().catch(() => {})));
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Streams"), search), words, list, h("div", { class: "row" }, more));
  const cards = new Map();

  async function draw() {
    const rows = [];
    let cursor = "";
    while (cursor !== null && rows.length < most) {
      const page = await get("/streams", { app: wanted, limit: Math.min(500, most - rows.length), cursor }, signal);
      rows.push(...page.items);
      cursor = page.cursor;
    }
    more.hidden = cursor === null;
    words.textContent = rows.length ? "" : wanted ? "No stream of that app." : "Nobody publishes. The front page says how to.";
    const there = new Set(rows.map((row) => row.path));
    for (const [path, card] of cards) if (!there.has(path)) (card.remove(), cards.delete(path));
    for (const row of rows) {
      const fresh = card(row, cards.get(row.path));
      cards.set(row.path, fresh);
      if (list.children[rows.indexOf(row)] !== fresh) list.insertBefore(fresh, list.children[rows.indexOf(row)] ?? null);
    }
  }
  await draw();
  return { every: 3000, turn: draw };
}

/** The card of a stream; one that is there keeps its picture for ten seconds. */
function card(row, old) {
  const words = h(
    "div", { class: "about" },
    h("div", { class: "row between" }, h("b", {}, row.path.slice(1)), badge(row.state)),
    h("span", { class: "dim" }, about(row)),
    h("span", { class: "dim" }, `${bits(row.bitrate)} in · ${row.sessions} watching · ${span(Date.now() - row.createtime)}`),
  );
  const [, app, name] = row.path.split("/");
  const href = `#/stream/${encodeURIComponent(app)}/${encodeURIComponent(name)}`;
  const age = Math.floor(Date.now() / 10000);
  const picture = old && old.dataset.age === String(age) ? old.querySelector(".still") : still(row);
  const made = old ?? h("li", {});
  made.dataset.age = age;
  let link = made.firstElementChild;
  if (!link) made.append((link = h("a", { class: "card", href })));
  fill(link, picture, words);
  return made;
}
