/* The page of a stream's recordings: a calendar, the day as a line and as a list, and a player with thumbnails on its
 * bar. Names and numbers reach the page by textContent only. Whoever may watch the stream may have what stands here: the
 * arguments of this page's address, which may be a signature, are handed on with each question.
 */

const $ = (id) => document.getElementById(id);
const root = new URL("..", import.meta.url).pathname.replace(/\/$/, ""); // "" or what a proxy shows us below, such as /tv
const stream = location.pathname.slice(root.length).replace(/\/r\/?$/, "");
const base = `${root}${stream}/r/`;
const video = $("video");
const DAY = 86_400_000;
const PAGE = 500; // recordings that are asked for at a time
const PAGES = 20; // such questions for a day at most
const ROWS = 60; // of the list, until more are wanted
const GROWS = 5000; // ms between two looks at a day that goes on
const TURNS = 12; // such looks until all of it is read again, and with it what was deleted
const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zm8 0h4v14h-4z",
  sound: "M3 9v6h4l5 5V4L7 9zm13.5 3A4.5 4.5 0 0 0 14 8v8a4.5 4.5 0 0 0 2.5-4zM14 3.2v2.1a7 7 0 0 1 0 13.4v2.1a9 9 0 0 0 0-17.6z",
  mute: "M3 9v6h4l5 5V4L7 9zm18.3 1.1-1.4-1.4-2.4 2.4-2.4-2.4-1.4 1.4 2.4 2.4-2.4 2.4 1.4 1.4 2.4-2.4 2.4 2.4 1.4-1.4-2.4-2.4z",
  full: "M5 14H3v7h7v-2H5zm-2-4h2V5h5V3H3zm16 9h-5v2h7v-7h-2zM14 3v2h5v5h2V3z",
};

let month = null; // first ms of the month that is shown
let day = null; // first ms of the day that is shown
let items = []; // the day's recordings
let rows = ROWS;
let reach = { first: 0, last: 0 };
let playing = null; // the recording that plays
let session = ""; // the path of the session, up to `r/`
let hls = null;
let take = 0; // each question and each start has a number: late answers to an older one are ignored
let cut = [null, null];
let thumbs = { cues: [], sheets: new Map() };
let offset = 0; // the server's clock less ours, ms

/* -- asking */

class Refused extends Error {}

/** An address with the arguments of this page, and more of them. */
function withArguments(url, more = {}) {
  const said = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(more)) if (value !== null && value !== "") said.set(name, value);
  const text = said.toString();
  return text ? `${url}?${text}` : url;
}

async function ask(what, more) {
  const answer = await fetch(withArguments(base + what, more), { cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) throw new Refused(answer.status);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

/* -- times, as this browser's zone has them */

const startOfDay = (ms) => new Date(ms).setHours(0, 0, 0, 0);
const daysOn = (ms, count) => { const date = new Date(ms); return date.setDate(date.getDate() + count); };
const startOfMonth = (ms, on = 0) => { const date = new Date(ms); return new Date(date.getFullYear(), date.getMonth() + on, 1).getTime(); };
const two = (number) => String(number).padStart(2, "0");
const words = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "long", year: "numeric" });
const monthWords = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });

function clockOf(ms, seconds = true) {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${rest}` : rest.replace(/^0/, "");
}

function lasting(ms) {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1) return `${Math.round(ms / 1000)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function size(bytes) {
  const [number, unit] = bytes >= 1e9 ? [bytes / 1e9, "GB"] : [bytes / 1e6, "MB"];
  return `${number.toFixed(number < 10 ? 1 : 0)} ${unit}`;
}

/* -- what there is */

async function showMonth(at) {
  month = startOfMonth(at);
  const bounds = [];
  for (let one = month; one <= startOfMonth(month, 1); one = daysOn(one, 1)) bounds.push(one);
  const mine = ++showMonth.take;
  let told;
  try {
    told = await ask("days.json", { at: bounds.join(",") });
  } catch (error) {
    return nothing(error);
  }
  if (mine !== showMonth.take) return;
  reach = told;
  if (!told.last) return nothing(null);
  $("nothing").hidden = true;
  $("stage").hidden = false;
  $("month").textContent = monthWords.format(month);
  $("month-before").disabled = startOfMonth(told.first) >= month;
  $("month-after").disabled = startOfMonth(told.last) <= month;
  const cells = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"].map((name) => element("span", name));
  for (let empty = (new Date(month).getDay() + 6) % 7; empty > 0; empty -= 1) cells.push(element("span", ""));
  told.days.forEach(({ count, ms }, at) => cells.push(dayCell(bounds[at], count, ms)));
  $("calendar").replaceChildren(...cells);
}
showMonth.take = 0;

function dayCell(at, count, ms) {
  const cell = element("button", String(new Date(at).getDate()));
  cell.disabled = !count;
  cell.classList.toggle("some", count > 0);
  cell.classList.toggle("today", at === startOfDay(Date.now() + offset));
  cell.classList.toggle("now", at === day);
  cell.style.setProperty("--fill", `${6 + Math.round(20 * Math.min(1, ms / DAY))}px`);
  cell.title = count ? `${count === 1 ? "1 recording" : `${count} recordings`}, ${lasting(ms)}` : "";
  cell.setAttribute("aria-label", `${words.format(at)}${count ? `, ${cell.title}` : ""}`);
  cell.dataset.at = at;
  cell.addEventListener("click", () => showDay(at));
  return cell;
}

async function showDay(at, wanted = null) {
  day = startOfDay(at);
  rows = ROWS;
  $("day").textContent = words.format(day);
  $("day-before").disabled = startOfDay(reach.first) >= day;
  $("day-after").disabled = startOfDay(reach.last) <= day;
  for (const cell of $("calendar").querySelectorAll("button")) cell.classList.toggle("now", Number(cell.dataset.at) === day);
  await loadDay(wanted);
}

/** Reads the day, a page after the other: what is there is shown at once, whatever still comes. */
async function loadDay(wanted = null) {
  const mine = ++loadDay.take;
  const found = [];
  let cursor = "";
  for (let page = 0; page < PAGES; page += 1) {
    let told;
    try {
      told = await ask("list.json", { from: day, to: daysOn(day, 1), limit: PAGE, cursor });
    } catch (error) {
      return nothing(error);
    }
    if (mine !== loadDay.take) return;
    offset = told.now - Date.now();
    found.push(...told.items);
    items = found;
    drawDay();
    if (page === 0) begin(wanted);
    cursor = told.cursor;
    if (!cursor) break;
  }
  $("list-note").textContent = cursor ? "There are more than can be shown of this day." : "";
  loadDay.turns = 0;
  lookLater();
}
loadDay.take = 0;

const grows = (one) => one.state === "recording" || one.state === "finishing";

function lookLater() {
  clearTimeout(loadDay.timer);
  if (items.some(grows)) loadDay.timer = setTimeout(() => ((loadDay.turns += 1) % TURNS ? growDay() : loadDay()), GROWS);
}

/** Asks for what may have changed since: what was not finished, and what stands behind it. */
async function growDay() {
  const mine = ++loadDay.take;
  const from = Math.max(day, items.find(grows).start);
  let told;
  try {
    told = await ask("list.json", { from, to: daysOn(day, 1), limit: PAGE });
  } catch (error) {
    return nothing(error);
  }
  if (mine !== loadDay.take) return;
  if (told.cursor) return loadDay();
  offset = told.now - Date.now();
  const fresh = new Set(told.items.map((one) => one.id));
  const before = items.filter((one) => one.start + one.duration < from && !fresh.has(one.id));
  items = [...before, ...told.items].sort((one, other) => one.start - other.start);
  drawDay();
  lookLater();
}

function drawDay() {
  const length = daysOn(day, 1) - day;
  // One block for what follows without a gap, or thousands of short recordings would be thousands of blocks.
  const blocks = [];
  for (const one of items) {
    const last = blocks.at(-1);
    const end = one.start + one.duration;
    const same = last && one.start - last.end < length / 1000 && one.id !== playing?.id && last.first.id !== playing?.id && one.state !== "recording";
    if (same) last.end = Math.max(last.end, end);
    else blocks.push({ first: one, start: one.start, end });
  }
  const drawn = blocks.map(({ first, start, end }) => {
    const block = document.createElement("button");
    block.style.left = `${(100 * Math.max(0, start - day)) / length}%`;
    block.style.width = `${(100 * (Math.min(end, day + length) - Math.max(start, day))) / length}%`;
    block.title = `${clockOf(start)} – ${clockOf(end)}`;
    block.setAttribute("aria-label", block.title);
    block.classList.toggle("now", first.id === playing?.id);
    block.classList.toggle("open", first.state === "recording");
    block.addEventListener("click", (event) => {
      const box = $("hours").getBoundingClientRect();
      playAt(event.detail ? day + (length * (event.clientX - box.left)) / box.width : start);
    });
    return block;
  });
  const needle = document.createElement("i");
  needle.id = "needle";
  $("hours").replaceChildren(...drawn, needle);
  $("list").replaceChildren(...items.slice(0, rows).map(listed));
  $("more").hidden = items.length <= rows;
  $("more").textContent = `${items.length - rows} more`;
  tick();
}

function listed(one) {
  const row = document.createElement("button");
  row.classList.toggle("now", one.id === playing?.id);
  if (one.id === playing?.id) row.setAttribute("aria-current", "true");
  const state = one.state === "recording" ? element("small", "recording", "open") : element("small", one.state === "finishing" ? "finishing" : size(one.bytes));
  row.append(element("strong", clockOf(one.start)), element("small", lasting(one.duration)), state);
  row.addEventListener("click", () => play(one, 0));
  return row;
}

/** The recording of that moment plays, or the next one after it. */
function playAt(ms) {
  const there = items.filter((one) => one.start <= ms).at(-1);
  const one = there && ms < there.start + there.duration ? there : items.find((item) => item.start > ms) ?? there;
  if (one) play(one, Math.max(0, (ms - one.start) / 1000));
}

function nothing(error) {
  const refused = error instanceof Refused;
  if (error && !refused && !$("stage").hidden) {
    $("list-note").textContent = "The server does not answer. Trying again.";
    clearTimeout(loadDay.timer);
    loadDay.timer = setTimeout(() => loadDay(), GROWS);
    return;
  }
  $("stage").hidden = true;
  $("nothing").hidden = false;
  $("nothing-title").textContent = refused ? "You may not watch this" : error ? "The server does not answer" : "Nothing is recorded yet";
  $("nothing-text").textContent = refused ? "The link does not let you in. Ask for another one where you found it." : error ? "Trying again every few seconds." : "What is recorded of this stream will stand here.";
  if (!refused) setTimeout(start, GROWS);
}

/* -- playing */

function begin(wanted) {
  if (wanted) {
    const one = items.find((item) => item.id === wanted.id);
    if (one) return play(one, wanted.at);
  }
  if (!playing && items.length) show(items.at(-1));
}

/** It stands there, and plays when somebody says so. */
function show(one) {
  play(one, 0, false);
}

async function play(one, at, now = true) {
  if (one.id === playing?.id) {
    seek(at);
    if (now) video.play().catch(() => {});
    return;
  }
  const mine = ++take;
  const other = startOfDay(one.start) === day;
  playing = one;
  cut = [null, null];
  thumbs = { cues: [], sheets: new Map() };
  veil("", "", true);
  remember(at);
  describe();
  if (other) drawDay();
  if (one.format !== "mp4") return veil("This one cannot be played here", `It was recorded as ${one.format}, for other programs: download it.`);
  const url = await enter(one.id);
  if (mine !== take) return;
  if (!url) return;
  load(url, at, now);
  links();
  cues(mine);
}

/** The address of the playlist, below the session of before if that still holds. */
async function enter(id) {
  const tries = session ? [`${session}${id}.m3u8`, withArguments(`${base}${id}.m3u8`)] : [withArguments(`${base}${id}.m3u8`)];
  for (const url of tries) {
    let answer;
    try {
      answer = await fetch(url, { cache: "no-store" });
    } catch {
      veil("The server does not answer", "Choose it again in a moment.");
      return "";
    }
    if (answer.ok) {
      const found = new URL(answer.url);
      session = found.pathname.slice(0, found.pathname.lastIndexOf("/") + 1);
      return found.pathname;
    }
    if (url === tries.at(-1)) {
      const denied = answer.status === 401 || answer.status === 403;
      const full = answer.status === 429 || answer.status === 503;
      veil(denied ? "You may not watch this" : full ? "Too many at once" : "It is not there any more", denied ? "The link does not let you in." : full ? "Try again in a moment." : "It was deleted, or is of another stream.");
    }
  }
  return "";
}

function load(url, at, now) {
  hls?.destroy();
  hls = null;
  const begins = () => now && video.play().catch(() => { video.muted = true; video.play().catch(() => {}); });
  if (window.Hls?.isSupported()) {
    hls = new window.Hls({ startPosition: at, maxBufferLength: 30, backBufferLength: 60, liveSyncDuration: 1e9 });
    hls.on(window.Hls.Events.ERROR, (_, told) => {
      if (!told.fatal) return;
      if (told.type === window.Hls.ErrorTypes.MEDIA_ERROR && !hls.mended) {
        hls.mended = true;
        hls.recoverMediaError();
      } else if (told.details === "manifestIncompatibleCodecsError" || told.details === "bufferAddCodecError" || told.type === window.Hls.ErrorTypes.MEDIA_ERROR) veil("This browser cannot decode it", "For H.265 try Firefox, Safari or VLC; or download it.");
      else veil("It does not get through", "Choose it again in a moment.");
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  } else if (video.canPlayType("application/vnd.apple.mpegurl")) {
    video.src = url;
    video.addEventListener("loadedmetadata", () => (video.currentTime = at), { once: true });
  } else return veil("No way to play HLS here", "hls.js is not installed on the server; the recording can be downloaded.");
  begins();
}

function veil(text, hint = "", spins = false) {
  $("veil").classList.toggle("on", Boolean(text) || spins);
  $("spinner").hidden = !spins;
  $("veil-text").textContent = text;
  $("veil-hint").textContent = hint;
}

/** Seconds there are of what plays; of what is still being recorded, so far. */
function length() {
  if (Number.isFinite(video.duration)) return video.duration;
  return hls?.latestLevelDetails?.totalduration || (video.seekable.length ? video.seekable.end(video.seekable.length - 1) : 0);
}

function seek(at) {
  video.currentTime = Math.max(0, Math.min(at, Math.max(0, length() - 0.2)));
  tick();
}

function wall(at) {
  const date = hls?.playingDate;
  return date ? date.getTime() + (at - video.currentTime) * 1000 : playing.start + at * 1000;
}

function describe() {
  const one = items.find((item) => item.id === playing.id) ?? playing;
  $("name").textContent = `${stream.slice(1)} · ${words.format(one.start)}, ${clockOf(one.start)}`;
  $("facts").textContent = [lasting(one.duration), size(one.bytes), one.codecs.split(",").map((codec) => ({ avc1: "H.264", hvc1: "H.265", av01: "AV1", mp4a: "AAC" })[codec.trim().split(".")[0]]).filter(Boolean).join(" + ")].filter(Boolean).join(" · ");
  $("badge").hidden = one.state !== "recording";
}

function remember(at) {
  history.replaceState(null, "", `#${playing.id}${at >= 1 ? `,${Math.floor(at)}` : ""}`);
}

/* -- thumbnails: cues tell which picture is of when; sheets come when they are first wanted, and grow */

async function cues(mine) {
  const answer = await fetch(`${session}${playing.id}.vtt`).catch(() => null);
  if (!answer?.ok || mine !== take) return;
  const found = [];
  const pattern = /(\d+):(\d\d):(\d\d)\.(\d{3}) --> .*\n(.*)#xywh=(\d+),(\d+),(\d+),(\d+)/g;
  for (const [, h, m, s, ms, file, x, y] of (await answer.text()).matchAll(pattern)) {
    found.push({ at: h * 3600 + m * 60 + Number(s) + ms / 1000, file, x: Number(x), y: Number(y) });
  }
  if (mine === take) thumbs.cues = found;
}

async function sheet(file) {
  const { sheets } = thumbs;
  if (sheets.has(file)) return;
  const one = { url: "", made: 0 };
  sheets.set(file, one);
  for (let tries = 0; tries < 60 && thumbs.sheets === sheets; tries += 1) {
    const answer = await fetch(session + file, { cache: "no-cache" }).catch(() => null);
    if (answer?.ok) {
      const [made, of] = (answer.headers.get("hlsd-tiles") ?? "").split("/").map(Number);
      if (made > one.made) {
        const old = one.url;
        one.url = URL.createObjectURL(await answer.blob());
        one.made = made;
        thumb();
        if (old) URL.revokeObjectURL(old);
      }
      if (made >= of) return;
    } else if (answer?.status !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

let pointed = null; // seconds under the pointer

function thumb() {
  if (pointed === null) return;
  const cue = thumbs.cues.filter((one) => one.at <= pointed + 0.01).at(-1);
  const place = $("thumb");
  const there = cue && thumbs.sheets.get(cue.file);
  const shown = Boolean(there?.url) && (cue.y / 90) * 10 + cue.x / 160 < there.made;
  place.classList.toggle("none", !shown);
  place.style.backgroundImage = shown ? `url("${there.url}")` : "none";
  if (cue) place.style.backgroundPosition = `-${cue.x}px -${cue.y}px`;
  if (cue && !there) sheet(cue.file);
}

function point(event) {
  const box = $("seek").getBoundingClientRect();
  const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  pointed = share * length();
  $("preview").hidden = false;
  const half = ($("preview").offsetWidth || 168) / 2;
  $("preview").style.left = `${Math.max(half, Math.min(box.width - half, share * box.width))}px`;
  $("preview-time").textContent = playing ? `${span(pointed)} · ${clockOf(wall(pointed))}` : span(pointed);
  thumb();
}

/* -- the bar and its buttons */

function tick() {
  const whole = length();
  const at = Math.min(video.currentTime, whole || Infinity);
  const share = (seconds) => `${whole ? (100 * Math.max(0, Math.min(seconds, whole))) / whole : 0}%`;
  $("done").style.width = share(at);
  $("knob").style.left = share(at);
  let ahead = at;
  for (let i = 0; i < video.buffered.length; i += 1) if (video.buffered.start(i) <= at + 0.2) ahead = Math.max(ahead, video.buffered.end(i));
  $("ahead").style.width = share(ahead);
  const [from, to] = cut;
  $("cut").style.left = share(from ?? 0);
  $("cut").style.width = from === null && to === null ? "0" : `${whole ? (100 * ((to ?? whole) - (from ?? 0))) / whole : 0}%`;
  $("time").textContent = `${span(at)} / ${span(whole)}`;
  $("clock").textContent = playing ? clockOf(wall(at)) : "";
  const bar = $("seek");
  bar.setAttribute("aria-valuemax", Math.round(whole));
  bar.setAttribute("aria-valuenow", Math.round(at));
  bar.setAttribute("aria-valuetext", $("time").textContent);
  $("from-time").textContent = span(from ?? 0);
  $("to-time").textContent = span(to ?? whole);
  const needle = $("needle");
  if (needle && playing) {
    const where = (wall(at) - day) / (daysOn(day, 1) - day);
    needle.hidden = where < 0 || where > 1;
    needle.style.left = `${100 * where}%`;
  }
}

function links() {
  if (!playing || !session) return;
  const file = `${session}${playing.id}.${playing.format}`;
  $("download").href = file;
  const [from, to] = cut;
  const part = new URLSearchParams();
  if (from !== null) part.set("from", from.toFixed(2));
  if (to !== null) part.set("to", to.toFixed(2));
  const chosen = from !== null || to !== null;
  $("cut-download").href = chosen ? `${file}?${part}` : file;
  for (const id of ["cut-download", "cut-copy", "cut-clear"]) $(id).setAttribute("aria-disabled", String(!chosen));
  $("cut-copy").dataset.url = `${location.origin}${withArguments(`${base}${playing.id}.${playing.format}`, Object.fromEntries(part))}`;
}

function mark(which) {
  cut[which] = video.currentTime;
  if (cut[0] !== null && cut[1] !== null && cut[1] <= cut[0]) cut[1 - which] = null;
  links();
  tick();
}

function toggle() {
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}

function icon(id, name) {
  const button = $(id);
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  made.append(path);
  button.replaceChildren(made);
}

function faces() {
  icon("play", video.paused ? "play" : "pause");
  $("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
  icon("mute", video.muted || !video.volume ? "mute" : "sound");
  icon("full", "full");
}

let still; // timer after which the bar goes

function wake() {
  $("screen").classList.remove("idle");
  clearTimeout(still);
  still = setTimeout(() => $("screen").classList.toggle("idle", !video.paused && pointed === null), 2500);
}

function whole() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if ($("screen").requestFullscreen) $("screen").requestFullscreen();
  else video.webkitEnterFullscreen?.(); // phones of Apple show nothing but a picture so
}

function beside(step) {
  const at = items.findIndex((one) => one.id === playing?.id);
  const one = items[at + step];
  if (one) play(one, 0);
}

function faster(step) {
  const options = [...$("speed").options].map((option) => option.value);
  const at = Math.max(0, Math.min(options.length - 1, options.indexOf($("speed").value) + step));
  $("speed").value = options[at];
  video.playbackRate = Number(options[at]);
}

const KEYS = {
  " ": toggle, k: toggle, K: toggle,
  ArrowLeft: () => seek(video.currentTime - 5), ArrowRight: () => seek(video.currentTime + 5),
  j: () => seek(video.currentTime - 10), l: () => seek(video.currentTime + 10),
  ",": () => { video.pause(); seek(video.currentTime - 1 / 25); }, ".": () => { video.pause(); seek(video.currentTime + 1 / 25); },
  "<": () => faster(-1), ">": () => faster(1),
  Home: () => seek(0), End: () => seek(length()),
  m: () => (video.muted = !video.muted), f: whole,
  i: () => mark(0), o: () => mark(1), n: () => beside(1), p: () => beside(-1),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !playing) return;
  const on = event.target.tagName;
  if (on === "SELECT" || on === "INPUT" || ((on === "BUTTON" || on === "A" || on === "SUMMARY") && (event.key === " " || event.key === "Enter"))) return;
  const does = /^[0-9]$/.test(event.key) ? () => seek((length() * Number(event.key)) / 10) : KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  wake();
  does();
});

for (const name of ["play", "pause", "volumechange"]) video.addEventListener(name, () => { faces(); wake(); });
for (const name of ["timeupdate", "durationchange", "progress", "seeking"]) video.addEventListener(name, tick);
video.addEventListener("waiting", () => veil("", "", true));
for (const name of ["playing", "canplay", "seeked"]) video.addEventListener(name, () => veil(""));
video.addEventListener("pause", () => playing && remember(video.currentTime));
video.addEventListener("ended", () => {
  const at = items.findIndex((one) => one.id === playing?.id);
  const next = items[at + 1];
  if (at >= 0 && next && next.start - (items[at].start + items[at].duration) < 5000) play(next, 0); // it goes on in the next file
});
video.addEventListener("click", toggle);
$("screen").addEventListener("pointermove", wake);
$("play").addEventListener("click", toggle);
$("back").addEventListener("click", () => seek(video.currentTime - 10));
$("forth").addEventListener("click", () => seek(video.currentTime + 10));
$("mute").addEventListener("click", () => (video.muted = !video.muted));
$("full").addEventListener("click", whole);
$("speed").addEventListener("change", () => (video.playbackRate = Number($("speed").value)));
$("cut-from").addEventListener("click", () => mark(0));
$("cut-to").addEventListener("click", () => mark(1));
$("cut-clear").addEventListener("click", () => { cut = [null, null]; links(); tick(); });
$("cut-copy").addEventListener("click", async () => {
  const said = await navigator.clipboard?.writeText($("cut-copy").dataset.url).then(() => "Copied", () => "");
  if (!said) return prompt("Link of this part", $("cut-copy").dataset.url); // without https there is no clipboard
  $("cut-copy").textContent = said;
  setTimeout(() => ($("cut-copy").textContent = "Copy link"), 1500);
});
$("month-before").addEventListener("click", () => showMonth(startOfMonth(month, -1)));
$("month-after").addEventListener("click", () => showMonth(startOfMonth(month, 1)));
$("day-before").addEventListener("click", () => step(-1));
$("day-after").addEventListener("click", () => step(1));
$("more").addEventListener("click", () => { rows += 10 * ROWS; drawDay(); });

const bar = $("seek");
let held = false;
bar.addEventListener("pointerdown", (event) => { held = true; bar.setPointerCapture(event.pointerId); point(event); });
bar.addEventListener("pointermove", point);
bar.addEventListener("pointerup", (event) => { if (held) { point(event); seek(pointed); } held = false; if (event.pointerType !== "mouse") away(); });
bar.addEventListener("pointerleave", () => !held && away());

function away() {
  pointed = null;
  $("preview").hidden = true;
}

async function step(by) {
  const at = daysOn(day, by);
  if (startOfMonth(at) !== month) await showMonth(at);
  showDay(at);
}

function element(tag, text, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

/* -- the beginning: the recording that the address names, or the last day of which there is one */

async function start() {
  $("live").href = withArguments(root + stream);
  document.title = `Recordings of ${stream.slice(1)} – hlsd`;
  const [, id, at] = /^#([0-9a-f]{16})(?:,(\d{1,7}))?$/.exec(location.hash) ?? [];
  const named = id ? parseInt(id.slice(0, 11), 16) : 0; // an id begins with when its recording did, ms of the epoch
  if (!reach.last) await showMonth(named || Date.now());
  if (!reach.last) return;
  const when = named || reach.last;
  if (startOfMonth(when) !== month) await showMonth(when);
  await showDay(when, id ? { id, at: Number(at ?? 0) } : null);
}

window.hlsd = { video, get hls() { return hls; }, get items() { return items; }, get playing() { return playing; } };
faces();
links();
start();
