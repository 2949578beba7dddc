/* The bar below the picture: which times of the stream are kept, where playback is, and the way back to live.
 *
 * It is there where the stream is recorded for a while already. It asks the server now and then which times there are;
 * dragging, clicking and keys move playback: arrows by ten seconds, page up and down by a minute, Home to the oldest,
 * End to live. A gap in what is kept is a gap in the bar.
 */

const ASK = 10000; // ms between two questions what is kept
const NOTHING = 30000; // the same while nothing is
const LEAST = 20; // seconds that must be kept for the bar to be of use
const NEAR = 12; // seconds before now from which on it is live that is meant: the newest segment is as old
const STEPS = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10, PageDown: -60, PageUp: 60 };
const UPRIGHT = ["ArrowUp", "ArrowDown"]; // where the bar has not the focus they are loudness (controls.js)
const THIN = 0.2; // per cent of the bar below which two stretches are drawn as one

export class Timeline {
  /** `box` is the element of the bar, `player` what plays. */
  constructor(box, player) {
    this.box = box;
    this.player = player;
    this.ranges = []; // pairs of ms, of the server's clock
    this.wanted = null; // where a finger or a key has it, until playback is there
    this.dragging = false;
    this.offset = box.querySelector(".offset");
    this.rail = box.querySelector(".rail");
    this.knob = box.querySelector(".knob");
    this.tip = box.querySelector(".tip");
    this.live = box.querySelector(".live");
    this.asked = "";
    this.rail.addEventListener("pointerdown", (event) => this.grab(event));
    this.rail.addEventListener("pointermove", (event) => this.point(event));
    this.rail.addEventListener("pointerup", (event) => this.drop(event));
    this.rail.addEventListener("pointercancel", () => this.letGo());
    this.rail.addEventListener("pointerleave", () => this.dragging || (this.tip.hidden = true));
    this.live.addEventListener("click", () => this.go(Infinity));
    this.rail.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", (event) => event.target === document.body && !UPRIGHT.includes(event.key) && this.key(event));
    setInterval(() => this.show(), 500);
    this.ask();
  }

  get now() {
    return this.player.serverNow();
  }

  get oldest() {
    return this.ranges[0]?.[0] ?? this.now;
  }

  /** Asks what is kept, below the viewer's session. */
  async ask() {
    const { session } = this.player;
    let pause = session ? NOTHING : 1000;
    try {
      if (session && !document.hidden) {
        const answer = await fetch(`${session}d/kept.json`, { cache: "no-store" });
        const kept = answer.ok ? await answer.json() : { ranges: [] };
        if (session === this.player.session) {
          this.asked = session;
          this.ranges = kept.ranges;
          this.player.longest = kept.max ?? this.player.longest;
        }
        if (kept.ranges.length) pause = ASK;
      }
    } catch {
      // as it was
    }
    this.show();
    setTimeout(() => this.ask(), pause);
  }

  /** Where playback is, ms of the server's clock. */
  get at() {
    if (this.wanted !== null) return Math.min(this.wanted, this.now);
    if (this.player.behind === null) return this.now;
    return this.player.pictureDate() ?? this.player.behind;
  }

  show() {
    const kept = this.ranges.reduce((all, [from, to]) => all + to - from, 0) / 1000;
    const ours = this.player.session === this.asked || this.player.behind !== null;
    this.box.hidden = kept < LEAST || !ours || this.player.state === "refused";
    if (this.box.hidden) return;
    if (!this.dragging && this.player.state === "playing") this.wanted = null;
    const { oldest, now } = this;
    const place = (ms) => Math.min(100, Math.max(0, ((ms - oldest) * 100) / (now - oldest)));
    const { at } = this;
    const live = this.wanted === null ? this.player.behind === null : this.wanted === Infinity;
    this.draw(place, live ? now : at);
    this.knob.style.left = `${place(live ? now : at)}%`;
    const text = live ? "live" : `−${clock((now - at) / 1000)}`;
    this.offset.textContent = text;
    this.live.classList.toggle("on", live);
    this.live.setAttribute("aria-pressed", String(live));
    this.rail.setAttribute("aria-valuemin", String(Math.round((oldest - now) / 1000)));
    this.rail.setAttribute("aria-valuenow", String(live ? 0 : Math.round((at - now) / 1000)));
    this.rail.setAttribute("aria-valuetext", live ? "live" : `${clock((now - at) / 1000)} behind live`);
  }

  /** The stretches that are kept, and of them what has been passed. */
  draw(place, at) {
    const parts = [];
    for (const [from, to] of [...this.ranges.slice(0, -1), [this.ranges.at(-1)[0], Math.max(this.ranges.at(-1)[1], this.on ? this.now : 0)]]) {
      const [left, right] = [place(from), place(to)];
      if (parts.length && left - parts.at(-1)[1] < THIN) parts.at(-1)[1] = right;
      else parts.push([left, right]);
    }
    const done = place(at);
    const made = parts.map(([left, right]) => {
      const part = document.createElement("i");
      part.style.left = `${left}%`;
      part.style.width = `${Math.max(right - left, THIN)}%`;
      const passed = document.createElement("b");
      passed.style.width = `${Math.min(100, Math.max(0, ((done - left) * 100) / Math.max(right - left, THIN)))}%`;
      part.append(passed);
      return part;
    });
    this.rail.querySelector(".kept").replaceChildren(...made);
  }

  /** Whether the stream is on air as far as playback knows: what is newest is not kept yet, and will be. */
  get on() {
    return this.now - this.ranges.at(-1)[1] < 60000;
  }

  // -- by hand

  time(event) {
    const { left, width } = this.rail.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    return this.oldest + share * (this.now - this.oldest);
  }

  point(event) {
    const ms = this.time(event);
    if (this.dragging) this.wanted = ms;
    const { left, width } = this.rail.getBoundingClientRect();
    const behind = (this.now - ms) / 1000;
    this.tip.hidden = false;
    this.tip.textContent = behind < NEAR ? "live" : `${new Date(ms).toLocaleTimeString()} · −${clock(behind)}`;
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.min(width - half, Math.max(half, event.clientX - left))}px`;
    if (this.dragging) this.show();
  }

  grab(event) {
    if (event.button) return;
    this.rail.setPointerCapture(event.pointerId);
    this.dragging = true;
    this.point(event);
  }

  drop(event) {
    if (!this.dragging) return;
    this.letGo();
    this.go(this.time(event));
  }

  letGo() {
    this.dragging = false;
    this.wanted = null;
    this.tip.hidden = true;
  }

  key(event) {
    if (this.box.hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    let to = null;
    if (event.key in STEPS) to = Math.min(this.at, this.now) + STEPS[event.key] * 1000;
    else if (event.key === "Home") to = this.oldest;
    else if (event.key === "End") to = Infinity;
    if (to === null) return;
    event.preventDefault();
    this.go(to);
  }

  /** Plays from there; from where nothing is newer: live. */
  go(ms) {
    const first = this.player.behind === null && ms < this.now; // a step back from live leads to what is kept
    const live = ms === Infinity || (!first && ms > this.now - NEAR * 1000);
    const to = live ? null : Math.max(this.oldest, Math.min(ms, (this.ranges.at(-1)?.[1] ?? ms) - 2000));
    if (live && this.player.behind === null) {
      this.player.goLive();
      return;
    }
    this.wanted = live ? Infinity : to;
    this.player.shift(to);
    this.show();
  }
}

/** `h:mm:ss` of seconds. */
export function clock(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
