/* Webhooks: what waits for each receiver of events, and whether it hears one that is sent to try it. */

import { get, post } from "./api.js";
import { busy, clock, fill, h, say, table } from "./dom.js";

export async function webhooks(place, _path, signal) {
  const list = h("section", { class: "panel", "aria-label": "Receivers" });
  const told = h("section", { class: "panel", "aria-label": "Test", hidden: true });
  const button = h("button", { onclick: test }, "Send a test event");
  fill(place, h("div", { class: "row between" }, h("h1", {}, "Webhooks"), button), list, told);

  async function test() {
    button.disabled = true;
    try {
      const { items } = await post("/webhooks/test");
      const columns = [
        ["Address", (row) => row.url, "wide"],
        ["Answer", (row) => h("span", { class: `tag ${row.status >= 200 && row.status < 300 ? "good" : "warn"}` }, row.status || "none")],
        ["Why not", (row) => row.reason, "wide"], ["After", (row) => `${row.duration_ms} ms`, "number"],
      ];
      fill(told, h("h2", {}, "The test event"), table("Test event", columns, items));
      told.hidden = false;
      say(items.every((row) => row.status >= 200 && row.status < 300) ? "every receiver took it" : "not every receiver took it");
      await draw();
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
  }
  async function draw(turn = false) {
    if (turn && busy(list)) return;
    const { items } = await get("/webhooks", {}, signal);
    button.hidden = !items.length;
    const columns = [
      ["Address", (row) => row.url, "wide"], ["Waiting", (row) => String(row.waiting), "number"],
      ["Oldest", (row) => (row.oldest ? clock(row.oldest) : "")],
      ["State", (row) => h("span", { class: `tag ${row.failures ? "warn" : "good"}` }, row.failures ? `failed ${row.failures} times in a row` : "takes them")],
    ];
    fill(list, items.length ? table("Receivers", columns, items) : h("p", { class: "note" }, "There are none: notify.url of the configuration is empty."));
  }
  await draw();
  return { every: 3000, turn: () => draw(true) };
}
