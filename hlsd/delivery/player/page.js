/* The two pages: `/` lists the live streams and plays the first, `/{app}/{stream}` plays that one.
 * Names and numbers reach the page by textContent only.
 */

import { LivePlayer } from "./player.js";
import { Controls, wishes } from "./controls.js";
import { Timeline, clock as hours } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const meta = document.querySelector("meta[name=hlsd]").dataset;
const root = new URL("..", import.meta.url).pathname.replace(/\/$/, ""); // "" or what a proxy shows us below, such as /tv
const here = location.pathname.slice(root.length).replace(/\/$/, "");
const own = here === "" ? null : here;
const clock = { offset: 0, trip: Infinity };
const history = { latency: [], buffer: [] };
let streams = [];
let listed = true;
const wished = own ? wishes(location.hash) : { pop: false, moment: null }; // on the first page `#` names a stream
const NEXT = 15000; // ms behind the moment of a link from which on it is another one
const SAID = 12000; // ms for which a note is there
let noted = 0;
let current = null; // the path that plays, such as /live/cam
let known = ""; // codecs and beginning of what plays
let rate = { at: performance.now(), frames: 0, fps: null };

const player = new LivePlayer($("video"), { root, hlsJs: meta.hlsJs, mpegtsJs: meta.mpegtsJs, serverNow: () => Date.now() + clock.offset });
const timeline = new Timeline($("timeline"), player);
const controls = new Controls(player, { page: () => current && `${location.origin}${root}${current}`, tell: note });
window.hlsd = { player, timeline, controls, get hls() { return player.hls; }, stats: () => player.stats() };

/* -- what is live */

async function refresh() {
  try {
    const sent = Date.now();
    const answer = await fetch(`${root}/streams.json`, { cache: "no-store" });
    const got = Date.now();
    const list = await answer.json();
    // The server's clock, by the quickest answer of late: it spoke about half way between asking and hearing.
    clock.trip *= 1.05;
    if (got - sent <= clock.trip) {
      clock.trip = got - sent;
      clock.offset = list.now * 1000 - (sent + got) / 2;
    }
    streams = list.streams;
    listed = list.listed;
    show();
  } catch {
    $("count").textContent = "server unreachable";
  }
  setTimeout(refresh, player.state === "refused" ? 20000 : current ? 4000 : 1500);
}

/** Whether it is the path of a stream: an address may come from anywhere, and `//host/x` would be another server's. */
function isPath(text) {
  return /^(\/[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}){2}$/.test(text) && !text.includes("..");
}

function choose() {
  if (own) return own;
  const wanted = location.hash.slice(1);
  if (isPath(wanted)) return wanted;
  if (current && streams.some((stream) => stream.path === current)) return current;
  return (streams.find((stream) => stream.publishing) ?? streams[0])?.path ?? null;
}

function show() {
  const live = streams.filter((stream) => stream.publishing).length;
  $("count").textContent = listed ? (live === 1 ? "1 live stream" : `${live} live streams`) : "";
  const path = choose();
  $("empty").hidden = path !== null;
  $("stage").hidden = path === null;
  if (path !== current) {
    current = path;
    if (path) tune(path);
  }
  $("others").hidden = streams.length === 0 || (streams.length === 1 && own === streams[0].path);
  $("cards").replaceChildren(...streams.map(card));
  const mine = streams.find((stream) => stream.path === current);
  $("facts").textContent = mine ? describe(mine, true) : "";
  const sent = mine ? `${mine.codecs} ${mine.since}` : known;
  if (known && sent !== known && player.state === "unsupported") player.play(current, way()); // another codec may do
  known = sent;
  $("screen").classList.toggle("audio", Boolean(mine?.codecs) && !mine.width);
}

function describe(stream, long) {
  const facts = [];
  if (stream.width) facts.push(`${stream.width}×${stream.height}`);
  if (stream.frame_rate) facts.push(`${+stream.frame_rate.toFixed(2)} fps`);
  if (stream.bitrate) facts.push(bits(stream.bitrate));
  const names = stream.codecs.split(",").map(codecName).filter(Boolean);
  if (long && names.length) facts.push(names.join(" + "));
  const age = (Date.now() + clock.offset) / 1000 - stream.since;
  facts.push(stream.publishing ? `live for ${span(age)}` : "publisher away");
  return facts.join(" · ");
}

function codecName(codec) {
  const kind = codec.trim().split(".")[0];
  return { avc1: "H.264", hvc1: "H.265", av01: "AV1", mp4a: "AAC" }[kind] ?? kind;
}

function card(stream) {
  const link = document.createElement("a");
  link.className = "card";
  link.classList.toggle("now", stream.path === current);
  link.classList.toggle("off", !stream.publishing);
  link.href = root + stream.path;
  link.append(element("strong", stream.path.slice(1)), element("small", describe(stream, false)));
  link.addEventListener("click", (event) => {
    if (own || event.metaKey || event.ctrlKey || event.button) return;
    event.preventDefault();
    location.hash = stream.path;
  });
  return link;
}

function tune(path) {
  known = "";
  const name = path.slice(1);
  $("name").textContent = name;
  document.title = `${name} – hlsd`;
  const url = `${location.origin}${root}${path}`;
  copyable("url-hls", `${url}.m3u8`);
  copyable("url-page", url);
  copyable("url-ffplay", `ffplay ${url}.m3u8`);
  copyable("url-vlc", `vlc ${url}.m3u8`);
  copyable("url-flv", `${url}.flv`);
  copyable("url-whep", `${url}/whep`);
  copyable("url-rtmp", `rtmp://${location.hostname}${meta.rtmpPort === "1935" ? "" : `:${meta.rtmpPort}`}${path}`);
  $("recordings").href = `${root}${path}/r${location.search}`;
  start(path);
}

function start(path) {
  history.latency.length = history.buffer.length = 0;
  $("note").hidden = true;
  player.play(path, way(), own ? wished.moment : null);
}

/** Says something over the picture: for a while; or, if it goes on, until something else begins or it is clicked away. */
function note(text, goesOn = false) {
  clearTimeout(noted);
  $("note").textContent = text;
  $("note").hidden = false;
  if (!goesOn) noted = setTimeout(() => ($("note").hidden = true), SAID);
}

/* -- which way it comes: `?way=flv`, and a selector that tells the latency each way had here last */

const WAYS = { hls: "HLS", flv: "HTTP-FLV", wsflv: "WebSocket-FLV", whep: "WebRTC" };
const reached = {};

function way() {
  return $("way").value;
}

function tell(latency) {
  if (latency !== null) reached[player.way] = latency;
  for (const option of $("way").options) {
    const seen = reached[option.value];
    const text = WAYS[option.value] + (seen === undefined ? "" : ` · ${seen.toFixed(seen < 1 ? 2 : 1)} s`);
    if (option.textContent !== text) option.textContent = text;
  }
}

/* -- how it plays */

const WORDS = {
  waiting: {
    "": ["Waiting for the stream", "It is not live now. Playback begins by itself when it is."],
    over: ["The stream has ended", "If it comes back, playback goes on by itself."],
    ended: ["The stream has ended", "If it comes back, playback goes on by itself."],
    server: ["The server does not answer", "Trying again every few seconds."],
    network: ["Connection lost", "Trying again."],
    frozen: ["Starting again", "Nothing has moved for a while."],
    "media error": ["Starting again", "The browser could not decode what came."],
    broken: ["The stream does not get through", "Three tries in a row have failed. Trying again every few seconds."],
  },
  refused: {
    denied: ["You may not watch this", "The link does not let you in. Ask for another one where you found it."],
    expired: ["This link has expired", "Ask for a new one where you found it."],
    banned: ["You were sent away", "Whoever runs this server does not let you watch this stream for now."],
    address: ["This link is in use elsewhere", "It is being watched with from another network."],
    limit: ["Too many at once", "No more may watch by this link, or from where you are. It begins by itself when one has gone."],
    full: ["The server is full", "More viewers than these it does not take. It begins by itself when there is room."],
    bad: ["This link is not right", "The server cannot make sense of it. Perhaps something is missing at its end."],
  },
  starting: { "": ["Tuning in", ""] },
  blocked: { "": ["Press play", "This browser begins only after a click."] },
  unsupported: {
    codec: ["This browser cannot decode the stream", "For H.265 try Firefox, Safari or VLC; for AV1 Chrome or Firefox, by HLS."],
    "no hls.js": [
      "No way to play HLS here",
      "This browser has no HLS of its own, and hls.js is not installed on the server (npm ci in its folder web).",
    ],
    "no mpegts.js": ["No way to play FLV here", "mpegts.js is not installed on the server (npm ci in its folder web)."],
    "no MSE": ["No way to play HLS here", "This browser has neither HLS nor Media Source Extensions."],
  },
};

const LATER = ["limit", "full"]; // refusals that end by themselves
const AWAY = 2000; // ms without a picture before the page says why

function words() {
  const { state, reason, stallBegan, video } = player;
  if (state === "stalled" && stallBegan && performance.now() - stallBegan > AWAY) {
    const mine = streams.find((stream) => stream.path === current);
    return mine && !mine.publishing
      ? ["The publisher is away", "Playback goes on by itself when it is back."]
      : ["Waiting for pictures", "Nothing new has come for a moment."];
  }
  if (state === "starting" && video.currentTime > 0) return ["", ""];
  return WORDS[state]?.[reason] ?? ["", ""];
}

function veil() {
  const [text, hint] = words();
  $("veil").classList.toggle("on", Boolean(text));
  $("veil").classList.toggle("solid", player.state === "refused" || player.state === "unsupported");
  if (text) {
    $("veil-text").textContent = text;
    $("veil-hint").textContent = hint;
  }
  const { state, reason } = player;
  const stopped = state === "refused" && !LATER.includes(reason);
  $("spinner").hidden = stopped || state === "unsupported" || state === "blocked";
  $("again").hidden = !stopped;
}

player.addEventListener("state", () => {
  const { state } = player;
  const plays = state === "playing" || state === "stalled";
  const live = plays && player.behind === null;
  $("badge").classList.toggle("live", live);
  $("badge").textContent = live ? "live" : plays ? "recorded" : { starting: "starting", waiting: "offline", refused: "no entry" }[state] ?? "stopped";
  veil();
  sound();
});

/* A way that shows nothing has given way to another one. */
player.addEventListener("way", () => {
  $("way").value = player.way;
  note(`${WAYS[player.passed]} does not get through from here; something on the way may hold it back. Now by ${WAYS[player.way]}.`, true);
});

/* A moment that somebody's link named. */
player.addEventListener("gone", () => note("That moment is not kept any more. This is live."));
player.addEventListener("state", () => {
  if (player.state !== "playing" || wished.moment === null) return;
  const date = player.behind === null ? null : player.pictureDate();
  if (date !== null && date - wished.moment > NEXT) note("That moment is not kept any more. This is what comes next.");
  wished.moment = null; // once
});

function measure() {
  const stats = player.stats();
  const playing = stats.state === "playing" || stats.state === "stalled";
  const now = performance.now();
  if (stats.decoded !== null && now - rate.at >= 1900) {
    const fps = ((stats.decoded - rate.frames) * 1000) / (now - rate.at);
    rate = { at: now, frames: stats.decoded, fps: fps > 0 && fps < 500 ? fps : null };
  }
  const late = stats.latency !== null && stats.latency >= 100 ? hours(stats.latency) : `${stats.latency?.toFixed(2)} s`;
  tile("latency", playing && stats.latency !== null ? late : "–");
  tile("buffer", playing ? `${stats.buffer.toFixed(2)} s` : "–");
  tile("picture", stats.width ? `${stats.width}×${stats.height}` : playing ? "sound only" : "–", rate.fps && playing ? `picture · ${Math.round(rate.fps)} fps` : "picture");
  tile("bitrate", stats.bitrate ? bits(stats.bitrate) : "–");
  tile("dropped", stats.decoded ? `${stats.dropped}` : "–", stats.decoded ? `dropped of ${stats.decoded}` : "dropped frames", stats.dropped > 0.02 * stats.decoded);
  tile("stalls", `${stats.stalls}`, stats.stalled > 0.05 ? `stalls · ${stats.stalled.toFixed(1)} s` : "stalls", stats.state === "stalled");
  tile("speed", playing ? `${stats.rate.toFixed(2)}×` : "–");
  const [engine, version] = stats.engine.split(" ");
  tile("engine", engine === "native" ? "browser" : engine || "–", version ? `player · ${version}` : "player");
  tell(playing && player.behind === null ? stats.latency : null);
  curve("latency", playing ? stats.latency : null);
  curve("buffer", playing ? stats.buffer : null);
  const behind = stats.target !== null && stats.latency !== null && stats.latency > stats.target + 6;
  veil();
  $("golive").hidden = !(playing && player.behind === null && (behind || player.video.paused));
}

function tile(id, value, label, warn = false) {
  const [bold, small] = $(`t-${id}`).children;
  bold.textContent = value;
  if (label) small.textContent = label;
  $(`t-${id}`).classList.toggle("warn", warn);
}

function curve(id, value) {
  const points = history[id];
  points.push(value);
  if (points.length > 120) points.shift();
  const top = Math.max(1, ...points) * 1.15;
  const drawn = points.map((point, i) => (point === null ? null : `${120 - points.length + i + 1},${(30 - (28 * point) / top).toFixed(2)}`));
  $(`t-${id}`).querySelector("polyline").setAttribute("points", drawn.filter(Boolean).join(" "));
}

/* -- small things */

function sound() {
  $("unmute").hidden = !(player.video.muted && player.state === "playing");
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function bits(rate) {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(rate >= 1e7 ? 0 : 1)} Mbit/s` : `${Math.round(rate / 1e3)} kbit/s`;
}

function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function copyable(id, text) {
  const box = $(id);
  box.hidden = !text;
  if (!box.firstChild) {
    const input = document.createElement("input");
    input.readOnly = true;
    input.setAttribute("aria-label", box.dataset.label ?? id);
    input.addEventListener("focus", () => input.select());
    const button = element("button", "Copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(input.value); // only on https and localhost
      } catch {
        input.select();
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1200);
    });
    if (box.dataset.label) box.append(element("label", box.dataset.label));
    box.append(input, button);
  }
  box.querySelector("input").value = text;
}

const rtmp = `rtmp://${location.hostname}${meta.rtmpPort === "1935" ? "" : `:${meta.rtmpPort}`}/live`;
copyable("push-ffmpeg", `ffmpeg -re -stream_loop -1 -i video.mp4 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -c:a aac -f flv ${rtmp}/cam`);
copyable("push-test", `ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=440 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -c:a aac -f flv ${rtmp}/cam`);
copyable("push-server", rtmp);
copyable("push-key", "cam");
$("unmute").addEventListener("click", () => { player.video.muted = false; sound(); });
$("note").addEventListener("click", () => ($("note").hidden = true));
$("again").addEventListener("click", () => current && start(current));
$("golive").addEventListener("click", () => player.goLive());
player.video.addEventListener("volumechange", sound);
addEventListener("hashchange", show);
$("share-box").addEventListener("fill", () => {
  for (const box of $("share-box").querySelectorAll(".copy")) copyable(box.id, box.dataset.text);
});
document.body.classList.toggle("own", Boolean(own));
document.body.classList.toggle("bare", wished.pop);
const asked = new URLSearchParams(location.search).get("way");
if (!("RTCPeerConnection" in window)) $("way").querySelector("[value=whep]").remove();
if (asked in WAYS) $("way").value = asked;
if (!$("way").value) $("way").value = "hls";
$("way").addEventListener("change", () => current && start(current));
if (own) show();
refresh();
setInterval(measure, 500);
