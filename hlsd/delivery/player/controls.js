/* What is below the picture besides the timeline: quality, picture-in-picture, a window of its own, links to share, keys.
 *
 * `#t=2026-12-01T10:00:00Z` behind the address of a stream's page begins at that moment, if it is kept; `#pop` shows
 * nothing but the picture. Both stay in the browser: a server, and a signature, never see them.
 */

const VOLUME = 0.1; // of a key
const WRITTEN = "input, textarea, select"; // what wants every key
const PRESSED = "button, a, video, [role=slider]"; // and what wants the space bar and arrows
const WATCHED = 3; // seconds that a link begins before what is on screen: who opens it sees what was meant

/** What stands behind `#` of a stream's page. */
export function wishes(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const moment = Date.parse(said.get("t") ?? "");
  return { pop: said.has("pop"), moment: Number.isFinite(moment) ? moment : null };
}

/** A quality in words. */
export function levelName({ height, bitrate }, levels) {
  const twins = levels.filter((other) => other.height === height).length > 1;
  return twins && bitrate ? `${height}p · ${(bitrate / 1e6).toFixed(1)} Mbit/s` : `${height}p`;
}

export class Controls {
  /** `page()` is the address of the page of what plays, or null; `tell(text)` says something to the viewer. */
  constructor(player, { page, tell }) {
    this.player = player;
    this.page = page;
    this.tell = tell;
    const find = (id) => document.getElementById(id);
    this.quality = find("quality");
    this.dialogs = { share: find("share-box"), keys: find("keys-box") };
    this.quality.addEventListener("change", () => player.choose(this.quality.value === "" ? null : Number(this.quality.value)));
    player.addEventListener("levels", () => this.showLevels());
    player.addEventListener("state", () => this.showLevels());
    const can = document.pictureInPictureEnabled;
    find("pip").hidden = !can;
    for (const [id, act] of [["pip", () => this.small()], ["pop", () => this.popOut()], ["share", () => this.share()], ["keys", () => this.open("keys")]]) {
      find(id).addEventListener("click", act);
    }
    for (const box of Object.values(this.dialogs)) {
      box.addEventListener("click", (event) => (event.target === box || event.target.closest(".close")) && box.close());
    }
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** The qualities there are, and which one plays; as good as the line allows unless somebody has chosen. */
  showLevels() {
    const { levels, level, chosen } = this.player;
    const several = levels.filter(({ height }) => height).length > 1; // sound alone is taken by itself, where nothing else gets through
    const now = chosen === null && several && levels[level]?.height ? `Auto · ${levelName(levels[level], levels)}` : "Auto";
    const order = levels.map((one, index) => [index, one]).filter(([, { height }]) => height);
    order.sort(([, a], [, b]) => b.height - a.height || b.bitrate - a.bitrate);
    const wanted = [["", now], ...(several ? order.map(([index, one]) => [String(index), levelName(one, levels)]) : [])];
    const { options } = this.quality;
    if (options.length !== wanted.length || wanted.some(([value, text], i) => options[i].value !== value || options[i].textContent !== text)) {
      this.quality.replaceChildren(...wanted.map(([value, text]) => new Option(text, value)));
    }
    this.quality.disabled = !several;
    this.quality.title = !several ? "This stream comes in one quality" : "Quality: as good as the line allows, or one of your choice";
    this.quality.value = chosen === null ? "" : String(chosen);
  }

  /** Into a small window above all others, or back. */
  async small() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else if (document.pictureInPictureEnabled) await this.player.video.requestPictureInPicture();
      else this.tell("This browser has picture-in-picture in a menu of its own: right-click the picture.");
    } catch {
      this.tell("Picture-in-picture begins once there is a picture.");
    }
  }

  /** Into a window of its own, which goes on at the same moment; here it pauses. */
  popOut() {
    const page = this.page();
    if (!page) return;
    const { behind, video } = this.player;
    const at = behind === null ? "" : `&t=${new Date(this.player.pictureDate() ?? behind).toISOString()}`;
    const [width, height] = [video.videoWidth || 960, video.videoHeight || 540];
    const wide = Math.min(width, 960);
    const opened = window.open(`${page}${location.search}#pop${at}`, "", `popup,width=${wide},height=${Math.round((wide * height) / width)}`);
    if (opened) video.pause();
    else this.tell("The browser keeps this page from opening a window.");
  }

  /** Links to what plays; never with the signature or token that this viewer came with. */
  share() {
    const page = this.page();
    if (!page) return;
    const date = this.player.pictureDate();
    const box = this.dialogs.share;
    const moment = date === null ? "" : `${page}#t=${new Date(date - WATCHED * 1000).toISOString().replace(/\.\d+Z/, "Z")}`;
    box.querySelector("#share-page").dataset.text = page;
    box.querySelector("#share-moment").dataset.text = moment;
    box.querySelector("#share-frame").dataset.text = `<iframe src="${page}" width="960" height="540" allow="autoplay; fullscreen; picture-in-picture"></iframe>`;
    box.querySelector("#share-signed").hidden = location.search.length < 2;
    box.dispatchEvent(new Event("fill"));
    this.open("share");
  }

  open(name) {
    for (const [other, box] of Object.entries(this.dialogs)) if (other !== name && box.open) box.close();
    if (this.dialogs[name].open) this.dialogs[name].close();
    else this.dialogs[name].showModal();
  }

  /** Keys of the page, where nothing else has the focus that would want them. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") && event.key !== "?") return;
    if (event.target.closest(WRITTEN) || (!/^[a-z?]$/i.test(event.key) && event.target.closest(PRESSED))) return;
    const { video } = this.player;
    const acts = {
      " ": () => this.pause(),
      k: () => this.pause(),
      m: () => (video.muted = !video.muted),
      f: () => this.full(),
      p: () => this.small(),
      o: () => this.popOut(),
      s: () => this.share(),
      l: () => this.player.goLive(),
      ArrowUp: () => this.louder(VOLUME),
      ArrowDown: () => this.louder(-VOLUME),
      "?": () => this.open("keys"),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.repeat && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    act();
  }

  pause() {
    const { video } = this.player;
    if (video.paused) this.player.kick();
    else video.pause();
  }

  louder(by) {
    const { video } = this.player;
    video.volume = Math.min(1, Math.max(0, Math.round((video.volume + by) * 100) / 100));
    if (by > 0) video.muted = false;
  }

  full() {
    const screen = document.getElementById("screen");
    if (document.fullscreenElement) document.exitFullscreen();
    else if (screen.requestFullscreen) screen.requestFullscreen().catch(() => {});
    else this.player.video.webkitEnterFullscreen?.(); // a telephone of Apple's
  }
}
