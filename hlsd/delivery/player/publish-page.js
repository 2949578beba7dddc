/* Publishes this browser's camera, screen and microphone to the stream that the address names.
 *
 * What the address names may be the stream's key: nothing is shown of it but what the server says the stream is called.
 * How it gets there is the publisher's library's business (web/publish, served as /_/publish.js), or publish-plain.js's
 * where that was not built. Names and messages reach the page by textContent only.
 */

import { Devices } from "./publish-devices.js";
import { qr } from "./publish-qr.js";

const say = (id) => document.getElementById(id);
const about = document.querySelector("meta[name=hlsd]").dataset;
const plain = () => import("./publish-plain.js");
const library = about.library ? await import(about.library).catch(plain) : await plain();
const [app, stream] = location.pathname.split("/").filter(Boolean).slice(-3, -1);
const address = `${location.origin}${about.prefix}/${app}/${stream}`;
const QUALITIES = [
  { name: "High · 1080p", width: 1920, height: 1080, bitrate: 4_500_000 },
  { name: "Good · 720p", width: 1280, height: 720, bitrate: 2_500_000 },
  { name: "Small · 480p", width: 854, height: 480, bitrate: 1_200_000 },
  { name: "Least · 360p", width: 640, height: 360, bitrate: 600_000 },
];
const FRAMERATE = 30;
const ASKED = 5000; // ms between two questions of how many watch

/* What each state is called, and what it means for whoever looks at the page. */
const STATES = {
  idle: ["off air", "Nobody sees you yet."],
  connecting: ["connecting", "Going on air…"],
  live: ["live", "You are on air."],
  paused: ["paused", "Viewers wait until you go on."],
  reconnecting: ["reconnecting", "The connection was lost. It is being made again; you need not do anything."],
  ended: ["off air", "You are off air."],
};
const TROUBLES = {
  NOT_ALLOWED: "You may not publish here. The link may have expired, or lack a part.",
  NAME_IN_USE: "Somebody else is on air under this name. Wait until they stop, or take another name.",
  UNSUPPORTED_CODEC: "This browser cannot send what the server takes. Try Chrome, Edge or Safari.",
  CONNECTION_FAILED: "The server cannot be reached. Look whether you are online, then try again.",
  LIMIT: "The server has no room for another broadcast now. Try again later.",
  BAD_MEDIA: "The server could not make sense of what this browser sent.",
  ENDED: "The server ended the broadcast.",
  INVALID_PARAMETERS: "There is nothing to send: choose a camera or a microphone.",
};

const devices = new Devices();
let publisher = null;
let awake = null;
let facts = {};
let viewers = null;
let asked = 0;
let muted = false; // also while there is no microphone: another one must not open by itself
const state = () => publisher?.state ?? "idle";
const onAir = () => !["idle", "ended"].includes(state());

/* What stands over the preview; nothing where both are empty. */
function veil(text, hint = "") {
  say("veil").classList.toggle("on", Boolean(text));
  say("veil-text").textContent = text;
  say("veil-hint").textContent = hint;
}

function note(text) {
  say("note").textContent = text;
  say("note").hidden = !text;
}

function show() {
  const [name, words] = STATES[state()];
  const on = onAir();
  if (say("badge").textContent !== name) say("badge").textContent = name;
  say("badge").classList.toggle("live", name === "live");
  if (say("words").textContent !== words) say("words").textContent = words;
  say("go").textContent = on ? "Stop" : "Go live";
  say("go").classList.toggle("on", on);
  say("go").disabled = !on && !devices.stream?.getTracks().length;
  say("pause").hidden = !["live", "paused"].includes(state());
  say("pause").textContent = state() === "paused" ? "Go on" : "Pause";
  say("quality").disabled = on;
  say("quality-hint").hidden = !on;
  const live = state() === "live" || state() === "paused";
  const { width, height, framerate, bitrate, lag } = facts;
  say("facts").textContent = live
    ? [
        width ? `${width}×${height}` : "",
        framerate ? `${Math.round(framerate)} fps` : "",
        bitrate ? `${(bitrate / 1e6).toFixed(1)} Mbit/s` : "",
        lag === null || lag === undefined ? "" : `lag ${Math.round(lag)} ms`,
        viewers === null ? "" : `${viewers} watching`,
      ].filter(Boolean).join(" · ")
    : "";
  say("mute").disabled = !devices.stream?.getAudioTracks().length;
  say("mute").setAttribute("aria-pressed", String(muted));
}

/* Browsers give a camera to pages of https and of this machine only; and the plain script knows WebRTC alone. */
function useless() {
  if (about.closed && !say("plain").hidden) {
    veil("This server takes nothing from this page", about.closed);
    return true;
  }
  if (window.isSecureContext && navigator.mediaDevices) return false;
  veil("The camera needs https", "Browsers give camera and microphone only to pages that come by https.");
  if (about.httpsPort && about.httpsPort !== "0") {
    const link = document.createElement("a");
    link.href = `https://${location.hostname}:${about.httpsPort}${location.pathname}${location.search}`;
    link.textContent = "Open this page by https";
    link.className = "chip";
    say("veil").append(link);
  } else {
    say("veil-hint").textContent += " This server has none yet: `hlsd cert` makes a certificate, https.cert and https.key name it.";
  }
  return true;
}

async function list() {
  for (const [id, kind, word] of [["camera", "videoinput", "Camera"], ["microphone", "audioinput", "Microphone"]]) {
    const { devices: all, current } = await devices.choices(kind);
    const none = id === "camera" ? "No picture" : "No microphone";
    const options = all.map((one, number) => new Option(one.label || `${word} ${number + 1}`, one.deviceId));
    say(id).replaceChildren(...options, new Option(none, ""));
    say(id).value = all.some((one) => one.deviceId === current) ? current : "";
    if (id === "camera") say(id).disabled = devices.shared;
  }
}

/* Takes the devices that are chosen; the first time, whichever the browser likes. */
async function open(first = false) {
  const { width, height } = QUALITIES[say("quality").value];
  try {
    const chosen = first ? {} : { camera: say("camera").value, microphone: say("microphone").value };
    await devices.open({ ...chosen, width, height, framerate: FRAMERATE });
  } catch (error) {
    const denied = error.name === "NotAllowedError";
    const busy = error.name === "NotReadableError";
    veil(
      denied ? "Camera and microphone are not allowed" : busy ? "The camera is in use" : "No camera or microphone",
      denied ? "Allow them in the browser's address bar, then load the page anew." : busy ? "Close the program that has it, or choose another one." : error.message,
    );
    return show();
  }
  await taken();
}

async function taken() {
  const { stream: media, shared } = devices;
  say("preview").srcObject = media;
  say("preview").classList.toggle("mirrored", !shared);
  say("screen").setAttribute("aria-pressed", String(shared));
  say("screen").textContent = shared ? "Back to the camera" : "Share the screen instead";
  veil(media.getVideoTracks().length ? "" : media.getAudioTracks().length ? "Sound only" : "Nothing is chosen");
  mute(muted);
  await list();
  if (onAir()) await publisher.replace(media);
  show();
}

async function share() {
  if (devices.shared) return unshare();
  try {
    await devices.share(FRAMERATE);
  } catch (error) {
    if (error.name !== "NotAllowedError") note(`The screen cannot be shared: ${error.message}`);
    return;
  }
  await taken();
}

async function unshare() {
  devices.shared = false;
  const cameras = say("camera").options;
  say("camera").value = cameras[0]?.value ?? "";
  await open();
}

function mute(on) {
  muted = on;
  for (const track of devices.stream?.getAudioTracks() ?? []) track.enabled = !on;
  show();
}

async function go() {
  note("");
  if (onAir()) return publisher.stop();
  const options = {
    url: address,
    query: location.search,
    transport: new URLSearchParams(location.search).get("transport") ?? "auto",
    framerate: FRAMERATE,
    videoBitsPerSecond: QUALITIES[say("quality").value].bitrate,
  };
  try {
    publisher = new library.HlsdPublisher(devices.stream, options);
  } catch (error) {
    return trouble(error);
  }
  facts = {};
  viewers = null;
  publisher.on("state", changed).on("error", trouble);
  publisher.on("stats", (stats) => {
    facts = stats;
    show();
    void audience();
  });
  await publisher.start().catch(() => {}); // the event has told it
}

function trouble(error) {
  if (!error.fatal) return;
  const there = error.name === "CONNECTION_FAILED" && error.details?.status; // it answers, and has no such way in
  note(`${there ? "This server takes nothing from this browser." : (TROUBLES[error.name] ?? "")} (${error.message})`);
}

async function changed() {
  show();
  if (state() === "live") note("");
  // A phone that goes to sleep takes its camera along.
  if (onAir() && !awake) awake = await navigator.wakeLock?.request("screen").catch(() => null);
  else if (!onAir()) {
    void awake?.release();
    awake = null;
  }
}

/* How many watch: the session's own resource says so. */
async function audience() {
  const { session } = publisher;
  if (!session || performance.now() - asked < ASKED) return;
  asked = performance.now();
  const reply = await fetch(`${address}/publish/${session}`).catch(() => null);
  const told = reply?.ok ? await reply.json() : {};
  viewers = told.viewers ?? null;
  // What stands in the address may be the stream's key, which is not for viewers.
  if (told.path) link(told.path.split("/").map(encodeURIComponent).join("/"));
}

/* Where to watch, `/{app}/{stream}`. */
function link(path) {
  const place = `${location.origin}${about.prefix}${path}`;
  if (say("watch").textContent === place) return;
  say("watch").textContent = say("watch").href = place;
  say("name").textContent = decodeURIComponent(path.slice(1));
  say("watch-line").hidden = false;
  say("watch-later").hidden = true;
  draw(place);
}

function draw(place) {
  const rows = qr(place);
  say("qr").hidden = !rows;
  if (!rows) return;
  const canvas = say("qr");
  const [cell, edge] = [4, 4];
  canvas.width = canvas.height = (rows.length + 2 * edge) * cell;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  rows.forEach((row, y) => row.forEach((dark, x) => dark && context.fillRect((x + edge) * cell, (y + edge) * cell, cell, cell)));
}

async function copy() {
  const text = say("watch").textContent;
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  if (!done) getSelection().selectAllChildren(say("watch"));
  say("copy").textContent = done ? "Copied" : "Selected: copy it";
  setTimeout(() => (say("copy").textContent = "Copy link"), 1500);
}

say("quality").replaceChildren(...QUALITIES.map(({ name, bitrate }, at) => new Option(`${name} · ${bitrate / 1e6} Mbit/s`, at)));
say("quality").value = 1;
say("plain").hidden = "BrowserToRtmpClient" in library; // which only the library has
say("name").textContent = decodeURIComponent(app); // what stands behind it may be the stream's key
show();
say("go").addEventListener("click", go);
say("pause").addEventListener("click", () => (state() === "paused" ? publisher.resume() : publisher.pause()));
say("mute").addEventListener("click", () => mute(!muted));
say("screen").addEventListener("click", share);
say("copy").addEventListener("click", copy);
devices.addEventListener("unshared", unshare);
for (const id of ["camera", "microphone", "quality"]) say(id).addEventListener("change", () => open());
addEventListener("beforeunload", (event) => onAir() && event.preventDefault());
if (!useless()) {
  say("screen").hidden = !navigator.mediaDevices.getDisplayMedia;
  navigator.mediaDevices.addEventListener?.("devicechange", list);
  setInterval(() => (say("level").value = devices.level()), 100);
  open(true);
} else say("controls").hidden = say("mute").hidden = true; // there is nothing to choose from
