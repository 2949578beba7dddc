/* Publishes by the library from a real Chromium with a fake camera, and does what its input says.
 *
 *   node publisher.mjs BASE APP/STREAM [--executable FILE] [--options JSON] [--deny]
 *
 * BASE is the address of the server, whose front page is the page that publishes; `options` go to the constructor, beside
 * the address. Each line of the input is a method (start, pause, resume, stop), "state", "devices N" (another stream of N
 * tracks), "offline" or "online", "hide" (the tab), or "leave" (for another page). Each line of the output is a JSON object:
 * an event (`event`, `value`, `at`), the end of what was asked for (`done`, `value` or `error`), or `ready`.
 */

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    executable: { type: "string", default: "/usr/bin/chromium" },
    options: { type: "string", default: "{}" },
  },
});
const [base, path] = positionals;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const browser = await chromium.launch({
  executablePath: options.executable,
  headless: true,
  args: [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-gpu",
    "--force-webrtc-ip-handling-policy=default",
  ],
});
const context = await browser.newContext();
const page = await context.newPage();
page.on("pageerror", (error) => say({ event: "pageerror", value: error.message }));
// What goes out by WebSocket: the types of texts, and "bytes" for as many as come behind one.
page.on("websocket", (socket) => {
  let last = "";
  socket.on("framesent", ({ payload }) => {
    const kind = typeof payload === "string" ? JSON.parse(payload).type : "bytes";
    if (kind !== "bytes" || last !== kind) say({ event: "sent", value: kind });
    last = kind;
  });
});
await page.exposeFunction("tell", say);
await page.goto(base);
await page.evaluate(
  async ({ path, more }) => {
    const { HlsdPublisher } = await import("/_/publish.js");
    window.media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720, frameRate: 30 }, audio: true });
    try {
      window.publisher = new HlsdPublisher(window.media, { url: `/${path}`, ...more });
    } catch (error) {
      window.tell({ event: "thrown", value: { name: error.name, message: error.message } });
      return;
    }
    for (const name of ["error", "destroyed", "ffmpegOutput", "state", "stats", "live"]) {
      window.publisher.on(name, (value) => {
        const plain = value instanceof Error ? { name: value.name, message: value.message, fatal: value.fatal, details: value.details } : value;
        window.tell({ event: name, value: plain, at: performance.now() });
      });
    }
  },
  { path, more: JSON.parse(options.options) },
);
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const [word, argument] = line.split(" ");
  if (word === "offline" || word === "online") await context.setOffline(word === "offline");
  else if (word === "leave") await page.goto("about:blank");
  else {
    await page.evaluate(
      async ({ word, argument }) => {
        const publisher = window.publisher;
        const done = (more) => window.tell({ done: word, at: performance.now(), ...more });
        try {
          if (word === "state" || word === "session") return done({ value: publisher[word] });
          if (word === "devices") {
            const more = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 }, audio: argument === "2" });
            await publisher.replace(more);
          } else await publisher[word]();
          await done({});
        } catch (error) {
          await done({ error: { name: error.name, message: error.message } });
        }
      },
      { word, argument },
    );
    continue;
  }
  say({ done: word });
}
await browser.close();
