/* Publishes a fake camera and microphone from a real Chromium by WHIP and prints, as one JSON object, how it went.
 *
 *   node publish.mjs BASE APP/STREAM [--executable FILE] [--seconds N] [--video vp8|h264] [--no-audio] [--bearer TOKEN]
 *                    [--query STRING] [--size WxH] [--restart] [--kill] [--delete false]
 *
 * BASE is the address of the server; its front page is the page that publishes, so that nothing else need be served.
 * The offer is made as a page of anybody would: H.264 alone (or VP8 alone), what the browser gathers of candidates.
 * --restart: after half the time ICE is begun anew by PATCH. --kill: the browser is closed without a word.
 *
 * --page: the page of ours is opened, its button pressed, and pressed again; the report is then what it said. --plain: the
 * same where the library is not there. --mute with either: what is sent in a pause, over a new connection and of a
 * microphone that is muted; `query` is the page's then.
 *
 * The report: `status` and `headers` of the POST, `answer`, `connected` (ms from the POST), `stats` at the end (of
 * outbound video: frames, keys, size, nack, pli, retransmitted), `deleted` (status), `restarted` (status of PATCH).
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
    seconds: { type: "string", default: "8" },
    video: { type: "string", default: "h264" },
    "no-audio": { type: "boolean", default: false },
    bearer: { type: "string", default: "" },
    query: { type: "string", default: "" },
    size: { type: "string", default: "1280x720" },
    restart: { type: "boolean", default: false },
    kill: { type: "boolean", default: false },
    page: { type: "boolean", default: false },
    plain: { type: "boolean", default: false },
    mute: { type: "boolean", default: false },
  },
});
const [base, path] = positionals;
const profile = mkdtempSync(join(tmpdir(), "hlsd-publish-"));
const context = await chromium.launchPersistentContext(profile, {
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
try {
  const page = context.pages()[0] ?? (await context.newPage());
  const report = options.page || options.plain ? await press(page) : await script(page);
  if (options.kill) context.browser()?.close();
  console.log(JSON.stringify(report));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}

async function script(page) {
  await page.goto(base);
  return page.evaluate(publish, { ...options, path });
}

/* What a person does. */
async function press(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  // Chromium complains of the file that is not there, which is what --plain is about.
  page.on("console", (line) => line.type() === "error" && !options.plain && errors.push(line.text()));
  if (options.plain) await page.route("**/_/publish.js", (route) => route.fulfill({ status: 404, body: "" }));
  if (options.mute) return pauses(page);
  await page.goto(`${base}/${path}/publish`);
  const shows = (text) => page.waitForFunction((wanted) => document.getElementById("badge").textContent === wanted, text);
  await page.waitForSelector("#go:not([disabled])");
  await page.click("#go");
  await shows("live");
  await page.waitForFunction(() => document.getElementById("facts").textContent && document.getElementById("watch").textContent);
  const said = async (id) => page.textContent(`#${id}`);
  const report = { live: await said("badge"), facts: await said("facts"), watch: await said("watch"), errors };
  report.lacks = await page.isVisible("#plain");
  report.name = await said("name");
  await page.click("#pause");
  await shows("paused");
  await page.click("#pause");
  await shows("live");
  await page.click("#go");
  await shows("off air");
  return { ...report, stopped: await page.textContent("#badge") };
}

/* What leaves the browser of a page that pauses, takes a microphone, is muted, and goes on. */
async function pauses(page) {
  await page.addInitScript(() => {
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...all) {
        super(...all);
        window.peers.push(this);
      }
    };
    window.sends = async () => {
      const found = { peers: window.peers.length, pictures: 0, packets: 0 };
      const peer = window.peers.at(-1);
      for (const { sender, receiver } of peer.getTransceivers()) found[receiver.track.kind] = sender.track?.enabled ?? null;
      for (const one of (await peer.getStats()).values()) {
        if (one.type !== "outbound-rtp") continue;
        if (one.kind === "video") found.pictures += one.framesEncoded;
        else found.packets += one.packetsSent;
      }
      return found;
    };
  });
  await page.goto(`${base}/${path}/publish?${options.query}`);
  const shows = (text) => page.waitForFunction((wanted) => document.getElementById("badge").textContent === wanted, text);
  // The first figures that are as wanted, numbers at least so high.
  const sends = (wanted = {}) =>
    page.evaluate(async (wanted) => {
      for (const began = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, 50))) {
        const found = await window.sends();
        const fits = ([name, value]) => (typeof value === "number" ? found[name] >= value : found[name] === value);
        if (Object.entries(wanted).every(fits)) return found;
        if (performance.now() - began > 20_000) throw new Error(`${JSON.stringify(wanted)} never came: ${JSON.stringify(found)}`);
      }
    }, wanted);
  await page.waitForSelector("#go:not([disabled])");
  await page.waitForSelector("#mute:not([disabled])");
  await page.selectOption("#microphone", "");
  await page.waitForSelector("#mute[disabled]");
  await page.click("#go");
  await shows("live");
  const report = { began: await sends({ pictures: 5 }) };
  await page.click("#pause");
  await shows("paused");
  report.paused = await sends({ video: null });
  await page.evaluate(() => {
    window.badges = [];
    const badge = document.getElementById("badge");
    new MutationObserver(() => window.badges.push(badge.textContent)).observe(badge, { childList: true });
  });
  await page.selectOption("#microphone", { index: 0 });
  // A second of silence: as long as pictures would have had.
  report.anew = await sends({ peers: 2, packets: 50 });
  await shows("paused");
  report.badges = await page.evaluate(() => window.badges);
  await page.click("#mute");
  await page.click("#mute");
  report.opened = await sends();
  await page.click("#mute");
  await page.click("#pause");
  await shows("live");
  report.muted = await sends({ pictures: 5 });
  await page.click("#mute");
  report.resumed = await sends({ pictures: 5 });
  await page.click("#go");
  await shows("off air");
  return report;
}

/* In the page. */
async function publish(wanted) {
  const [width, height] = wanted.size.split("x").map(Number);
  const seconds = Number(wanted.seconds);
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const media = await navigator.mediaDevices.getUserMedia({
    video: { width, height, frameRate: 30 },
    audio: !wanted["no-audio"],
  });
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  for (const track of media.getTracks()) {
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    if (track.kind === "video") {
      const codecs = RTCRtpSender.getCapabilities("video").codecs;
      const chosen = codecs.filter((codec) => codec.mimeType.toLowerCase() === `video/${wanted.video}`);
      const helpers = codecs.filter((codec) => /rtx|red|ulpfec/.test(codec.mimeType));
      transceiver.setCodecPreferences([...chosen, ...helpers]);
    }
  }
  await peer.setLocalDescription(await peer.createOffer());
  await new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve();
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, 1000);
  });
  const headers = { "content-type": "application/sdp" };
  if (wanted.bearer) headers.authorization = `Bearer ${wanted.bearer}`;
  const began = performance.now();
  const address = `/${wanted.path}/whip${wanted.query ? `?${wanted.query}` : ""}`;
  const reply = await fetch(address, { method: "POST", headers, body: peer.localDescription.sdp });
  const answer = await reply.text();
  const report = { status: reply.status, headers: Object.fromEntries(reply.headers), offer: peer.localDescription.sdp, answer };
  if (reply.status !== 201) return report;
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  const sender = peer.getSenders().find((one) => one.track?.kind === "video");
  await sender?.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" });
  await new Promise((resolve) => {
    const look = () => peer.connectionState === "connected" && resolve();
    peer.addEventListener("connectionstatechange", look);
    look();
    setTimeout(resolve, 10000);
  });
  report.connected = performance.now() - began;
  report.state = peer.connectionState;
  report.rates = [];
  const watch = setInterval(async () => {
    for (const one of (await peer.getStats()).values()) {
      if (one.type === "candidate-pair" && one.nominated) report.rates.push(Math.round((one.availableOutgoingBitrate ?? 0) / 1000));
    }
  }, 500);
  await pause(seconds * 500);
  const session = reply.headers.get("location");
  if (wanted.restart) {
    peer.restartIce();
    const offer = await peer.createOffer({ iceRestart: true });
    await peer.setLocalDescription(offer);
    const pick = (sdp, name) => sdp.match(new RegExp(`a=${name}:(.*)`))[1].trim();
    const ufrag = pick(offer.sdp, "ice-ufrag");
    const body = `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pick(offer.sdp, "ice-pwd")}\r\n`;
    const patched = await fetch(session, {
      method: "PATCH",
      headers: { "content-type": "application/trickle-ice-sdpfrag", "if-match": "*" },
      body,
    });
    const fragment = await patched.text();
    report.restarted = { status: patched.status, etag: patched.headers.get("etag"), fragment };
    if (patched.status === 200) {
      let sdp = answer.replace(/a=ice-ufrag:.*/g, `a=ice-ufrag:${pick(fragment, "ice-ufrag")}`);
      sdp = sdp.replace(/a=ice-pwd:.*/g, `a=ice-pwd:${pick(fragment, "ice-pwd")}`);
      await peer.setRemoteDescription({ type: "answer", sdp });
    }
  }
  await pause(seconds * 500);
  report.state = peer.connectionState;
  clearInterval(watch);
  for (const one of (await peer.getStats()).values()) {
    if (one.type === "outbound-rtp" && one.kind === "video") {
      report.stats = {
        frames: one.framesEncoded,
        keys: one.keyFramesEncoded,
        width: one.frameWidth,
        height: one.frameHeight,
        nack: one.nackCount,
        pli: one.pliCount,
        again: one.retransmittedPacketsSent,
        bytes: one.bytesSent,
        limited: one.qualityLimitationReason,
        changes: one.qualityLimitationResolutionChanges,
      };
    }
    if (one.type === "remote-inbound-rtp" && one.kind === "video") report.remote = { rtt: one.roundTripTime, lost: one.packetsLost };
  }
  if (!wanted.kill) report.deleted = (await fetch(session, { method: "DELETE" })).status;
  return report;
}
