/* Plays a stream in a real browser and prints, as one JSON object, how it went.
 *
 *   node play.mjs URL [--browser chromium|firefox|webkit] [--mode page|hlsjs|shaka|native|mpegts] [--seconds N] [--hls-js FILE]
 *                     [--executable FILE] [--config JSON] [--screenshot FILE] [--size WxH] [--scheme light|dark] [--again]
 *                     [--recover] [--until FILE [--steady N]]
 *   node play.mjs --serve
 *
 * page    URL is a page of ours; its own player (window.hlsd) is watched.
 * hlsjs   URL is a playlist; a bare page with hls.js and nothing else plays it, from another origin (so CORS counts).
 * shaka   the same with Shaka Player, in its low-latency mode.
 * native  URL is a playlist; a bare <video src> plays it.
 * mpegts  URL is FLV by http or ws; a bare page with mpegts.js plays it, from another origin.
 *
 * With --recover hls.js is told to go on after fatal errors, as its documentation has pages do.
 * With --until the play goes on until FILE is there and the media clock has then run for --steady seconds without a stall;
 * --seconds is then the longest it may take.
 * With --seek S the player goes to second S of the media when it has played for half of --seconds; `sought` of the report
 * is where it was and where it landed.
 * With --acts JSON it is done in the page what a list says, one after the other: each {js} is evaluated, {key} pressed,
 * {click: [selector, x, y]} clicked at a share of its width and height, {shot: FILE} pictured; then `until`, an expression,
 * is waited for (20 s at most), and what the expression `say` gives stands in the report, with whether that came.
 * With --again the page is opened for three seconds first, and what counts is the second time.
 *
 * webkit is WebKitGTK's MiniBrowser by WebKitWebDriver; it needs a display, so Xvfb is started where there is none.
 *
 * With --serve it goes on: each line of its input is a play, a JSON list of such arguments, and each line of its output
 * what came of it ({report} or {error}), in the same order. Chromium and Firefox are started once and every play has a
 * context of its own in them: nothing that one play has fetched or kept is there in another.
 *
 * Seconds throughout; `played` is how far the media clock went, jumps left out. A stall is media time that stood
 * still for 0.3 s or more after the first frame. Exit 0 whenever there is a report, 1 with words on stderr if not.
 */

import { readFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const CHOICES = {
  browser: { type: "string", default: "chromium" },
  mode: { type: "string", default: "hlsjs" },
  seconds: { type: "string", default: "10" },
  "hls-js": { type: "string", default: new URL("../../../web/node_modules/hls.js/dist/hls.min.js", import.meta.url).pathname },
  executable: { type: "string" },
  config: { type: "string", default: "{}" },
  screenshot: { type: "string" },
  size: { type: "string", default: "1280x800" },
  scheme: { type: "string", default: "light" },
  again: { type: "boolean", default: false },
  recover: { type: "boolean", default: false },
  until: { type: "string" },
  steady: { type: "string", default: "3" },
  seek: { type: "string" },
  acts: { type: "string", default: "[]" },
  serve: { type: "boolean", default: false },
};

/* What is wanted, from words of a command line. */
function wanted(args) {
  const { values: options, positionals } = parseArgs({ args, allowPositionals: true, options: CHOICES });
  const [width, height] = options.size.split("x").map(Number);
  const url = positionals[0];
  if (!options.serve && (!url || !["page", "hlsjs", "shaka", "native", "mpegts"].includes(options.mode) || !["chromium", "firefox", "webkit"].includes(options.browser))) {
    throw new Error("usage: node play.mjs URL [--browser chromium|firefox|webkit] [--mode page|hlsjs|shaka|native|mpegts] [--seconds N]");
  }
  return { ...options, url, seconds: Number(options.seconds), steady: Number(options.steady), width, height };
}

const BARE = `<!doctype html><meta charset="utf-8"><title>bare</title><link rel="icon" href="data:,">
<video id="video" muted autoplay playsinline width="640" height="360"></video><script src="/hls.js"></script>
<script>
const asked = new URLSearchParams(location.search), video = document.getElementById("video"), errors = window.faults = [];
if (asked.get("mode") === "native") {
  video.onerror = () => errors.push({ type: "native", details: video.error.message || "code " + video.error.code, fatal: true, at: performance.now() / 1000 });
  video.src = asked.get("url");
} else if (asked.get("mode") === "shaka") {
  shaka.polyfill.installAll();
  const player = window.shakaPlayer = new shaka.Player();
  const note = (e) => errors.push({ type: "shaka", details: "code " + e.code + " " + (e.data ?? []).slice(0, 2).join(" "), fatal: e.severity === 2, at: performance.now() / 1000 });
  player.addEventListener("error", (event) => note(event.detail));
  const told = window.told = [];
  player.addEventListener("metadata", (event) => told.length < 500 && told.push({ pts: event.startTime, type: event.metadataType, text: String(event.payload?.data ?? "") }));
  player.configure({ streaming: { lowLatencyMode: true }, ...JSON.parse(asked.get("config")) });
  player.attach(video).then(() => player.load(asked.get("url"))).catch(note);
} else if (asked.get("mode") === "mpegts") {
  const player = mpegts.createPlayer({ type: "flv", isLive: true, url: asked.get("url") }, JSON.parse(asked.get("config")));
  player.on(mpegts.Events.ERROR, (type, details, info) => errors.push({ type, details: details + " " + (info?.msg ?? ""), fatal: true, at: performance.now() / 1000 }));
  player.attachMediaElement(video);
  player.load();
} else {
  const hls = window.hls = new Hls(JSON.parse(asked.get("config")));
  hls.on(Hls.Events.ERROR, (_, e) => errors.push({ type: e.type, details: e.details, fatal: e.fatal, reason: e.reason || e.error?.message || "", code: e.response?.code ?? null, at: performance.now() / 1000 }));
  if (asked.get("recover")) hls.on(Hls.Events.ERROR, (_, e) => {
    if (e.fatal && e.type === Hls.ErrorTypes.NETWORK_ERROR) setTimeout(() => hls.startLoad(), 250);
    if (e.fatal && e.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
  });
  const told = window.told = [], text = new TextDecoder();
  hls.on(Hls.Events.FRAG_PARSING_METADATA, (_, e) => e.samples.forEach((one) => told.length < 500 && told.push({ pts: one.pts, sn: e.frag.sn, text: text.decode(one.data) })));
  hls.loadSource(asked.get("url"));
  hls.attachMedia(video);
}
video.play().catch(() => {});
</script>`;

/* Runs inside the page: watches the first <video>, whoever feeds it. */
function probe() {
  const watch = (window.probe = { samples: [], stalls: [], firstFrame: null, played: 0, jumps: 0, last: null, still: null });
  const video = document.querySelector("video");
  const seen = () => (watch.firstFrame ??= performance.now() / 1000);
  video.requestVideoFrameCallback ? video.requestVideoFrameCallback(seen) : video.addEventListener("playing", seen);
  video.addEventListener("timeupdate", () => video.videoWidth === 0 && video.currentTime > 0 && seen());
  setInterval(() => {
    const now = performance.now() / 1000;
    const hls = window.hls ?? window.hlsd?.hls;
    const time = video.currentTime;
    if (video.getVideoPlaybackQuality?.().totalVideoFrames > 0) seen(); // WebKitGTK without a screen calls nobody back
    if (watch.firstFrame !== null && watch.last) {
      const step = time - watch.last.time;
      const wall = now - watch.last.now;
      if (step < -0.05 || step > wall * 2 + 0.5) watch.jumps++;
      else watch.played += step;
      if (step === 0 && !video.ended) watch.still ??= watch.last.now;
      else if (watch.still !== null) {
        if (watch.last.now - watch.still >= 0.3) watch.stalls.push({ at: watch.still, duration: watch.last.now - watch.still });
        watch.still = null;
      }
    }
    watch.last = { now, time };
    const date = window.hlsd?.player.flv ? (window.hlsd.player.pictureDate() ?? NaN) : hls?.playingDate?.getTime() ?? window.shakaPlayer?.getPlayheadTimeAsDate()?.getTime() ?? (video.getStartDate ? video.getStartDate().getTime() + time * 1000 : NaN);
    let buffer = 0;
    for (let i = 0; i < video.buffered.length; i++) if (video.buffered.start(i) <= time + 0.1 && video.buffered.end(i) > time) buffer = video.buffered.end(i) - time;
    watch.samples.push({
      at: now, time, buffer, rate: video.playbackRate,
      latency: Number.isFinite(date) ? (Date.now() - date) / 1000 : null,
      edge: hls?.latency || null,
    });
  }, 100);
}

/* Runs inside the page: for how long the media clock has run since it last stood still for longer than 0.3 s; 0 while it does. */
function running() {
  const { last, still, stalls, firstFrame } = window.probe;
  if (firstFrame === null || !last || (still !== null && last.now - still >= 0.3)) return 0;
  return last.now - Math.max(firstFrame, ...stalls.map((stall) => stall.at + stall.duration));
}

/* Lasts until the file is there and the player has then been running for a while; `seconds` at most. */
async function recovered(page, { until, steady, seconds }) {
  const end = performance.now() + seconds * 1000;
  let since = null; // when the file was seen: what ran before it does not count
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (since === null && existsSync(until)) since = performance.now();
    if (since === null) continue;
    const ran = Math.min(await page.evaluate(running), (performance.now() - since) / 1000);
    if (ran >= steady) return;
  }
}

/* Goes to a second of the media in the middle of the play: when it has played for half its time, by the media's clock
 * and not by the wall's: a browser that is slow to come up has not begun by then. What came of it: where it was, where it
 * landed when the seek was over, and how far it played on. */
async function seek(page, to, seconds) {
  const wait = async (what) => {
    const end = performance.now() + 1000 * (seconds + 30);
    while (!(await page.evaluate(what)) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  await wait(`window.probe.firstFrame !== null && window.probe.played >= ${seconds / 2}`);
  await page.evaluate(`(() => {
    const video = document.querySelector("video"), sought = (window.sought = { from: video.currentTime, landed: null });
    video.addEventListener("seeked", () => (sought.landed ??= video.currentTime));
    video.currentTime = ${to};
  })()`);
  await wait(`window.sought.landed !== null && document.querySelector("video").currentTime > ${to} + 1`);
  return page.evaluate("window.sought");
}

/* What a viewer does, one after the other, and what came of it. */
async function perform(page, acts) {
  const said = [];
  for (const act of acts) {
    if (act.js) await page.evaluate(act.js);
    if (act.key) await page.keyboard.press(act.key);
    if (act.click) {
      const [selector, x, y] = act.click;
      const box = await page.evaluate(`(() => { const { left, top, width, height } = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect(); return { left, top, width, height }; })()`);
      await page.mouse.click(box.left + x * box.width, box.top + y * box.height);
    }
    const end = performance.now() + 20000;
    let came = !act.until;
    while (!came && performance.now() < end) {
      came = Boolean(await page.evaluate(act.until));
      if (!came) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    if (act.shot) await page.screenshot({ path: act.shot });
    said.push({ came, value: act.say ? await page.evaluate(act.say) : null });
  }
  return said;
}

/* Runs inside the page at the end. */
function report() {
  const said = () => {
    const text = (id) => (document.getElementById(id).checkVisibility({ visibilityProperty: true }) ? document.getElementById(id).textContent : "");
    return { words: text("veil-text"), hint: text("veil-hint"), again: text("again"), note: text("note"), way: document.getElementById("way").value };
  };
  const { probe: watch } = window;
  const video = document.querySelector("video");
  const quality = video.getVideoPlaybackQuality();
  if (watch.still !== null && watch.last.now - watch.still >= 0.3) watch.stalls.push({ at: watch.still, duration: watch.last.now - watch.still, open: true });
  const own = window.hlsd?.stats();
  const details = (window.hls ?? window.hlsd?.hls)?.levels?.[0]?.details;
  const cues = Array.from(video.textTracks).flatMap((track) => Array.from(track.cues ?? []).slice(-200).map((cue) => ({ track: track.label, start: cue.startTime, ...(cue.value && { key: cue.value.key, info: cue.value.info, data: String(cue.value.data) }) })));
  const timed = {
    told: window.told ?? [], cues,
    fragments: (details?.fragments ?? []).map((one) => ({ sn: one.sn, start: one.start, date: one.programDateTime })),
    ranges: Object.values(details?.dateRanges ?? {}).map((one) => ({ id: one.id, start: one.startDate?.getTime(), attributes: { ...one.attr } })),
  };
  const errors = own ? own.errors.map((error) => ({ ...error, at: error.at / 1000 })) : window.faults;
  return {
    first_frame: watch.firstFrame, loaded: performance.getEntriesByType("navigation")[0].loadEventEnd / 1000, played: watch.played, jumps: watch.jumps, stalls: watch.stalls, samples: watch.samples, errors,
    decoded: quality.totalVideoFrames, dropped: quality.droppedVideoFrames, width: video.videoWidth, height: video.videoHeight,
    time: video.currentTime, ready: video.readyState, ranges: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    ended: video.ended, media_error: video.error ? `${video.error.code} ${video.error.message}` : null,
    hls_js: window.Hls?.version ?? window.shaka?.Player.version ?? null, user_agent: navigator.userAgent, page: own ? { ...own, errors: undefined, ...said() } : null, timed,
  };
}

async function serveBare(options) {
  const shaka = new URL("node_modules/shaka-player/dist/shaka-player.compiled.js", import.meta.url).pathname;
  const mpegts = new URL("../../../web/node_modules/mpegts.js/dist/mpegts.js", import.meta.url).pathname;
  const script = { mpegts: () => readFileSync(mpegts), hlsjs: () => readFileSync(options["hls-js"]), shaka: () => readFileSync(shaka), native: () => "" }[options.mode]();
  const server = createServer((request, response) => {
    const isScript = request.url === "/hls.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? script : BARE);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const query = new URLSearchParams({ url: options.url, mode: options.mode, config: options.config, recover: options.recover ? "1" : "" });
  return { address: `http://127.0.0.1:${server.address().port}/?${query}`, close: () => server.close() };
}

const CHROMIUM_ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
];

async function openChromium(options, profile) {
  const { chromium } = await import("playwright-core");
  const { width, height } = options;
  const start = { executablePath: options.executable ?? "/usr/bin/chromium", headless: true, args: CHROMIUM_ARGS };
  const looks = { viewport: { width, height }, colorScheme: options.scheme, ignoreHTTPSErrors: true };
  if (profile === null) {
    const browser = await shared("chromium", () => chromium.launch(start));
    const context = await browser.newContext(looks);
    return { page: await context.newPage(), close: () => context.close(), until: "domcontentloaded" };
  }
  const context = await chromium.launchPersistentContext(profile, { ...start, ...looks });
  return { page: context.pages()[0] ?? (await context.newPage()), close: () => context.close(), until: "domcontentloaded" };
}

async function openFirefox(options, profile) {
  const { default: puppeteer } = await import("puppeteer-core");
  const { width, height } = options;
  const launch = (folder) => puppeteer.launch({
    browser: "firefox",
    executablePath: options.executable ?? "/usr/bin/firefox-esr",
    headless: true,
    userDataDir: folder,
    defaultViewport: { width, height },
    extraPrefsFirefox: {
      "media.autoplay.default": 0,
      "media.autoplay.blocking_policy": 0,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      "app.update.enabled": false,
      "datareporting.policy.dataSubmissionEnabled": false,
      "media.gmp-manager.updateEnabled": false,
    },
  });
  if (profile === null) {
    const browser = await shared("firefox", () => launch(folderOfFirefox()));
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width, height });
    return { page, close: () => context.close(), until: "domcontentloaded" };
  }
  const browser = await launch(profile);
  return { page: await browser.newPage(), close: () => browser.close(), until: "domcontentloaded" };
}

/* The browsers that plays share, by their names, and what is to be removed after them. */
const browsers = new Map();
const folders = [];

async function shared(name, launch) {
  if (!browsers.has(name)) browsers.set(name, await launch());
  return browsers.get(name);
}

function folderOfFirefox() {
  folders.push(mkdtempSync(join(tmpdir(), "hlsd-browser-")));
  return folders.at(-1);
}

/* WebKitGTK by the W3C WebDriver protocol, in the few words that are needed here. */
async function openWebkit(options, profile) {
  const { width, height } = options;
  const children = [];
  const display = process.env.DISPLAY ?? `:${90 + (process.pid % 900)}`;
  if (!process.env.DISPLAY) {
    children.push(spawn("Xvfb", [display, "-screen", "0", `${width}x${height}x24`, "-nolisten", "tcp"], { stdio: "ignore" }));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const port = 20000 + (process.pid % 20000);
  const env = { ...process.env, DISPLAY: display, WEBKIT_DISABLE_COMPOSITING_MODE: "1", XDG_DATA_HOME: profile, XDG_CACHE_HOME: profile };
  children.push(spawn("WebKitWebDriver", [`--port=${port}`], { env, stdio: "ignore" }));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  let session = "";
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}/session${session}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (value?.error) throw new Error(`${value.error}: ${value.message}`);
    return value;
  };
  const binary = options.executable ?? ["4.1", "4.0", "6.0"].map((v) => `/usr/lib/x86_64-linux-gnu/webkit2gtk-${v}/MiniBrowser`).find(existsSync);
  const close = async () => {
    await ask("DELETE", "").catch(() => {});
    for (const child of children.reverse()) child.kill();
  };
  try {
    const started = await ask("POST", "", { capabilities: { alwaysMatch: { browserName: "MiniBrowser", "webkitgtk:browserOptions": { binary, args: ["--automation"] } } } });
    session = `/${started.sessionId}`;
  } catch (error) {
    await close();
    throw error;
  }
  const page = {
    on() {},
    goto: (address) => ask("POST", "/url", { url: address }),
    evaluate: (script) => ask("POST", "/execute/sync", { script: `const found = (${script}); return typeof found === "function" ? found() : found`, args: [] }),
    screenshot: async ({ path }) => writeFileSync(path, Buffer.from(await ask("GET", "/screenshot"), "base64")),
  };
  return { page, close };
}

function summary(values) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const at = (share) => Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(3));
  return { n: sorted.length, min: at(0), median: at(0.5), p95: at(0.95), max: at(1) };
}

/* One play; `sharing`: in a browser that others use too. Its report. */
async function play(options, sharing) {
  const { seconds } = options;
  const profile = sharing && options.browser !== "webkit" ? null : mkdtempSync(join(tmpdir(), "hlsd-browser-"));
  let bare, opened;
  const console_ = [];
  try {
    bare = options.mode === "page" ? null : await serveBare(options);
    opened = await { firefox: openFirefox, chromium: openChromium, webkit: openWebkit }[options.browser](options, profile);
    const { page } = opened;
    page.on("console", (message) => ["error", "warning", "warn"].includes(message.type()) && console_.length < 50 && console_.push(message.text().slice(0, 300)));
    page.on("pageerror", (error) => console_.length < 50 && console_.push(`uncaught: ${String(error.message ?? error).slice(0, 300)}`));
    // Where there is no network but loopback a browser takes itself to be offline, and hls.js waits for ever.
    const online = () => Object.defineProperty(Navigator.prototype, "onLine", { get: () => true });
    await (page.addInitScript?.(online) ?? page.evaluateOnNewDocument?.(online));
    if (options.again) {
      await page.goto(bare?.address ?? options.url, { waitUntil: opened.until, timeout: 20000 });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await page.goto("about:blank");
    }
    await page.goto(bare?.address ?? options.url, { waitUntil: opened.until, timeout: 20000 });
    await page.evaluate(probe);
    const began = performance.now();
    const sought = options.seek === undefined ? null : await seek(page, Number(options.seek), seconds);
    if (sought) options.seconds = seconds / 2;
    await (options.until ? recovered(page, options) : new Promise((resolve) => setTimeout(resolve, options.seconds * 1000)));
    const acts = await perform(page, JSON.parse(options.acts));
    const lasted = (performance.now() - began) / 1000;
    if (options.screenshot) await page.screenshot({ path: options.screenshot });
    const result = await page.evaluate(report);
    const { samples, ...rest } = result;
    // the first seconds are tuning in: latency is told from the second half of the play
    const settled = samples.slice(Math.floor(samples.length / 2));
    return {
      browser: options.browser, mode: options.mode, seconds, lasted, acts, sought, ...rest,
      stall_seconds: result.stalls.reduce((sum, stall) => sum + stall.duration, 0),
      fatal_errors: (result.errors ?? []).filter((error) => error.fatal).length,
      latency: summary(settled.map((sample) => sample.latency)),
      edge_latency: summary(settled.map((sample) => sample.edge)),
      buffer: summary(settled.map((sample) => sample.buffer)),
      latency_samples: samples.filter((_, i) => i % 10 === 0).map(({ at, latency, time, buffer, rate }) => ({ at, latency, time, buffer, rate })),
      console: console_,
    };
  } finally {
    await opened?.close().catch(() => {});
    bare?.close();
    if (profile !== null) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/* Plays what its input says until that ends. */
async function serve() {
  for await (const line of createInterface({ input: process.stdin })) {
    let said;
    try {
      said = { report: await play(wanted(JSON.parse(line)), true) };
    } catch (error) {
      said = { error: error.stack ?? String(error) };
    }
    console.log(JSON.stringify(said));
  }
  for (const browser of browsers.values()) await browser.close().catch(() => {});
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

try {
  const options = wanted(process.argv.slice(2));
  if (options.serve) await serve();
  else console.log(JSON.stringify(await play(options, false)));
} catch (error) {
  console.error(error.stack ?? String(error));
  process.exitCode = 1;
}
