/** @internal Publishes by WebRTC: WHIP (RFC 9725). */

import { errorOfStatus, PublishError } from "./errors.js";
import type { Stats } from "./events.js";
import type { Settings } from "./options.js";
import { credentials, fragment, renewed, withStartBitrate } from "./sdp.js";
import { Rate, track, within, type Reports, type Transport } from "./transport.js";

const PATIENCE = 10_000; // ms for the POST, and again for the connection
const INTERRUPTED = 2_500; // ms without an answer to ICE before it is begun anew
const HOPELESS = 8_000; // ms after that before the connection is given up
const AGAIN = 1_000; // ms until the server is asked again, when it could not be
const PATIENT = 15_000; // ms for which it is asked: then it has forgotten the session

/** Whether this browser sends H.264 by WebRTC. Firefox does with a plug-in that it may not have. */
export function hasWebrtcH264(): boolean {
  return (
    typeof RTCPeerConnection === "function" &&
    typeof fetch === "function" &&
    (globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs ?? []).some(({ mimeType }) => /^video\/H264$/i.test(mimeType))
  );
}

export class Whip implements Transport {
  readonly name = "whip";
  private peer: RTCPeerConnection | null = null;
  private address = "";
  private answer = "";
  private stream: MediaStream | null = null;
  private senders: { video?: RTCRtpSender; audio?: RTCRtpSender } = {};
  private silence: MediaStreamTrack | null = null;
  private paused = false;
  private over = false;
  private restarting = false;
  /** Since when the server cannot be asked to begin ICE anew; 0: it can. */
  private unheard = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private rate = new Rate();

  constructor(
    private settings: Settings,
    private reports: Reports,
  ) {}

  get session(): string {
    return this.address.split("/").pop() ?? "";
  }

  async start(stream: MediaStream, paused: boolean): Promise<void> {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.peer = peer;
    this.stream = stream;
    if (paused) this.hush();
    try {
      this.offer(peer, stream);
      await peer.setLocalDescription(await peer.createOffer());
      await this.post(peer.localDescription?.sdp ?? "");
      await peer.setRemoteDescription({ type: "answer", sdp: withStartBitrate(this.answer, this.settings.video) });
      await this.tune();
      await within(PATIENCE, connected(peer), () => new PublishError("CONNECTION_FAILED", "no connection by UDP: its port is not open, or not reached from here"));
    } catch (error) {
      await this.stop();
      throw error;
    }
    peer.addEventListener("connectionstatechange", this.changed);
    globalThis.addEventListener?.("online", this.moved);
    network()?.addEventListener?.("change", this.moved);
    this.reports.line(`WHIP session open, ${peer.getSenders().length} tracks`);
  }

  async pause(): Promise<void> {
    this.hush();
    await Promise.all([this.senders.video?.replaceTrack(null), this.senders.audio?.replaceTrack(this.silence)]);
  }

  async resume(): Promise<void> {
    this.paused = false;
    await this.attach();
    this.silence?.stop();
    this.silence = null;
  }

  async replace(stream: MediaStream): Promise<boolean> {
    for (const kind of ["video", "audio"] as const) if (track(stream, kind) && !this.senders[kind]) return false;
    this.stream = stream;
    const picture = track(stream, "video");
    if (picture) picture.contentHint ||= "motion";
    if (!this.paused) await this.attach();
    return true;
  }

  async stop(): Promise<void> {
    const session = this.close();
    if (session) await fetch(session, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }

  leave(): void {
    // The name is free again at once; without this word it would be after some seconds.
    if (this.address) void fetch(this.address, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }

  async sample(): Promise<Omit<Stats, "transport">> {
    const found: Omit<Stats, "transport"> = { bitrate: 0, framerate: null, width: null, height: null, lag: null, loss: null, limited: null, queued: 0 };
    let bytes = 0;
    let now = 0;
    for (const one of ((await this.peer?.getStats()) ?? new Map()).values()) {
      if (one.type === "outbound-rtp") {
        bytes += one.bytesSent;
        now = one.timestamp;
        if (one.kind === "video") {
          found.framerate = Math.round(one.framesPerSecond ?? 0);
          found.width = one.frameWidth ?? null;
          found.height = one.frameHeight ?? null;
          found.limited = one.qualityLimitationReason ?? null;
        }
      } else if (one.type === "remote-inbound-rtp") {
        if (one.roundTripTime !== undefined) found.lag = Math.max(found.lag ?? 0, Math.round(one.roundTripTime * 500));
        if (one.kind === "video" && one.fractionLost !== undefined) found.loss = one.fractionLost;
      }
    }
    if (now) found.bitrate = this.rate.next(bytes, now);
    return found;
  }

  private offer(peer: RTCPeerConnection, stream: MediaStream): void {
    for (const kind of ["video", "audio"] as const) {
      const source = track(stream, kind);
      if (!source) continue;
      const most = kind === "video" ? this.settings.video : this.settings.audio;
      const encoding: RTCRtpEncodingParameters = { maxBitrate: most };
      if (kind === "video") encoding.maxFramerate = this.settings.framerate;
      const now = !this.paused ? source : kind === "audio" ? this.silence : null;
      const transceiver = peer.addTransceiver(now ?? kind, { direction: "sendonly", streams: [stream], sendEncodings: [encoding] });
      this.senders[kind] = transceiver.sender;
      if (kind !== "video") continue;
      source.contentHint ||= "motion";
      const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
      const wanted = codecs.filter(({ mimeType }) => /\/H264$/i.test(mimeType));
      // The server takes H.265 too, where there is no H.264; nothing else can be shown by every player.
      const taken = wanted.length ? wanted : codecs.filter(({ mimeType }) => /\/H265$/i.test(mimeType));
      if (taken.length === 0) throw new PublishError("UNSUPPORTED_CODEC", "this browser sends no H.264 by WebRTC");
      transceiver.setCodecPreferences?.([...taken, ...codecs.filter(({ mimeType }) => /\/rtx$/i.test(mimeType))]);
    }
  }

  private async post(sdp: string): Promise<void> {
    const { whip, query } = this.settings;
    const token = await this.settings.token();
    const headers: Record<string, string> = { "content-type": "application/sdp" };
    if (token) headers.authorization = `Bearer ${token}`;
    const reply = await this.fetch(whip + (query ? `?${query}` : ""), { method: "POST", headers, body: sdp });
    const text = await reply.text();
    if (reply.status !== 201) throw errorOfStatus(reply.status, text, reply.headers.get("retry-after"));
    this.address = new URL(reply.headers.get("location") ?? "", whip).href;
    this.answer = text;
    if (this.over) {
      // stop() came while the server was being asked.
      this.leave();
      throw new PublishError("ENDED", "stopped");
    }
  }

  private async fetch(address: string, init: RequestInit): Promise<Response> {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), PATIENCE);
    try {
      return await fetch(address, { ...init, signal: control.signal });
    } catch {
      throw new PublishError("CONNECTION_FAILED", "the server does not answer", false);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A picture that changes its size is a new beginning for every player. */
  private async tune(): Promise<void> {
    const sender = this.senders.video;
    if (!sender) return;
    const parameters: RTCRtpSendParameters & { degradationPreference?: string } = sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    await sender.setParameters(parameters).catch(() => undefined);
  }

  private hush(): void {
    this.paused = true;
    // A disabled track sends silence; the caller's own stays as it is. The server's clock goes on by it.
    this.silence = track(this.stream, "audio")?.clone() ?? null;
    if (this.silence) this.silence.enabled = false;
  }

  private async attach(): Promise<void> {
    await Promise.all((["video", "audio"] as const).map((kind) => this.senders[kind]?.replaceTrack(track(this.stream, kind))));
  }

  private changed = (): void => {
    const state = this.peer?.connectionState;
    clearTimeout(this.timer);
    if (state === "connected") this.reports.away(false);
    else if (state === "disconnected") {
      this.reports.away(true);
      this.timer = setTimeout(this.moved, INTERRUPTED);
    } else if (state === "failed") void this.restart();
    else if (state === "closed") this.lose("the server closed the connection");
  };

  private moved = (): void => void this.restart();

  /** Another network has other addresses: ICE begins anew, media goes on. */
  private async restart(): Promise<void> {
    const { peer } = this;
    // Without a network there is nobody to ask; "online" comes here again.
    if (!peer || this.restarting || this.over || globalThis.navigator?.onLine === false) return;
    this.restarting = true;
    try {
      const offer = await peer.createOffer({ iceRestart: true });
      await peer.setLocalDescription(offer);
      const mine = credentials(offer.sdp ?? "");
      if (!mine) throw new Error("an offer without credentials");
      const headers = { "content-type": "application/trickle-ice-sdpfrag", "if-match": "*" };
      const reply = await this.fetch(this.address, { method: "PATCH", headers, body: fragment(mine) });
      const theirs = credentials(await reply.text());
      if (reply.status !== 200 || !theirs) throw new PublishError("CONNECTION_FAILED", "the session is gone", false, { status: reply.status });
      this.answer = renewed(this.answer, theirs);
      await peer.setRemoteDescription({ type: "answer", sdp: withStartBitrate(this.answer, this.settings.video) });
      this.unheard = 0;
      this.reports.line("ICE has begun anew");
      clearTimeout(this.timer);
      this.timer = setTimeout(() => peer.connectionState !== "connected" && this.lose("the connection was lost"), HOPELESS);
    } catch (error) {
      const answered = !(error instanceof PublishError) || error.details.status !== undefined;
      this.unheard ||= performance.now();
      if (answered || performance.now() - this.unheard > PATIENT) this.lose(error instanceof Error ? error.message : String(error));
      else this.timer = setTimeout(this.moved, AGAIN);
    } finally {
      this.restarting = false;
    }
  }

  private lose(message: string): void {
    if (this.over) return;
    void this.stop();
    this.reports.lost(new PublishError("CONNECTION_FAILED", message, false, { transport: "whip" }));
  }

  /** What is left to be told the server: the address of the session. */
  private close(): string {
    const { address, peer } = this;
    this.over = true;
    this.address = "";
    this.peer = null;
    clearTimeout(this.timer);
    globalThis.removeEventListener?.("online", this.moved);
    network()?.removeEventListener?.("change", this.moved);
    peer?.removeEventListener("connectionstatechange", this.changed);
    peer?.close();
    this.silence?.stop();
    return address;
  }
}

function connected(peer: RTCPeerConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const state = peer.connectionState;
      if (state !== "connected" && state !== "failed" && state !== "closed") return;
      peer.removeEventListener("connectionstatechange", look);
      if (state === "connected") resolve();
      else reject(new PublishError("CONNECTION_FAILED", "no connection by UDP: its port is not open, or not reached from here", false));
    };
    peer.addEventListener("connectionstatechange", look);
    look();
  });
}

/** Chromium's news of the network. */
function network(): EventTarget | undefined {
  return (globalThis.navigator as { connection?: EventTarget } | undefined)?.connection;
}
