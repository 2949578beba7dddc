/* One stream: a picture, curves of the last hour, who publishes it, who watches it. */

import { base, get, remove, streamPath } from "./api.js";
import { chart } from "./chart.js";
import { ask, bits, bytes, clock, facts, fill, h, say, span } from "./dom.js";
import { about, badge, still } from "./streams.js";
import { sessionTable } from "./viewers.js";

export async function stream(place, [app = "", name = ""], signal) {
  const path = streamPath(app, name);
  const title = h("div", { class: "row between" });
  const picture = h("div", { class: "panel" });
  const told = h("section", { class: "panel", "aria-label": "Facts" });
  const curves = h("div", { class: "two" });
  const watching = h("section", { class: "panel", "aria-label": "Sessions" });
  fill(place, title, h("div", { class: "two" }, picture, told), curves, watching);
  const load = sessionTable(watching, `${app}/${name}`, signal);
  let pictured = 0;

  async function away() {
    const ban = await ask({
      title: "Send the publisher away?", text: "Viewers see the stream end, unless it comes back.", yes: "Send away",
      field: "Keep its address out for seconds (0: may come back at once)", value: 60,
    });
    if (ban === null) return;
    try {
      await remove(path, { ban });
      say("The publisher was sent away");
    } catch (error) {
      say(error.message);
    }
  }

  const page = `${base}/${encodeURIComponent(app)}/${encodeURIComponent(name)}`;
  const send = h("button", { class: "danger", hidden: true, onclick: away }, "Send publisher away");
  const links = h(
    "div", { class: "row" },
    h("a", { href: page, target: "_blank", rel: "noopener" }, "Watch"),
    h("a", { href: `${page}/r`, target: "_blank", rel: "noopener" }, "Recordings"),
    send,
  );
  fill(title, h("h1", {}, `${app}/${name}`), links);

  async function draw() {
    const row = await get(path, {}, signal).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    send.hidden = !row?.publisher;
    if (row === null) {
      fill(told, h("p", { class: "note" }, "It is not live now."));
      return;
    }
    if (Date.now() - pictured > 10_000) ((pictured = Date.now()), fill(picture, still(row)));
    const who = row.publisher;
    fill(
      told, h("h2", {}, "Publisher"),
      facts([
        ["State", badge(row.state)], ["Comes from", who && `${who.ip} by ${who.protocol}`], ["User", who?.user_id], ["Encoder", who?.user_agent],
        ["Since", `${clock(row.createtime)} (${span(Date.now() - row.createtime)})`], ["Media", about(row)],
        ["Rate", bits(row.bitrate)], ["Key pictures", row.key_interval_ms ? `every ${(row.key_interval_ms / 1000).toFixed(1)} s` : ""], ["Received", bytes(row.inbytes)], ["In memory", bytes(row.media_bytes)],
        ["Segments", row.target_duration ? `${row.target_duration} s${row.low_latency ? ", low latency" : ""}` : ""],
        ["Left out", row.dropped.join(", ")], ["Turned into AAC", row.converted.join(", ")],
        ["Clock mended", Object.entries(row.repairs).map(([kind, count]) => `${kind} ${count}`).join(", ")],
      ]),
    );
  }
  async function draws() {
    const past = await get(`${path}/history`, {}, signal);
    const since = past.bitrate.length ? `since ${new Date(past.first).toLocaleTimeString()}` : "a point each ten seconds";
    fill(
      curves,
      h("section", { class: "panel" }, h("h2", {}, "Bit rate"), chart("Bit rate", past.bitrate, bits), h("p", { class: "dim" }, past.bitrate.length ? `${bits(past.bitrate.at(-1))} now, ${since}` : since)),
      h("section", { class: "panel" }, h("h2", {}, "Viewers"), chart("Viewers", past.sessions, String), h("p", { class: "dim" }, past.sessions.length ? `${past.sessions.at(-1)} now, ${Math.max(...past.sessions)} at most` : since)),
    );
  }
  await Promise.all([draw(), draws(), load()]);
  let turn = 0;
  return { every: 3000, turn: () => Promise.all([draw(), load(), ++turn % 4 ? null : draws()]) };
}
