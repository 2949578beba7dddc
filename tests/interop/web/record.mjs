/* Publishes from a real browser by WebSocket, as docs/browser-websocket.md says, and prints as one JSON object how it went.
 *
 *   node record.mjs BASE [--socket URL] [--browser chromium|firefox] [--executable FILE] [--mime TYPE] [--seconds N]
 *                   [--size WxH] [--rate BITS] [--pause AT,FOR] [--anew AT] [--no-audio] [--save FILE]
 *
 * BASE is an address that a page may have a camera at; --socket is where it publishes to, without one nothing is sent.
 * --mime: what MediaRecorder is asked for, or application/x-hlsd-chunks for WebCodecs with a drawn picture. A connection
 * that is lost is taken up again. --pause, --anew (a second recorder on the same socket): seconds from the beginning.
 *
 * The report: `mime` as the recorder had it, `bytes` made, `texts` heard (each with `at`, ms from the beginning), `closed`
 * (code and reason), `pictures` encoded (WebCodecs), `zero`: when the first recording began, ms since the epoch.
 * --save: all that was made.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    socket: { type: "string", default: "" },
    browser: { type: "string", default: "chromium" },
    executable: { type: "string" },
    mime: { type: "string", default: "video/x-matroska;codecs=avc1,opus" },
    seconds: { type: "string", default: "8" },
    size: { type: "string", default: "640x360" },
    rate: { type: "string", default: "1000000" },
    pause: { type: "string", default: "" },
    anew: { type: "string", default: "" },
    "no-audio": { type: "boolean", default: false },
    save: { type: "string", default: "" },
  },
});
const profile = mkdtempSync(join(tmpdir(), "hlsd-record-"));
const [browser, page] = await { chromium: openChromium, firefox: openFirefox }[options.browser]();
try {
  await page.goto(positionals[0]);
  const report = await page.evaluate(publish, { ...options });
  if (options.save) writeFileSync(options.save, Buffer.from(report.made, "base64"));
  delete report.made;
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}

async function openChromium() {
  const { chromium } = await import("playwright-core");
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: options.executable ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-gpu"],
  });
  return [context, context.pages()[0] ?? (await context.newPage())];
}

async function openFirefox() {
  const puppeteer = (await import("puppeteer-core")).default;
  const firefox = await puppeteer.launch({
    browser: "firefox",
    executablePath: options.executable ?? "/usr/bin/firefox-esr",
    headless: true,
    userDataDir: profile,
    extraPrefsFirefox: { "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true, "remote.active-protocols": 1 },
  });
  return [firefox, await firefox.newPage()];
}

/* In the page. */
async function publish(wanted) {
  const began = performance.now();
  const clock = () => performance.now() - began;
  const report = { texts: [], pictures: 0, bytes: 0 };
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const all = []; // everything that was made, for the report
  const chunks = wanted.mime.startsWith("application/");
  const [width, height] = wanted.size.split("x").map(Number);
  let socket = null;
  let id = "";
  let open = false; // whether `ready` was heard on this socket
  let kept = []; // what is not acknowledged: Uint8Arrays
  let from = 0; // of the recording, where `kept` begins
  let sent = 0; // of the recording, up to where it was sent
  let ended = false;
  let mime = wanted.mime;

  function pump() {
    if (!open) return;
    let at = from;
    for (const piece of kept) {
      if (at + piece.length > sent) {
        socket.send(piece.subarray(sent - at));
        sent = at + piece.length;
      }
      at += piece.length;
    }
  }

  function take(piece) {
    if (!piece.length) return;
    report.bytes += piece.length;
    all.push(piece);
    kept.push(piece);
    pump();
  }

  function start(resume) {
    const text = { type: "start", mime, framerate: 30, videoBitsPerSecond: Number(wanted.rate) };
    if (resume) text.resume = resume;
    open = false;
    socket.send(JSON.stringify(text));
  }

  function hear(text) {
    report.texts.push({ at: Math.round(clock()), ...text });
    if (text.type === "ready") {
      id = text.id;
      const first = text.from ?? 0;
      let at = from;
      while (kept.length && at + kept[0].length <= first) at += kept.shift().length;
      from = at;
      sent = first;
      open = true;
      pump();
    } else if (text.type === "ack" && open) {
      while (kept.length && from + kept[0].length <= text.bytes) from += kept.shift().length;
    } else if (text.type === "error" && text.fatal) {
      ended = true;
    }
  }

  function connect() {
    if (!wanted.socket || ended) return;
    socket = new WebSocket(wanted.socket);
    socket.onopen = () => start(id);
    socket.onmessage = (event) => hear(JSON.parse(event.data));
    socket.onclose = (event) => {
      open = false;
      report.closed = [event.code, event.reason];
      if (!ended) setTimeout(connect, 200);
    };
  }

  async function opened() {
    while (wanted.socket && !open && !ended) await wait(10);
  }

  async function record(media) {
    const recorder = new MediaRecorder(media, {
      mimeType: wanted.mime,
      videoBitsPerSecond: Number(wanted.rate),
      videoKeyFrameIntervalDuration: 1000,
    });
    let order = Promise.resolve();
    recorder.ondataavailable = (event) => {
      order = order.then(async () => take(new Uint8Array(await event.data.arrayBuffer())));
    };
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start(100);
    report.zero ??= Date.now();
    return { recorder, mime: () => recorder.mimeType, stop: async () => { recorder.stop(); await stopped; await order; } };
  }

  /* WebCodecs: records of 16 bytes of head and what they say. */
  async function encode() {
    const surface = new OffscreenCanvas(width, height);
    const paint = surface.getContext("2d");
    const put = (kind, key, timestamp, body) => {
      const record = new Uint8Array(16 + body.length);
      const head = new DataView(record.buffer);
      head.setUint8(0, kind);
      head.setUint8(1, key ? 1 : 0);
      head.setBigInt64(4, BigInt(Math.round(timestamp)));
      head.setUint32(12, body.length);
      record.set(body, 16);
      take(record);
    };
    const output = (kind) => (chunk, metadata) => {
      const config = metadata?.decoderConfig;
      if (config) {
        const told = { codec: config.codec, sampleRate: config.sampleRate, numberOfChannels: config.numberOfChannels };
        if (config.description) told.description = btoa(String.fromCharCode(...new Uint8Array(config.description.buffer ?? config.description)));
        put(kind + 2, false, chunk.timestamp, new TextEncoder().encode(JSON.stringify(told)));
      }
      const body = new Uint8Array(chunk.byteLength);
      chunk.copyTo(body);
      if (kind === 1) report.pictures += 1;
      put(kind, chunk.type === "key", chunk.timestamp, body);
    };
    const fail = (error) => { report.failed = String(error); };
    const video = new VideoEncoder({ output: output(1), error: fail });
    video.configure({ codec: "avc1.42001f", width, height, bitrate: Number(wanted.rate), framerate: 30, latencyMode: "realtime" });
    const audio = wanted["no-audio"] ? null : new AudioEncoder({ output: output(2), error: fail });
    audio?.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 2, bitrate: 96000 });
    const zero = performance.now();
    report.zero ??= Date.now();
    let frames = 0;
    let samples = 0;
    const timer = setInterval(() => {
      const now = performance.now() - zero;
      while ((frames * 1000) / 30 <= now) {
        paint.fillStyle = `hsl(${(frames * 4) % 360} 60% 50%)`;
        paint.fillRect(0, 0, width, height);
        paint.fillStyle = "white";
        paint.fillRect((frames * 5) % width, height / 3, width / 8, height / 3);
        const frame = new VideoFrame(surface, { timestamp: Math.round((frames * 1e6) / 30) });
        video.encode(frame, { keyFrame: frames % 30 === 0 });
        frame.close();
        frames += 1;
      }
      while (audio && samples / 48 <= now) {
        const data = new Float32Array(960 * 2);
        for (let i = 0; i < 960; i += 1) data[i] = data[960 + i] = 0.2 * Math.sin(((samples + i) * 2 * Math.PI * 440) / 48000);
        const sound = new AudioData({ format: "f32-planar", sampleRate: 48000, numberOfFrames: 960, numberOfChannels: 2, timestamp: Math.round((samples * 1e6) / 48000), data });
        audio.encode(sound);
        sound.close();
        samples += 960;
      }
    }, 10);
    return { mime: () => wanted.mime, stop: async () => { clearInterval(timer); await video.flush(); await audio?.flush(); } };
  }

  connect();
  await opened();
  const media = chunks ? null : await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: 30 }, audio: !wanted["no-audio"] });
  const begin = async () => {
    try {
      return await (chunks ? encode() : record(media));
    } catch (error) {
      report.failed = String(error);
      return null;
    }
  };
  const events = [];
  if (wanted.pause) {
    const [at, lasting] = wanted.pause.split(",").map(Number);
    events.push([at, "pause"], [at + lasting, "resume"]);
  }
  if (wanted.anew) events.push([Number(wanted.anew), "anew"]);
  let source = ended ? null : await begin();
  const zero = performance.now();
  const last = Number(wanted.seconds);
  while (source && !ended && (performance.now() - zero) / 1000 < last) {
    await wait(20);
    if (!events.length || (performance.now() - zero) / 1000 < events[0][0]) continue;
    const [, what] = events.shift();
    if (what === "pause") {
      source.recorder.requestData();
      source.recorder.pause();
      await wait(100);
    }
    if (what === "anew") {
      await source.stop();
      kept = [];
      from = 0;
      sent = 0;
      start("");
      source = await begin();
    } else {
      socket?.send(JSON.stringify({ type: what }));
      if (what === "resume") source.recorder.resume();
    }
  }
  if (source) {
    report.mime = source.mime();
    await source.stop();
  }
  const patience = performance.now() + 10000;
  while (wanted.socket && !ended && (!open || sent < from + kept.reduce((sum, piece) => sum + piece.length, 0)) && performance.now() < patience) await wait(20);
  ended = true;
  if (socket && socket.readyState === WebSocket.OPEN) {
    await new Promise((resolve) => {
      socket.onclose = (event) => { report.closed = [event.code, event.reason]; resolve(); };
      socket.close(1000);
    });
  }
  const whole = new Uint8Array(await new Blob(all).arrayBuffer());
  let text = "";
  for (let at = 0; at < whole.length; at += 32768) text += String.fromCharCode(...whole.subarray(at, at + 32768));
  report.made = btoa(text);
  return report;
}
