/* Publishes by WHIP (RFC 9725), with the words of the publisher's library, which is not built on this server.
 *
 * It has of it what the page asks for: on, start, pause, resume, replace, stop, and the events state, error, stats, live,
 * destroyed. The camera's track goes to the encoder as it is: no canvas and no timer of the page's is in the way, so a
 * tab in the background goes on. What the query of the page holds (sign, jwt, token) goes with the POST; the session's own
 * address needs none.
 */

const AGAIN = 2000; // ms between two tries
const PATIENCE = 6000; // ms that a connection may be interrupted
const NAMES = { 401: "NOT_ALLOWED", 403: "NOT_ALLOWED", 409: "NAME_IN_USE", 422: "UNSUPPORTED_CODEC", 429: "LIMIT", 503: "LIMIT" };
const PASSING = ["CONNECTION_FAILED", "NAME_IN_USE", "LIMIT"];

export class HlsdPublisher {
  state = "idle";
  session = "";
  #listeners = {};
  #stream;
  #address;
  #bitrate;
  #peer = null;
  #location = "";
  #retry = 0;
  #paused = false; // outlives a connection: what is made anew in a pause sends nothing either
  #silence = null;
  #before = { bytes: 0, at: 0 };

  constructor(stream, { url, query = "", videoBitsPerSecond = 2_500_000 }) {
    const { origin, pathname, search } = new URL(url, location.href);
    this.#address = `${origin}${pathname}/whip${query || search}`;
    this.#stream = stream;
    this.#bitrate = videoBitsPerSecond;
    addEventListener("pagehide", this.#leave);
  }

  on(name, listener) {
    (this.#listeners[name] ??= []).push(listener);
    return this;
  }

  async start() {
    this.#paused = false;
    this.#move("connecting");
    try {
      await this.#begin();
    } catch (error) {
      this.#emit("error", error);
      await this.#end(error.name);
      throw error;
    }
  }

  async pause() {
    if (this.state === "idle" || this.state === "ended") return;
    this.#paused = true;
    if (this.state === "live") this.#move("paused");
    await this.#attach();
  }

  async resume() {
    this.#paused = false;
    await this.#attach();
    if (this.#paused) return; // it was paused again meanwhile
    this.#hush();
    if (this.state === "paused") this.#move("live");
  }

  async replace(stream) {
    this.#stream = stream;
    // While a connection is being made #begin sees to it.
    if (!["connected", "disconnected"].includes(this.#peer?.connectionState)) return;
    const kinds = this.#peer.getSenders().map((sender) => sender.kind);
    // A kind of track that was not there before: only a new connection has it.
    if (stream.getTracks().some((track) => !kinds.includes(track.kind))) await this.#again(0);
    else if (!this.#paused) await this.#attach();
  }

  async stop() {
    await this.#end("stopped");
  }

  async #begin() {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#peer = peer;
    const stream = this.#stream;
    try {
      for (const track of stream.getTracks()) {
        const encoding = track.kind === "video" ? [{ maxBitrate: this.#bitrate }] : [];
        const transceiver = peer.addTransceiver(this.#source(track.kind) ?? track.kind, {
          direction: "sendonly",
          streams: [stream],
          sendEncodings: encoding,
        });
        transceiver.sender.kind = track.kind;
        if (track.kind === "video") prefer(transceiver);
      }
      await peer.setLocalDescription(await peer.createOffer());
      const reply = await fetch(this.#address, { method: "POST", headers: { "content-type": "application/sdp" }, body: peer.localDescription.sdp });
      if (reply.status !== 201) {
        const { title = reply.status, detail = "" } = await reply.json().catch(() => ({}));
        throw problem(NAMES[reply.status] ?? "CONNECTION_FAILED", `${title}: ${detail}`);
      }
      this.#location = new URL(reply.headers.get("location"), location.href).href;
      this.session = this.#location.split("/").pop();
      if (peer !== this.#peer) return this.#leave();
      await peer.setRemoteDescription({ type: "answer", sdp: await reply.text() });
      // A picture that changes its size is a new beginning for every player.
      for (const sender of peer.getSenders().filter((one) => one.kind === "video")) {
        await sender.setParameters({ ...sender.getParameters(), degradationPreference: "maintain-resolution" }).catch(() => {});
      }
      await connected(peer);
      if (peer !== this.#peer) return;
    } catch (error) {
      await this.#close();
      throw error instanceof TypeError ? problem("CONNECTION_FAILED", error.message) : error;
    }
    peer.addEventListener("connectionstatechange", () => this.#changed(peer));
    this.#back();
    this.#emit("live", { transport: "whip" });
    this.#measure(peer);
    if (stream !== this.#stream) await this.replace(this.#stream);
  }

  #changed(peer) {
    if (peer !== this.#peer) return;
    if (peer.connectionState === "connected") this.#back();
    else if (peer.connectionState === "disconnected") {
      this.#move("reconnecting");
      setTimeout(() => peer === this.#peer && peer.connectionState !== "connected" && this.#again(), PATIENCE);
    } else this.#again();
  }

  #back() {
    this.#move(this.#paused ? "paused" : "live");
  }

  async #again(wait = AGAIN) {
    this.#move("reconnecting");
    await this.#close();
    if (this.state !== "reconnecting") return; // it was stopped meanwhile
    clearTimeout(this.#retry);
    this.#retry = setTimeout(async () => {
      try {
        await this.#begin();
      } catch (error) {
        if (this.state !== "reconnecting") return;
        this.#emit("error", Object.assign(error, { fatal: !PASSING.includes(error.name) }));
        if (error.fatal) await this.#end(error.name);
        else await this.#again();
      }
    }, wait);
  }

  async #measure(peer) {
    while (peer === this.#peer) {
      for (const one of (await peer.getStats()).values()) {
        if (one.type !== "outbound-rtp" || one.kind !== "video") continue;
        const seconds = (one.timestamp - this.#before.at) / 1000;
        const bitrate = seconds > 0 ? Math.max(0, ((one.bytesSent - this.#before.bytes) * 8) / seconds) : 0;
        const { frameWidth: width, frameHeight: height, framesPerSecond: framerate } = one;
        if (this.#before.at) this.#emit("stats", { transport: "whip", bitrate, width, height, framerate, lag: null });
        this.#before = { bytes: one.bytesSent, at: one.timestamp };
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /* What a sender sends now. The stream's own tracks stay as the page has them: what it has muted is not opened here. */
  #source(kind) {
    const track = this.#stream.getTracks().find((one) => one.kind === kind) ?? null;
    if (!this.#paused) return track;
    if (kind === "video" || !track) return null;
    // A disabled track sends silence: the server's clock goes on by it.
    this.#silence ??= Object.assign(track.clone(), { enabled: false });
    return this.#silence;
  }

  async #attach() {
    const peer = this.#peer;
    const senders = peer?.getSenders() ?? [];
    try {
      await Promise.all(senders.map((sender) => sender.replaceTrack(this.#source(sender.kind))));
    } catch (error) {
      if (peer === this.#peer) throw error; // of one that was closed meanwhile nothing goes out
    }
  }

  #hush() {
    this.#silence?.stop();
    this.#silence = null;
  }

  #leave = () => this.#location && fetch(this.#location, { method: "DELETE", keepalive: true }).catch(() => {});

  async #close() {
    const told = this.#leave();
    this.#location = this.session = "";
    this.#peer?.close();
    this.#peer = null;
    await told;
  }

  async #end(reason) {
    clearTimeout(this.#retry);
    removeEventListener("pagehide", this.#leave);
    this.#move("ended");
    await this.#close();
    this.#hush();
    this.#emit("destroyed", { reason });
  }

  #move(state) {
    const previous = this.state;
    this.state = state;
    if (state !== previous) this.#emit("state", { state, previous });
  }

  #emit(name, value) {
    for (const listener of this.#listeners[name] ?? []) listener(value);
  }
}

function problem(name, message) {
  return Object.assign(new Error(message), { name, fatal: true });
}

function prefer(transceiver) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const h264 = codecs.filter((codec) => /H264$/i.test(codec.mimeType));
  const taken = h264.length ? h264 : codecs.filter((codec) => /H265$/i.test(codec.mimeType));
  if (taken.length === 0) throw problem("UNSUPPORTED_CODEC", "This browser sends no H.264 by WebRTC.");
  transceiver.setCodecPreferences?.([...taken, ...codecs.filter((codec) => /rtx$/i.test(codec.mimeType))]);
}

function connected(peer) {
  return new Promise((resolve, reject) => {
    const late = () => reject(problem("CONNECTION_FAILED", "No connection by UDP."));
    const timer = setTimeout(late, 2 * PATIENCE);
    const look = () => {
      if (peer.connectionState === "connected") resolve(clearTimeout(timer));
      else if (["failed", "closed"].includes(peer.connectionState)) late();
    };
    peer.addEventListener("connectionstatechange", look);
    look();
  });
}
