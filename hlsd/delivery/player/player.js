/* Plays one live stream and keeps it playing: through hls.js where it is installed, else by the browser's own HLS; or
 * as FLV by HTTP or WebSocket, through mpegts.js; or by WebRTC.
 *
 * States: idle, waiting (no such stream now; asked for again and again), starting, playing, stalled, blocked (the
 * browser wants a click first), unsupported, refused (the viewer may not, or not now: see refusal()). Every road out of
 * a fault leads back to `waiting`, never to a dead page. A way that shows nothing three times in a row gives way to the
 * next: a proxy may let HLS through and no WebSocket.
 * Waiting for hls.js asks by GET, as a viewer does: a relay fetches the stream for it, and the answer is the viewer's
 * session, so it goes to hls.js and is not asked for again. For other players it asks by HEAD, which makes no session.
 */

const POLL = [800, 1000, 1500, 2000, 3000]; // ms between two questions whether the stream is there
const FROZEN = 15; // seconds without progress after which everything is started anew
const LEFT = 0.5; // seconds at the end of all that is listed which may never be shown
const SILENT = 12000; // ms: a playlist is held for eight seconds at most
const WINDOW = 10; // seconds of media over which the bit rate is told
const FASTEST = 1.2; // playback rate at most while catching up: faster is heard
const NEAR = 0.03; // seconds around the target latency that are left alone
const SPARE = 0.2; // seconds of buffer that catching up must leave

const TRIES = 3; // starts without a picture after which something is said or done
const NEXT = { wsflv: "flv", flv: "hls", whep: "hls" }; // what is tried instead
const LOST = 10000; // ms without a picture after which WebRTC is given up: UDP is closed on the way
const SLOWEST = 15000; // ms between two starts at most
const FULL = 10; // seconds after which there may be room, if the server names no other time

const FRESH = 5000; // ms in which hls.js must take up the session that was asked for ahead of it

const scripts = {}; // promises of hls.js and mpegts.js, each loaded once

/** hls.js, which the page has a script element for, or null where there is none or it does not load. */
function loadHls() {
  scripts.Hls ??= new Promise((resolve) => {
    const done = () => resolve(window.Hls ?? null);
    const script = document.getElementById("hls-js");
    if (window.Hls || !script || document.readyState === "complete") done();
    script?.addEventListener("load", done);
    script?.addEventListener("error", done);
    addEventListener("load", done); // it may have failed before we listened
  });
  return scripts.Hls;
}

/** hls.js's loader of playlists, but for addresses of `ahead`, whose text is there already: for the first who asks. */
function loaderOf(Hls, ahead) {
  return class extends Hls.DefaultConfig.loader {
    load(context, config, callbacks) {
      const { text, at } = ahead.get(context.url) ?? {};
      ahead.delete(context.url);
      if (text === undefined || performance.now() - at > FRESH) return super.load(context, config, callbacks);
      this.context = context; // by which hls.js knows what is under way
      const { stats } = this;
      stats.loading.start = stats.loading.first = stats.loading.end = performance.now();
      stats.loaded = stats.total = text.length;
      Promise.resolve().then(() => this.over || callbacks.onSuccess({ url: context.url, data: text, code: 200 }, stats, context, null));
    }
    abort() {
      this.over = true;
      super.abort();
    }
    destroy() {
      this.over = true;
      super.destroy();
    }
  };
}

/** Why a viewer is not let in, in a word, and after how many seconds it may help to ask again: 0 is never, null: let in. */
function refusal(answer) {
  const told = answer.headers.get("hlsd-refused") ?? "";
  const after = Math.max(Number(answer.headers.get("retry-after")) || 0, FULL);
  if (answer.status === 429) return { reason: "limit", after };
  if (answer.status === 503 && told === "limit") return { reason: "full", after };
  if (answer.status === 401 || answer.status === 403) return { reason: ["expired", "banned", "address"].includes(told) ? told : "denied", after: 0 };
  if (answer.status === 400 || answer.status === 414) return { reason: "bad", after: 0 };
  return null;
}

/** Where the moment `date` (ms) is in a media playlist, in seconds from its beginning; the next one there is, if it is in a gap. */
function placeIn(text, date) {
  let at = 0;
  let began = null;
  let length = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) began = Date.parse(line.slice(25));
    else if (line.startsWith("#EXTINF:")) length = parseFloat(line.slice(8));
    else if (line && !line.startsWith("#")) {
      if (began + length * 1000 > date) return at + Math.max(0, (date - began) / 1000);
      at += length;
    }
  }
  return Math.max(0, at - 1);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** mpegts.js, fetched when it is first wanted, or null. */
function loadMpegts(url) {
  scripts.mpegts ??= url
    ? new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = () => resolve(window.mpegts ?? null);
        script.onerror = () => resolve(null);
        document.head.append(script);
      })
    : Promise.resolve(null);
  return scripts.mpegts;
}

export class LivePlayer extends EventTarget {
  /** `root`: the path below which the server is; `hlsJs`, `mpegtsJs`: addresses or "". `serverNow()`: its clock in ms. */
  constructor(video, { root = "", hlsJs, mpegtsJs, serverNow }) {
    super();
    this.video = video;
    this.root = root;
    this.hlsJs = hlsJs;
    loadHls(); // while the page asks whether the stream is there
    this.mpegtsJs = mpegtsJs;
    this.way = "hls"; // or "flv", "wsflv", "whep"
    this.whep = null;
    this.flv = null;
    this.flvBegan = null; // when the server received what is at 0 of the FLV's media clock, ms of its clock
    this.serverNow = serverNow;
    this.path = null;
    this.hls = null;
    this.engine = "";
    this.state = "idle";
    this.reason = "";
    this.take = 0; // each start anew has a number, so that late answers to an older one are ignored
    this.errors = [];
    this.ahead = new Map(); // playlists that were asked for before hls.js, by address; see ask()
    this.behind = null; // the moment (ms) at which it plays what was recorded; null: it is live
    this.session = ""; // the address below which this viewer's session is
    this.keep = ""; // the session to go on with, between live and what was recorded
    this.longest = 3600; // seconds that the server lets one go back
    this.wanted = null; // the height that the viewer wants of the picture; null: what the line allows
    this.reset();
    video.addEventListener("playing", () => this.onPlaying());
    video.addEventListener("waiting", () => this.onStall());
    video.addEventListener("ended", () => this.wait("ended"));
    video.addEventListener("error", () => this.engine === "native" && this.retry("media error"));
    video.addEventListener("timeupdate", () => this.steer());
    setInterval(() => this.watch(), 1000);
  }

  reset() {
    this.stalls = 0;
    this.stalledMs = 0;
    this.stallBegan = 0;
    this.began = performance.now();
    this.firstFrame = null;
    this.restarts = 0;
    this.failures = 0; // starts in a row that showed nothing
    this.passed = ""; // the way that was wanted, if another one had to be taken
    this.loads = [];
    this.mediaFaults = 0;
  }

  /** Plays `/app/stream` by `way`, as soon as it is there; what is kept, from the moment `date` (ms) on, if one is given. */
  play(path, way = "hls", date = null) {
    this.path = path;
    this.way = way;
    this.behind = date;
    if (date !== null) this.longest = Math.max(this.longest, Math.ceil((this.serverNow() - date) / 1000) + 60);
    this.session = this.keep = "";
    this.reset();
    this.errors = [];
    this.wait("");
  }

  /** How it comes: what was recorded comes by HLS, whatever live does. */
  get by() {
    return this.behind === null ? this.way : "hls";
  }

  /** Plays from the moment `date` (ms of the server's clock) on; null: live. The viewer's session stays the same. */
  shift(date) {
    const details = this.behind !== null ? this.hls?.latestLevelDetails : null;
    this.behind = date;
    const place = date === null ? null : details?.fragments.find((frag) => frag.programDateTime + frag.duration * 1000 > date);
    if (place && place !== details.fragments[0]) {
      this.video.currentTime = place.start + Math.max(0, (date - place.programDateTime) / 1000);
      this.kick();
      return;
    }
    this.wait("shift");
  }

  set(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }

  detach() {
    this.hls?.destroy();
    this.hls = null;
    this.flv?.destroy();
    this.flv = null;
    this.flvBegan = null;
    if (this.whep) {
      this.whep.close();
      this.whep = this.video.srcObject = null;
    }
    if (this.engine === "native") {
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.engine = "";
    this.video.playbackRate = 1;
    this.lastTime = null;
    this.loads = [];
  }

  /** Counts an outage that costs the viewer the picture as the stall it is. */
  interrupted() {
    if (this.firstFrame === null || this.stallBegan) return;
    this.stalls++;
    this.stallBegan = performance.now();
  }

  /** Asks until the stream is there. After an end, the old playlist is asked whether it lives again. */
  async wait(reason) {
    const take = ++this.take;
    let ended = reason === "ended" ? this.playlistUrl : null;
    if (this.behind !== null || reason === "shift") this.keep = /\/~([^/]+)\/$/.exec(this.session)?.[1] ?? "";
    if (ended) this.behind = null; // if it comes back, it is live
    this.detach();
    if (reason === "ended") this.endStall();
    this.set("waiting", reason);
    for (let round = 0; take === this.take; round++) {
      let pause = POLL[Math.min(round, POLL.length - 1)];
      try {
        const answer = ended ? await fetch(ended, { cache: "no-cache" }) : await this.ask();
        if (answer.ok && !(ended && (await answer.text()).includes("#EXT-X-ENDLIST"))) break;
        if (take !== this.take) return;
        const no = ended ? null : refusal(answer);
        if (ended && !answer.ok) ended = null; // forgotten, or no longer ours: the way in will tell
        else if (answer.status === 404 && this.behind !== null) {
          this.behind = null; // it is not kept any more
          this.dispatchEvent(new Event("gone"));
        }
        else if (no) {
          this.set("refused", no.reason);
          if (!no.after) return;
          pause = no.after * 1000 * (1 + Math.random() / 5); // not all at once
        } else if (!answer.ok && answer.status >= 500 && answer.status !== 503) this.set("waiting", "server");
        else if (["server", "shift"].includes(this.reason) || this.state === "refused") this.set("waiting", "");
      } catch {
        if (take === this.take) this.set("waiting", "server");
      }
      await sleep(pause);
    }
    if (take === this.take) await this.start(take);
  }

  /** Asks whether the stream is there. The answer for hls.js is kept for it: it is this viewer's session. */
  async ask() {
    const url = new URL(this.by === "whep" ? `${this.root}${this.path}.m3u8${location.search}` : this.address(), location.href).href;
    const ours = this.by === "hls" && this.hlsJs && window.MediaSource;
    const answer = await fetch(url, { method: ours ? "GET" : "HEAD", cache: "no-store" });
    this.ahead.clear();
    this.from = -1;
    if (!answer.ok || !ours) return answer;
    const text = await answer.text();
    this.ahead.set(url, { text, at: performance.now() });
    if (this.behind !== null) {
      const media = new URL(text.split("\n").findLast((line) => line && !line.startsWith("#")), url).href;
      const listed = await fetch(media, { cache: "no-store" });
      if (!listed.ok) return listed;
      const list = await listed.text();
      this.ahead.set(media, { text: list, at: performance.now() });
      this.from = placeIn(list, this.behind);
    }
    return answer;
  }

  /** Starts anew after a fault, not at once and, if there is nothing else to try, ever more slowly. */
  retry(reason) {
    const take = ++this.take;
    if (this.behind !== null) this.behind = this.pictureDate() ?? this.behind;
    this.restarts++;
    this.failures = this.firstFrame === null ? this.failures + 1 : 0;
    this.interrupted();
    this.detach();
    const pause = NEXT[this.by] ? 1000 : Math.min(1000 * 2 ** Math.max(0, this.failures - 1), SLOWEST);
    const lost = this.failures >= TRIES;
    if (lost && NEXT[this.by]) {
      this.passed ||= this.way;
      this.way = NEXT[this.way];
      this.failures = 0;
      this.dispatchEvent(new Event("way"));
    }
    this.set("waiting", lost && !this.failures ? "" : lost ? "broken" : reason);
    setTimeout(() => take === this.take && this.wait(this.reason), pause);
  }

  /** Is not let in for now: asks again when there may be room. */
  holdOff(reason) {
    const take = ++this.take;
    this.detach();
    this.set("refused", reason);
    setTimeout(() => take === this.take && this.wait(""), FULL * 1000 * (1 + Math.random() / 5));
  }

  async start(take) {
    const flv = ["flv", "wsflv"].includes(this.by);
    const Hls = await (flv ? loadMpegts(this.mpegtsJs) : this.by === "whep" ? import("./whep.js") : loadHls());
    if (take !== this.take) return;
    this.set("starting");
    // Never with a credential: one that is good for one viewer is for the stream.
    this.video.poster = this.behind !== null || /[?&](?!way=)./.test(location.search) ? "" : `${this.root}${this.path}.jpg?width=1280`;
    this.began = performance.now();
    this.firstFrame = null;
    const url = new URL(this.address(), location.href).href;
    if (this.by === "whep") await this.startWhep(Hls, url, take);
    else if (flv) {
      if (Hls?.getFeatureList().mseLivePlayback) this.startFlv(Hls, take);
      else this.set("unsupported", this.mpegtsJs ? "no MSE" : "no mpegts.js");
    } else if (Hls?.isSupported()) this.startHls(Hls, url, take);
    else if (this.video.canPlayType("application/vnd.apple.mpegurl")) {
      this.engine = "native";
      this.video.src = url;
      if (this.behind !== null) this.video.addEventListener("loadedmetadata", () => this.seekNative(take), { once: true });
      this.kick();
    } else this.set("unsupported", this.hlsJs ? "no MSE" : "no hls.js");
  }

  /** Where the stream is, this way. A signature in the page's address is the stream's. */
  address() {
    const query = this.keep ? `${location.search}${location.search ? "&" : "?"}sid=${this.keep}` : location.search;
    if (this.behind !== null) return `${this.root}${this.path}/rewind-${this.longest}.m3u8${query}`;
    const ends = { hls: `.m3u8${query}`, whep: `/whep${location.search}` };
    return `${this.root}${this.path}${ends[this.way] ?? `.flv${location.search}`}`;
  }

  startHls(Hls, url, take) {
    const hls = new Hls({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1, // see steer()
      liveSyncOnStallIncrease: 0.25,
      startFragPrefetch: true,
      enableWorker: false, // compiling it once more for a worker costs more than the parts of one stream ever do
      liveDurationInfinity: true,
      backBufferLength: 30,
      startPosition: this.behind === null ? -1 : this.from,
      pLoader: loaderOf(Hls, this.ahead),
    });
    this.hls = hls;
    this.engine = `hls.js ${Hls.version}`;
    const mine = (handler) => (_, data) => take === this.take && handler(data);
    hls.on(Hls.Events.MANIFEST_PARSED, mine(() => this.onLevels()));
    hls.on(Hls.Events.LEVEL_SWITCHED, mine(() => this.dispatchEvent(new Event("levels"))));
    hls.on(Hls.Events.LEVEL_LOADED, mine((data) => this.onLevel(data.details)));
    hls.on(Hls.Events.FRAG_BUFFERED, mine((data) => this.onLoaded(data)));
    hls.on(Hls.Events.ERROR, mine((data) => this.onError(Hls, data)));
    // Not before there is a picture where it begins: played at 0, hls.js may leap to what it has before it has sought the
    // live position, and call that an error.
    this.video.addEventListener("canplay", mine(() => this.kick()), { once: true });
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  /** The browser's own HLS begins at the end of a playlist. */
  seekNative(take) {
    const began = this.video.getStartDate?.().getTime();
    if (take === this.take && this.behind !== null && Number.isFinite(began)) this.video.currentTime = (this.behind - began) / 1000;
  }

  startFlv(mpegts, take) {
    const url = new URL(this.address(), location.href);
    if (this.way === "wsflv") url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const flv = mpegts.createPlayer(
      { type: "flv", isLive: true, url: url.href },
      {
        enableStashBuffer: false,
        lazyLoad: false,
        autoCleanupSourceBuffer: true,
        autoCleanupMaxBackwardDuration: 60,
        autoCleanupMinBackwardDuration: 30,
        liveSync: true,
        liveSyncMaxLatency: 0.9,
        liveSyncTargetLatency: 0.5,
        liveSyncPlaybackRate: FASTEST,
      },
    );
    this.flv = flv;
    this.engine = `mpegts.js ${mpegts.version}`;
    const mine = (handler) => (...facts) => take === this.take && handler(...facts);
    flv.on(mpegts.Events.METADATA_ARRIVED, mine((data) => (this.flvBegan ??= data.hlsdArrived ?? null)));
    flv.on(mpegts.Events.STATISTICS_INFO, mine((data) => this.onSpeed(data.speed)));
    flv.on(mpegts.Events.LOADING_COMPLETE, mine(() => this.wait("over")));
    flv.on(mpegts.Events.ERROR, mine((type, details, info) => this.onFlvError(mpegts, type, details, info)));
    flv.attachMediaElement(this.video);
    flv.load();
    this.kick();
  }

  /** By WebRTC. What has none of it, here or there, is played another way; so is what does not get through. */
  async startWhep({ WhepLink, possible }, url, take) {
    if (!possible) return this.pass();
    const mine = (state) => {
      if (take !== this.take || state === "connected") return;
      if (state === "closed") this.wait("over");
      else this.retry("network");
    };
    const link = (this.whep = new WhepLink(url, mine));
    this.engine = "WebRTC";
    this.video.srcObject = link.stream;
    try {
      const answer = await link.open();
      if (take !== this.take) return;
      const no = refusal(answer);
      if (answer.ok) {
        setTimeout(() => take === this.take && this.firstFrame === null && this.retry("network"), LOST);
        this.kick();
      } else if (no && answer.status !== 400) {
        if (no.after) this.holdOff(no.reason);
        else {
          this.take++;
          this.detach();
          this.set("refused", no.reason);
        }
      } else if (answer.status === 404 || answer.status === 503) this.wait("");
      else this.pass();
    } catch {
      if (take === this.take) this.retry("network");
    }
  }

  /** This way will not do: the next one, at once. */
  pass() {
    this.failures = TRIES;
    this.retry("network");
  }

  /** `speed` in KiB per second, told each 0.6 s. */
  onSpeed(speed) {
    this.loads.push({ bytes: speed * 1024 * 0.6, duration: 0.6 });
    if (this.loads.length > WINDOW / 0.6) this.loads.shift();
  }

  onFlvError(mpegts, type, details, info) {
    this.errors.push({ type, details: `${details} ${info?.msg ?? ""}`, fatal: true, at: performance.now() });
    if (this.errors.length > 200) this.errors.shift();
    const { MEDIA_CODEC_UNSUPPORTED, MEDIA_MSE_ERROR } = mpegts.ErrorDetails;
    if (details === MEDIA_CODEC_UNSUPPORTED || (details === MEDIA_MSE_ERROR && this.firstFrame === null)) {
      this.take++;
      this.detach();
      this.set("unsupported", "codec");
    } else if (info?.code === 429 || info?.code === 503) this.holdOff(info.code === 429 ? "limit" : "full"); // HEAD does not count viewers
    else this.retry(type === mpegts.ErrorTypes.NETWORK_ERROR ? "network" : "media error");
  }

  /** Begins playback; a browser that refuses sound, or all of it, is asked again without, or waits for a click. */
  async kick() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      if (!this.video.muted) {
        this.video.muted = true;
        await this.kick();
      } else this.set("blocked");
    }
  }

  onLevel(details) {
    this.levelAt = performance.now();
    this.playlistUrl = details.url;
    this.session = /^.*\/~[^/]+\//.exec(details.url)?.[0] ?? "";
    this.keep = "";
    if (!details.live && this.firstFrame === null && this.behind === null) this.wait("ended"); // over before we came
  }

  onLoaded({ frag, part, stats }) {
    const duration = part ? part.duration : frag.duration;
    if (frag.type !== "main" || !duration || frag.sn === "initSegment") return;
    this.loads.push({ bytes: stats.total, duration });
    let sum = this.loads.reduce((all, load) => all + load.duration, 0);
    while (this.loads.length > 1 && sum > WINDOW) sum -= this.loads.shift().duration;
  }

  onError(Hls, data) {
    this.errors.push({ type: data.type, details: data.details, fatal: data.fatal, at: performance.now() });
    if (this.errors.length > 200) this.errors.shift();
    if (!data.fatal) return;
    if (data.details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
      this.take++;
      this.detach();
      this.set("unsupported", "codec");
    } else if (data.details === Hls.ErrorDetails.BUFFER_APPEND_ERROR && /does not exist/.test(data.error?.message ?? "")) {
      this.retry("media error"); // a track has joined, for which only a new start makes a SourceBuffer
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.mediaFaults++ < 2) {
      this.hls.recoverMediaError();
      this.kick();
    } else this.retry(data.type === Hls.ErrorTypes.NETWORK_ERROR ? "network" : "media error");
  }

  onPlaying() {
    if (this.firstFrame === null) this.firstFrame = performance.now() - this.began;
    this.failures = 0;
    this.endStall();
    this.set("playing");
  }

  onStall() {
    if (this.state !== "playing" || this.video.seeking || this.video.paused) return;
    this.interrupted();
    this.set("stalled");
  }

  endStall() {
    if (this.stallBegan) this.stalledMs += performance.now() - this.stallBegan;
    this.stallBegan = 0;
  }

  /** Every second: has the picture moved? */
  watch() {
    this.whep?.look().catch(() => {});
    const active = ["starting", "playing", "stalled"].includes(this.state) && !document.hidden;
    if (!active || (this.video.paused && this.firstFrame !== null) || this.video.currentTime !== this.lastTime) {
      this.lastTime = this.video.currentTime;
      this.frozen = 0;
      if (active && this.video.currentTime > 10) this.mediaFaults = 0;
      return;
    }
    this.frozen++;
    const details = this.hls?.latestLevelDetails;
    const shown = details && details.edge - this.video.currentTime < LEFT; // all that the playlist lists
    if (shown && !details.live) this.wait("ended"); // though the browser does not say so: sound and picture end apart
    else if (shown && performance.now() - this.levelAt < SILENT) this.frozen = 0; // the publisher is away, we are in touch
    else if (this.frozen >= FROZEN) {
      this.frozen = 0;
      this.retry("frozen");
    }
  }

  /** The qualities there are, of hls.js's: `{width, height, bitrate}`; none where somebody else chooses, or nobody can. */
  get levels() {
    return this.hls?.levels ?? [];
  }

  /** Which of `levels` is on screen; -1: none yet. */
  get level() {
    return this.hls?.currentLevel ?? -1;
  }

  /** Which of `levels` the viewer has chosen; null: hls.js may. It outlives a start anew, at which levels are other objects. */
  get chosen() {
    if (this.wanted === null) return null;
    const at = this.levels.findIndex(({ height, bitrate }) => height === this.wanted.height && bitrate === this.wanted.bitrate);
    const found = at >= 0 ? at : this.levels.findIndex(({ height }) => height === this.wanted.height);
    return found >= 0 ? found : null;
  }

  /** Plays the quality of that place of `levels`, from the next segment on; null: as good as the line allows. */
  choose(level) {
    const { height, bitrate } = this.levels[level] ?? {};
    this.wanted = level === null ? null : { height, bitrate };
    if (this.hls) this.hls.nextLevel = level ?? -1;
    this.dispatchEvent(new Event("levels"));
  }

  /** hls.js knows which qualities there are: what was chosen before holds. */
  onLevels() {
    const { chosen } = this;
    if (chosen !== null) this.hls.startLevel = this.hls.loadLevel = chosen;
    this.dispatchEvent(new Event("levels"));
  }

  /** Brings latency to the target (PART-HOLD-BACK, and a little more after each stall) by the speed of playback.
   *
   * hls.js can do it too, but speeds up only with more than a second of buffer, which at a second of latency there
   * never is: it would stay where loading left it. A viewer further behind than three target durations is there
   * because he wants to be.
   */
  steer() {
    const { hls, video } = this;
    const details = hls?.latestLevelDetails;
    const target = hls?.targetLatency;
    if (!details?.live || !details.partTarget || !target || this.firstFrame === null) return;
    const distance = hls.latency - target;
    const { buffered, currentTime } = video;
    const buffer = buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
    let rate = 1;
    if (distance > NEAR && distance < 3 * details.targetduration && buffer > SPARE) {
      rate = Math.min(FASTEST, 1 + Math.ceil(distance * 10) / 20); // in steps: each change costs the audio a seam
    } else if (distance < -NEAR - details.partTarget / 2) rate = 0.95;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  /** Moves to the live edge, after a pause or a long stall. */
  goLive() {
    if (this.behind !== null) {
      this.shift(null);
      return;
    }
    const { video, hls } = this;
    const { buffered } = video;
    if (this.flv && buffered.length) video.currentTime = Math.max(video.currentTime, buffered.end(buffered.length - 1) - 0.4);
    const edge = this.flv ? null : hls?.liveSyncPosition ?? (video.seekable.length ? video.seekable.end(video.seekable.length - 1) : null);
    if (edge !== null) video.currentTime = edge;
    this.kick();
  }

  /** When the picture on screen was received by the server, in ms of its clock, or null. */
  pictureDate() {
    if (this.hls) return this.hls.playingDate?.getTime() ?? null;
    if (this.whep) return this.whep.date;
    if (this.flv) return this.flvBegan === null || this.firstFrame === null ? null : this.flvBegan + this.video.currentTime * 1000;
    const start = this.video.getStartDate?.().getTime();
    return Number.isFinite(start) ? start + this.video.currentTime * 1000 : null;
  }

  /** What can be said of playback at this instant. Seconds, bits per second, pixels; null where nobody knows. */
  stats() {
    const { video, hls } = this;
    const quality = video.getVideoPlaybackQuality?.();
    const date = this.pictureDate();
    const { buffered, currentTime } = video;
    let buffer = 0;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime) buffer = buffered.end(i) - currentTime;
    }
    if (this.whep) buffer = this.whep.buffer ?? 0;
    const seconds = this.loads.reduce((all, load) => all + load.duration, 0);
    const bytes = this.loads.reduce((all, load) => all + load.bytes, 0);
    const stalling = this.stallBegan ? performance.now() - this.stallBegan : 0;
    return {
      state: this.state,
      engine: this.engine,
      time: currentTime,
      latency: date === null ? hls?.latency || null : (this.serverNow() - date) / 1000,
      target: hls?.targetLatency ?? null,
      buffer,
      width: video.videoWidth,
      height: video.videoHeight,
      bitrate: this.whep ? this.whep.bitrate : seconds ? (bytes * 8) / seconds : null,
      decoded: quality?.totalVideoFrames ?? null,
      dropped: quality?.droppedVideoFrames ?? null,
      stalls: this.stalls,
      stalled: (this.stalledMs + stalling) / 1000,
      rate: video.playbackRate,
      firstFrame: this.firstFrame === null ? null : this.firstFrame / 1000,
      restarts: this.restarts,
      errors: this.errors,
    };
  }
}
