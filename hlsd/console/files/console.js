/* The console: who is signed in, which view is shown, and when it is asked for again. */

import { base, forget, get, keep, Refused, token } from "./api.js";
import { bits, bytes, fill, h, say, span } from "./dom.js";
import { events } from "./events.js";
import { jobs } from "./jobs.js";
import { records } from "./records.js";
import { relays } from "./relays.js";
import { settings } from "./settings.js";
import { stream } from "./stream.js";
import { streams } from "./streams.js";
import { viewers } from "./viewers.js";
import { webhooks } from "./webhooks.js";

const VIEWS = { streams, viewers, events, relays, recordings: records, jobs, webhooks, settings };
const TITLES = { streams: "Streams", viewers: "Viewers", events: "Events", relays: "Relays", recordings: "Recordings", jobs: "Jobs", webhooks: "Webhooks", settings: "Settings" };
const place = document.getElementById("view");
const nav = document.getElementById("nav");
const node = document.getElementById("node");
const leave = document.getElementById("leave");
let shown = null; // what ends the view that is shown
let looking = null; // what ends the look at this server

/** A view is a function of (place, path, signal) that draws, and may return what is to be done again every so often. */
function show() {
  shown?.abort();
  const ending = (shown = new AbortController());
  const [name, ...path] = steps(location.hash);
  const known = Object.hasOwn(VIEWS, name);
  const view = name === "stream" ? stream : known ? VIEWS[name] : streams;
  const current = known ? name : "streams";
  for (const link of nav.children) {
    if (link.dataset.view === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name === "stream" ? path.join("/") : TITLES[current]} – hlsd`;
  fill(place);
  run(() => view(place, path, ending.signal), ending.signal);
}

/** The parts of `#/stream/app/name`; none of what is no such address. */
function steps(hash) {
  try {
    return hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

async function run(work, signal) {
  try {
    const again = await work();
    if (again) repeat(again.every, again.turn, signal);
  } catch (error) {
    fault(error, signal);
    if (!signal.aborted && error.status !== 401) setTimeout(() => signal.aborted || run(work, signal), 4000);
  }
}

function repeat(every, turn, signal) {
  const next = () =>
    setTimeout(async () => {
      if (signal.aborted) return;
      if (!document.hidden) {
        try {
          await turn();
        } catch (error) {
          fault(error, signal);
        }
      }
      if (!signal.aborted) next();
    }, every);
  next();
}

function fault(error, signal) {
  if (signal.aborted || error.name === "AbortError") return;
  if (error instanceof Refused && error.status === 401) {
    forget();
    door(error.message);
  } else say(error.message);
}

// --- this server

let before = null;

async function look(signal) {
  const now = await get("/server", {}, signal);
  const at = performance.now();
  const passed = before ? (at - before.at) / 1000 : 0;
  const rate = (key) => (passed ? Math.max(0, now[key] - before.now[key]) / passed : 0);
  const pairs = [
    [String(now.publishers), now.publishers === 1 ? "publisher" : "publishers"],
    [String(now.sessions), now.sessions === 1 ? "viewer" : "viewers"],
    [passed ? bits(rate("outbytes") * 8) : "…", "to viewers"],
    [passed ? `${Math.round(rate("cpu_seconds") * 100)} %` : "…", "of a core"],
    [bytes(now.rss_bytes), "memory"],
    [span(now.uptime_ms), now.draining ? "up, draining" : "up"],
    [now.id, `hlsd ${now.version}`],
  ];
  before = { at, now };
  fill(node, pairs.map(([value, words]) => h("div", { class: "fact" }, h("b", {}, value), h("span", {}, words))));
}

// --- the door

function door(words = "") {
  shown?.abort();
  looking?.abort();
  nav.hidden = node.hidden = leave.hidden = true;
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const told = h("p", { class: "note", role: "alert" }, words);
  const form = h(
    "form", { class: "panel door", onsubmit: (event) => (event.preventDefault(), enter(field.value.trim(), told)) },
    h("h1", {}, "Console"),
    h("p", {}, "Give a token of the API: ", h("code", {}, "api.token"), " or one of ", h("code", {}, "api.tokens"),
      " of the configuration. On the server itself ", h("code", {}, "hlsd console"), " prints an address that needs none."),
    h("label", {}, "Token", field), told, h("div", { class: "row end" }, h("button", {}, "Sign in")),
  );
  fill(place, form);
  document.title = "Sign in – hlsd";
  field.focus();
}

async function enter(value, told) {
  keep(value);
  try {
    await get("/server");
  } catch (error) {
    forget();
    told.textContent = error.message;
    return;
  }
  begin();
}

function begin() {
  nav.hidden = node.hidden = leave.hidden = false;
  before = null;
  looking?.abort();
  const { signal } = (looking = new AbortController());
  leave.onclick = () => (forget(), door());
  run(async () => (await look(signal), { every: 3000, turn: () => look(signal) }), signal);
  show();
}

fill(nav, Object.keys(VIEWS).map((name) => h("a", { href: `#/${name}`, "data-view": name }, TITLES[name])));
// `hlsd console` hands its token on behind the hash, which no server and no proxy is told.
function handed() {
  const given = /^#token=([^&]+)$/.exec(location.hash);
  if (!given) return false;
  keep(given[1].replace(/%([0-9A-Fa-f]{2})/g, (_, code) => String.fromCharCode(parseInt(code, 16))));
  history.replaceState(null, "", `${base}/console#/streams`);
  return true;
}
window.addEventListener("hashchange", () => (handed() ? begin() : token() && show()));
if (handed() || token()) begin();
else door();
