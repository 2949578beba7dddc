/* The page of films: uploads that go on after a cut, the list of jobs, a player. Whatever a stranger may have named
 * reaches the page by textContent only. The token is kept by this tab, and sent to this server's API alone.
 */

const $ = (id) => document.getElementById(id);
const root = new URL("..", import.meta.url).pathname.replace(/\/$/, ""); // "" or what a proxy shows us below, such as /tv
const api = `${root}/api/v1`;
const PIECE = 8 << 20; // bytes of an upload that are sent at a time
const PAUSES = [1, 2, 5, 10, 20, 30]; // seconds before an upload goes on, by how often in a row it was cut off
const LOOK = 1500; // ms between two looks at jobs that are not over
const OVER = new Set(["done", "failed", "cancelled"]);
const KEY = "hlsd-console-token"; // the console's: who came in there, in this tab, is in here too

let hls = null;
let sending = null; // the upload under way: {file, paused}
let timer = 0;

class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

/** A question to the API; the answer as it came. Throws Refused. */
async function ask(method, path, { headers = {}, body } = {}) {
  const token = sessionStorage.getItem(KEY) ?? "";
  const answer = await fetch(`${api}/${path}`, {
    method, body, cache: "no-store", headers: { authorization: `Bearer ${token}`, ...headers },
  });
  if (answer.ok) return answer;
  let said = {};
  try {
    said = await answer.json();
  } catch { /* no words: the status says it */ }
  throw new Refused(answer.status, said.message || `status ${answer.status}`);
}

/* -- the way in */

async function enter() {
  try {
    await show();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    sessionStorage.removeItem(KEY);
    $("door").hidden = false;
    $("room").hidden = true;
    $("door-note").textContent = error.status === 404 ? "This server makes no films: vod.enabled is off." : error.message;
    return;
  }
  $("door").hidden = true;
  $("room").hidden = false;
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  enter();
});

/* -- the list */

async function show() {
  clearTimeout(timer);
  const { data } = await (await ask("GET", "jobs?limit=100")).json();
  $("list").replaceChildren(...data.items.map(card));
  $("note").textContent = data.items.length ? "" : "There are no films yet.";
  const busy = data.items.some((job) => !OVER.has(job.state));
  timer = setTimeout(() => show().catch(later), busy ? LOOK : 10 * LOOK);
}

function later(error) {
  $("note").textContent = error.message;
  timer = setTimeout(() => show().catch(later), 4 * LOOK);
}

function card(job) {
  const item = element("li", "");
  item.className = "panel";
  item.dataset.id = job.id;
  item.dataset.state = job.state;
  const picture = element("img", "");
  picture.alt = "";
  if (job.places?.covers.length) picture.src = `${root}${job.places.covers[0]}`;
  const words = element("div", "");
  const title = element("div", job.title || job.source);
  title.className = "title";
  words.append(title, element("div", state(job)));
  const covers = element("div", "");
  covers.className = "covers";
  for (const path of job.places?.covers.slice(1) ?? []) {
    const cover = element("img", "");
    cover.alt = "";
    cover.loading = "lazy";
    cover.src = `${root}${path}`;
    covers.append(cover);
  }
  if (covers.children.length) words.append(covers);
  if (!OVER.has(job.state)) {
    const bar = element("progress", "");
    bar.max = 100;
    bar.value = job.percent;
    words.append(bar);
  }
  const buttons = element("div", "");
  if (job.places) {
    buttons.append(button("Play", () => play(job)));
    for (const [name, path] of Object.entries(job.places.files)) {
      const link = element("a", name);
      link.className = "chip soft";
      link.href = `${root}${path}`;
      link.download = "";
      buttons.append(" ", link);
    }
  }
  buttons.append(" ", button(OVER.has(job.state) ? "Delete" : "Cancel", () => remove(job)));
  item.append(picture, words, buttons);
  return item;
}

function state(job) {
  if (job.state === "done") {
    const made = job.renditions.map((one) => (one.width ? `${one.name} ${one.width}×${one.height}` : one.name)).join(", ");
    const without = job.left_out.map((one) => `; without sound ${one.title || one.language || one.stream}: ${one.reason}`).join("");
    return `${Math.round(job.duration_ms / 1000)} s, ${made}${job.damaged ? ", damaged" : ""}${without}`;
  }
  if (job.state !== "running") return job.error ? `${job.state}: ${job.error}` : job.state;
  const left = job.eta ? `, ${Math.ceil(job.eta)} s left` : "";
  return `${job.step} ${job.percent.toFixed(0)} %${job.speed ? `, ${job.speed.toFixed(1)}×` : ""}${left}`;
}

function element(name, text) {
  const one = document.createElement(name);
  one.textContent = text;
  return one;
}

function button(text, act) {
  const one = element("button", text);
  one.className = "chip soft";
  one.addEventListener("click", act);
  return one;
}

async function remove(job) {
  if (OVER.has(job.state) && !confirm(`Delete ${job.title || job.id} for ever?`)) return;
  try {
    await ask("DELETE", `jobs/${job.id}`);
    await show();
  } catch (error) {
    $("note").textContent = error.message;
  }
}

/* -- the player */

function play(job) {
  const video = $("video");
  const url = `${root}${job.places.playlist}`;
  hls?.destroy();
  hls = null;
  $("sounds").hidden = true;
  video.hidden = false;
  if (window.Hls?.isSupported()) {
    hls = new window.Hls();
    hls.on(window.Hls.Events.ERROR, (_, said) => {
      if (said.fatal) $("note").textContent = `It cannot be played: ${said.details}`;
    });
    hls.on(window.Hls.Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => offer(audioTracks));
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url;
  }
  video.play().catch(() => { /* a browser may want a click */ });
}

/** Several tracks of sound: browsers' own controls have no choice of these. */
function offer(tracks) {
  $("sounds").hidden = tracks.length < 2;
  $("sound").replaceChildren(...tracks.map((one) => element("option", one.name)));
  $("sound").selectedIndex = Math.max(0, hls.audioTrack);
}

$("sound").addEventListener("change", () => { hls.audioTrack = $("sound").selectedIndex; });

/* -- uploads: tus 1.0.0, whose offset is the server's to tell */

const mark = (file) => `hlsd-upload ${file.name} ${file.size} ${file.lastModified}`;

/** Where an upload of this file is to go on: one that was begun before, or a new one. */
async function begun(file) {
  const known = localStorage.getItem(mark(file));
  if (known) {
    try {
      const { data } = await (await ask("GET", `uploads/${known}`)).json();
      return { id: known, at: data.offset };
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
    }
  }
  const { data } = await (await ask("POST", "uploads", { headers: { "upload-length": String(file.size) } })).json();
  localStorage.setItem(mark(file), data.id);
  return { id: data.id, at: 0 };
}

async function send(file) {
  sending = { file, paused: false };
  const mine = sending;
  $("sending").hidden = false;
  $("sending-name").textContent = file.name;
  let cuts = 0;
  while (mine === sending && !mine.paused) {
    try {
      const upload = await begun(file);
      let { at } = upload;
      while (at < file.size && mine === sending && !mine.paused) {
        progress(at, file.size);
        const headers = { "upload-offset": String(at), "content-type": "application/offset+octet-stream" };
        const answer = await ask("PATCH", `uploads/${upload.id}`, { headers, body: file.slice(at, at + PIECE) });
        at = Number(answer.headers.get("upload-offset"));
        cuts = 0;
      }
      if (mine !== sending || mine.paused) return;
      const body = JSON.stringify({ upload: upload.id, title: file.name.slice(0, 200) });
      await ask("POST", "jobs", { headers: { "content-type": "application/json" }, body });
      localStorage.removeItem(mark(file));
      sending = null;
      $("sending").hidden = true;
      await show();
      return;
    } catch (error) {
      if (error instanceof Refused && ![409, 423, 502, 503, 504].includes(error.status)) {
        $("sending-note").textContent = error.message;
        return;
      }
      const pause = PAUSES[Math.min(cuts, PAUSES.length - 1)];
      cuts += 1;
      $("sending-note").textContent = `cut off; it goes on in ${pause} s`;
      await new Promise((done) => setTimeout(done, pause * 1000));
    }
  }
}

function progress(at, size) {
  $("sending-bar").value = size ? (100 * at) / size : 100;
  $("sending-note").textContent = `${(at / 1e6).toFixed(1)} of ${(size / 1e6).toFixed(1)} MB`;
}

$("pause").addEventListener("click", () => {
  if (!sending) return;
  sending.paused = !sending.paused;
  $("pause").textContent = sending.paused ? "Go on" : "Pause";
  if (!sending.paused) send(sending.file);
});
$("file").addEventListener("change", () => $("file").files.length && send($("file").files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}

if (sessionStorage.getItem(KEY)) enter();
