/* The streams: cards with a picture, and what comes in and goes out. */

import { base, get } from "./api.js";
import { bits, fill, h, span } from "./dom.js";

const PAGE = 60;
const STATES = { live: ["good", "live"], grace: ["warn", "away"], ended: ["bad", "ended"] };

export const badge = (state) => h("span", { class: `tag ${STATES[state]?.[0] ?? ""}` }, STATES[state]?.[1] ?? state);

const refused = new Set(); // whose picture this operator may not see, as long as the page is open

/** A still picture of a stream; words where there is none, or none that may be seen. */
export function still(row) {
  const place = h("div", { class: "still" });
  if (!row.snapshot || refused.has(row.path)) fill(place, h("span", {}, row.video ? "no picture" : "sound alone"));
  else picture(place, row);
  return place;
}

/** Asks as a viewer would, with nothing added: a receiver that is asked about it is asked the same each time. */
async function picture(place, row) {
  const answer = await fetch(`${base}${row.snapshot}`, { cache: "no-cache", credentials: "omit" }).catch(() => null);
  if (!answer?.ok) {
    if (answer?.status === 403 || answer?.status === 401) refused.add(row.path);
    fill(place, h("span", {}, "no picture"));
    return;
  }
  const address = URL.createObjectURL(await answer.blob());
  const image = h("img", { alt: "", src: address });
  const done = () => URL.revokeObjectURL(address);
  image.addEventListener("load", done, { once: true });
  image.addEventListener("error", done, { once: true });
  fill(place, image);
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
  const more = h("button", { class: "quiet", hidden: true, onclick: () => ((most += PAGE), draw().catch(() => {})) }, "Show more");
  const search = h("input", { type: "search", placeholder: "only this app", "aria-label": "Streams of this app", maxlength: 128 });
  search.addEventListener("input", () => ((wanted = search.value.trim()), (most = PAGE), draw().catch(() => {})));
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Streams"), search), words, list, h("div", { class: "row" }, more));
  const cards = new Map();
  const near = new Set(); // cards that are on screen, or nearly: only these have pictures
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) near.add(target), target.show?.();
      else near.delete(target);
    }
  }, { rootMargin: "400px" });
  signal.addEventListener("abort", () => watcher.disconnect(), { once: true });

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
    for (const [path, old] of cards) if (!there.has(path)) (watcher.unobserve(old), near.delete(old), old.remove(), cards.delete(path));
    rows.forEach((row, at) => {
      const old = cards.get(row.path);
      const fresh = card(row, old, near.has(old));
      cards.set(row.path, fresh);
      if (list.children[at] !== fresh) list.insertBefore(fresh, list.children[at] ?? null);
      if (!old) watcher.observe(fresh);
    });
  }
  await draw();
  return { every: 3000, turn: draw };
}

/** The card of a stream; one that is there, and is `seen`, keeps its picture for ten seconds. */
function card(row, old, seen) {
  const words = h(
    "div", { class: "about" },
    h("div", { class: "row between" }, h("b", {}, row.path.slice(1)), badge(row.state)),
    h("span", { class: "dim" }, about(row)),
    h("span", { class: "dim" }, `${bits(row.bitrate)} in · ${row.sessions} watching · ${span(Date.now() - row.createtime)}`),
  );
  const repaired = Object.values(row.repairs).reduce((sum, one) => sum + one, 0);
  const key = row.key_interval_ms ? `a key picture each ${(row.key_interval_ms / 1000).toFixed(1)} s` : "";
  const mended = repaired ? `clock mended ${repaired}×` : "";
  words.append(h("span", { class: "dim" }, [key, mended].filter(Boolean).join(" · ")));
  const [, app, name] = row.path.split("/");
  const href = `#/stream/${encodeURIComponent(app)}/${encodeURIComponent(name)}`;
  const age = String(Math.floor(Date.now() / 10000));
  const made = old ?? h("li", {});
  const kept = old?.querySelector(".still") ?? h("div", { class: "still" });
  const picture = !seen || made.dataset.age === age ? kept : still(row);
  if (seen) made.dataset.age = age;
  made.show = () => {
    if (made.dataset.age === age) return;
    made.dataset.age = age;
    made.querySelector(".still").replaceWith(still(row));
  };
  let link = made.firstElementChild;
  if (!link) made.append((link = h("a", { class: "card", href })));
  fill(link, picture, words);
  return made;
}
