/* Plays a stream by WHEP in a real Chromium and prints, as one JSON object, how it went.
 *
 *   node whep.mjs BASE APP/STREAM [--executable FILE] [--seconds N] [--query STRING] [--bearer TOKEN] [--restart]
 *                 [--until-end] [--no-video] [--page] [--screenshot FILE]
 *
 * The top line of the pictures says when each was drawn (tests/support/coded_publisher.py): `delays` are the ms from
 * there to when the browser was about to show it, of every picture that was shown.
 *
 * The report: `status`, `headers` and `problem` of the POST, `answer`, `connected` and `first` (ms from the POST to the
 * connection, to the first picture), `shown` (pictures), `longest` (ms between two of them), `delays`, `loudness` (RMS of
 * the sound), `inbound` (stats of video and audio), `restarted`, `deleted` (status of PATCH and DELETE), `state` at the end.
 * --page: the page of ours is opened instead with ?way=whep, and asked for what it says (`window.hlsd`).
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    executable: { type: "string", default: "/usr/bin/chromium" },
    seconds: { type: "string", default: "6" },
    query: { type: "string", default: "" },
    bearer: { type: "string", default: "" },
    restart: { type: "boolean", default: false },
    "until-end": { type: "boolean", default: false },
    "no-video": { type: "boolean", default: false },
    page: { type: "boolean", default: false },
    screenshot: { type: "string", default: "" },
  },
});
const [base, path] = positionals;
const profile = mkdtempSync(join(tmpdir(), "hlsd-whep-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: options.executable,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
});
try {
  const page = context.pages()[0] ?? (await context.newPage());
  console.log(JSON.stringify(await (options.page ? look(page) : script(page))));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}

async function script(page) {
  await page.goto(base);
  return page.evaluate(play, { ...options, path });
}

/* What a person sees. */
async function look(page) {
  const errors = [];
  page.setDefaultTimeout(90_000); // the browsers of other tests share the cores
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (line) => line.type() === "error" && errors.push(`${line.text()} ${line.location().url}`));
  await page.goto(`${base}/${path}?way=whep${options.query && `&${options.query}`}`);
  await page.waitForFunction(() => document.querySelector("video").currentTime > 1);
  await page.waitForTimeout(Number(options.seconds) * 1000);
  await page.waitForFunction(() => document.querySelector("#t-latency b").textContent !== "–");
  if (options.screenshot) await page.screenshot({ path: options.screenshot });
  return page.evaluate((said) => {
    const text = (id) => document.querySelector(`#${id} b`)?.textContent;
    const way = document.getElementById("way");
    return {
      errors: said,
      way: way.value,
      chosen: way.selectedOptions[0].textContent,
      latency: text("t-latency"),
      engine: text("t-engine"),
      bitrate: text("t-bitrate"),
      time: document.querySelector("video").currentTime,
    };
  }, errors);
}

/* Runs inside the page. */
async function play({ path, seconds, query, bearer, restart, ...more }) {
  const report = { shown: 0, delays: [], longest: 0 };
  const peer = new RTCPeerConnection();
  const video = document.createElement("video");
  const canvas = document.createElement("canvas");
  canvas.width = 640;
  canvas.height = 1;
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  video.muted = true;
  video.playsInline = true;
  document.body.append(video);
  const stream = new MediaStream();
  peer.ontrack = ({ track }) => {
    stream.addTrack(track);
    video.srcObject = stream;
    video.play().catch(() => {});
  };
  if (!more["no-video"]) peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "recvonly" });
  await peer.setLocalDescription();
  const url = `/${path}/whep${query && `?${query}`}`;
  const headers = { "content-type": "application/sdp" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  const began = performance.now();
  const answer = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
  report.status = answer.status;
  report.headers = Object.fromEntries(answer.headers);
  if (!answer.ok) {
    report.problem = await answer.json();
    return report;
  }
  report.answer = await answer.text();
  let last = 0;
  const seen = (now, data) => {
    if (!report.shown++) report.first = now - began;
    else report.longest = Math.max(report.longest, now - last);
    last = now;
    paint.drawImage(video, 0, 0, video.videoWidth, video.videoHeight / 18, 0, 0, 640, 1);
    const { data: dots } = paint.getImageData(0, 0, 640, 1);
    let told = 0;
    for (let bit = 0; bit < 32; bit++) told = told * 2 + (dots[(bit * 20 + 10) * 4] > 128 ? 1 : 0);
    const shown = (performance.timeOrigin + data.expectedDisplayTime) % 2 ** 32;
    report.delays.push(Math.round(shown - told));
    video.requestVideoFrameCallback(seen);
  };
  video.requestVideoFrameCallback(seen);
  peer.addEventListener("connectionstatechange", () => {
    if (peer.connectionState === "connected") report.connected ??= performance.now() - began;
  });
  await peer.setRemoteDescription({ type: "answer", sdp: report.answer });
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const sound = new AudioContext();
  const analyser = sound.createAnalyser();
  const dots = new Float32Array(analyser.fftSize);
  let listening = false;
  const until = performance.now() + seconds * 1000;
  report.loudness = 0;
  while (performance.now() < until) {
    await sleep(100);
    if (!listening && stream.getAudioTracks().length) {
      listening = true;
      sound.createMediaStreamSource(stream).connect(analyser);
    }
    analyser.getFloatTimeDomainData(dots);
    report.loudness = Math.max(report.loudness, Math.sqrt(dots.reduce((sum, one) => sum + one * one, 0) / dots.length));
    if (more["until-end"] && ["failed", "closed", "disconnected"].includes(peer.connectionState)) break;
    if (restart && !report.restarted && performance.now() > until - seconds * 500) {
      const shown = report.shown;
      const offer = await peer.createOffer({ iceRestart: true });
      await peer.setLocalDescription(offer);
      const line = (name) => new RegExp(`a=${name}:.*`).exec(offer.sdp)[0];
      const told = await fetch(report.headers.location, {
        method: "PATCH",
        headers: { "content-type": "application/trickle-ice-sdpfrag", "if-match": "*" },
        body: `${line("ice-ufrag")}\r\n${line("ice-pwd")}\r\n`,
      });
      report.restarted = told.status;
      const fresh = await told.text();
      const anew = report.answer
        .replace(/a=ice-ufrag:.*/g, /a=ice-ufrag:.*/.exec(fresh)[0].trim())
        .replace(/a=ice-pwd:.*/g, /a=ice-pwd:.*/.exec(fresh)[0].trim());
      await peer.setRemoteDescription({ type: "answer", sdp: anew });
      report.before = shown;
    }
  }
  report.state = peer.connectionState;
  report.inbound = {};
  for (const one of (await peer.getStats()).values()) {
    if (one.type === "inbound-rtp") report.inbound[one.kind] = one;
    if (one.type === "candidate-pair" && one.nominated) report.pair = one;
  }
  if (!more["until-end"]) report.deleted = (await fetch(report.headers.location, { method: "DELETE" })).status;
  peer.close();
  return report;
}
