/** @internal Publishes what WebCodecs encodes, H.264 and Opus, by WebSocket. */

import { avcCodec, body, CommonClock, configuration, PICTURE, PICTURE_CONFIG, record, SOUND, SOUND_CONFIG } from "./chunk.js";
import { PublishError } from "./errors.js";
import type { Stats } from "./events.js";
import type { Settings } from "./options.js";
import { PublishSocket, type Start } from "./socket.js";
import { pictures, sounds, type Stop } from "./sources.js";
import { LEAST, LESS, Rate, track, type Reports, type Transport } from "./transport.js";

const KEYS = 2_000_000; // µs between key pictures
const BUSY = 4; // pictures that wait for the encoder: more are left out
const MORE = 1.25;

function encoderConfig(width: number, height: number, framerate: number, bitrate: number): VideoEncoderConfig {
  return {
    codec: avcCodec(width, height, framerate),
    width,
    height,
    framerate,
    bitrate,
    latencyMode: "realtime",
    avc: { format: "annexb" },
  };
}

export async function hasChunks(settings: Settings, picture: boolean, sound: boolean): Promise<boolean> {
  if (typeof WebSocket !== "function") return false;
  try {
    if (picture && !(await VideoEncoder.isConfigSupported(encoderConfig(1280, 720, settings.framerate, settings.video))).supported) return false;
    if (!sound) return true;
    const opus = { codec: "opus", sampleRate: 48_000, numberOfChannels: 2, bitrate: settings.audio };
    return Boolean((await AudioEncoder.isConfigSupported(opus)).supported);
  } catch {
    return false; // there is no such encoder here at all
  }
}

export class Chunks implements Transport {
  readonly name = "chunks";
  private socket: PublishSocket;
  private stream: MediaStream | null = null;
  private stops: Stop[] = [];
  private picture: VideoEncoder | null = null;
  private sound: AudioEncoder | null = null;
  private configs = new Map<number, Uint8Array>();
  private clock = new CommonClock();
  private shape = "";
  private size = { width: 0, height: 0 };
  private tone = "";
  private key = -Infinity;
  private wantsKey = true;
  private skips = true;
  private paused = false;
  private over = false;
  private bitrate: number;
  private changed = 0;
  private count = 0;
  private counted = 0;
  private rate = new Rate();
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(
    private settings: Settings,
    private reports: Reports,
  ) {
    this.bitrate = settings.video;
    this.socket = new PublishSocket(settings, reports, () => this.renew());
  }

  get session(): string {
    return this.socket.id;
  }

  async start(stream: MediaStream, paused: boolean): Promise<void> {
    this.stream = stream;
    this.paused = paused;
    try {
      await this.socket.open(this.description());
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (paused) this.socket.pause(true);
    this.listen();
    this.watch = setInterval(() => this.relieve(), 1000);
  }

  async pause(): Promise<void> {
    this.paused = true;
    await this.flush();
    if (this.paused) this.socket.pause(true); // it may go on again by now
  }

  async resume(): Promise<void> {
    this.socket.pause(false);
    this.paused = false;
    this.wantsKey = true;
  }

  async replace(stream: MediaStream): Promise<boolean> {
    const had = [this.picture !== null, this.sound !== null];
    const has = [track(stream, "video") !== null, track(stream, "audio") !== null];
    this.stream = stream;
    if (String(had) !== String(has)) return false;
    this.deaf();
    this.clock.forget("video");
    this.clock.forget("audio");
    this.wantsKey = true;
    this.listen();
    return true;
  }

  async stop(): Promise<void> {
    clearInterval(this.watch);
    this.deaf();
    await this.flush();
    this.over = true;
    for (const encoder of [this.picture, this.sound]) if (encoder && encoder.state !== "closed") encoder.close();
    await this.socket.close();
  }

  leave(): void {
    this.socket.drop();
  }

  async sample(): Promise<Omit<Stats, "transport">> {
    const now = performance.now();
    const framerate = this.counted ? Math.round((this.count * 1000) / (now - this.counted)) : null;
    this.count = 0;
    this.counted = now;
    return {
      bitrate: this.rate.next(this.socket.sent, now),
      framerate,
      width: this.size.width || null,
      height: this.size.height || null,
      lag: this.socket.lag,
      loss: null,
      limited: this.bitrate < this.settings.video ? "bandwidth" : "none",
      queued: this.socket.queued,
    };
  }

  private description(): Start {
    const { width = 1280, height = 720 } = track(this.stream, "video")?.getSettings() ?? {};
    const codecs = [
      ...(track(this.stream, "video") ? [avcCodec(width, height, this.settings.framerate)] : []),
      ...(track(this.stream, "audio") ? ["opus"] : []),
    ];
    return {
      mime: `application/x-hlsd-chunks;codecs="${codecs.join(",")}"`,
      framerate: this.settings.framerate,
      videoBitsPerSecond: this.settings.video,
      audioBitsPerSecond: this.settings.audio,
    };
  }

  private listen(): void {
    const [seen, heard] = [track(this.stream, "video"), track(this.stream, "audio")];
    if (seen) {
      this.picture ??= new VideoEncoder({ output: (chunk, about) => this.put(PICTURE, chunk, about?.decoderConfig), error: (error) => this.failed(error) });
      this.stops.push(pictures(seen, (frame) => this.show(frame)));
    }
    if (heard) {
      this.sound ??= new AudioEncoder({ output: (chunk, about) => this.put(SOUND, chunk, about?.decoderConfig), error: (error) => this.failed(error) });
      this.stops.push(sounds(heard, (data) => this.hear(data)));
    }
  }

  private deaf(): void {
    for (const stop of this.stops.splice(0)) stop();
  }

  private show(frame: VideoFrame): void {
    const encoder = this.picture;
    try {
      if (!encoder || this.paused || this.over || encoder.encodeQueueSize > BUSY) return;
      // H.264 has even sizes.
      const [width, height] = [frame.displayWidth & ~1, frame.displayHeight & ~1];
      const shape = `${width}x${height}@${this.bitrate}`;
      if (shape !== this.shape) {
        encoder.configure(encoderConfig(width, height, this.settings.framerate, this.bitrate));
        if (this.size.width !== width || this.size.height !== height) this.wantsKey = true;
        this.size = { width, height };
        this.shape = shape;
      }
      const time = this.clock.time("video", frame.timestamp, performance.now() * 1000);
      const keyFrame = this.wantsKey || time - this.key >= KEYS;
      if (keyFrame) this.key = time;
      this.wantsKey = false;
      const timed = new VideoFrame(frame, { timestamp: Math.round(time) });
      encoder.encode(timed, { keyFrame });
      timed.close();
    } catch (error) {
      this.failed(error);
    } finally {
      frame.close();
    }
  }

  private hear(data: AudioData): void {
    const encoder = this.sound;
    try {
      if (!encoder || this.paused || this.over) return;
      const { sampleRate, numberOfChannels } = data;
      const tone = `${sampleRate}/${numberOfChannels}`;
      if (tone !== this.tone) {
        encoder.configure({ codec: "opus", sampleRate, numberOfChannels, bitrate: this.settings.audio });
        this.tone = tone;
      }
      this.clock.time("audio", data.timestamp, performance.now() * 1000); // before the encoder's own delay
      encoder.encode(data);
    } catch (error) {
      this.failed(error);
    } finally {
      data.close();
    }
  }

  private put(kind: number, chunk: EncodedVideoChunk | EncodedAudioChunk, config?: object): void {
    if (this.over) return;
    if (config) {
      const told = configuration(kind === PICTURE ? PICTURE_CONFIG : SOUND_CONFIG, config);
      this.configs.set(kind, told);
      this.socket.send(told);
    }
    const key = kind === PICTURE && chunk.type === "key";
    if (kind === PICTURE) {
      if (this.skips && !key) return;
      this.skips = false;
      this.count++;
    }
    // Pictures have their time already; sound gets it where it leaves, so that its encoder sees no seam.
    const time = kind === PICTURE ? chunk.timestamp : this.clock.time("audio", chunk.timestamp, performance.now() * 1000);
    const bytes = record(kind, key, time, chunk.byteLength);
    chunk.copyTo(body(bytes));
    if (this.socket.send(bytes)) return;
    this.skips = this.wantsKey = true; // what follows a picture that is missing cannot be decoded
  }

  /** The server knows nothing of what was: configurations and a key picture come first. */
  private renew(): void {
    for (const told of this.configs.values()) this.socket.send(told);
    this.skips = this.wantsKey = true;
  }

  private relieve(): void {
    const now = performance.now();
    const behind = this.socket.crowded;
    if (behind && now - this.changed > 3000) this.change(this.bitrate * LESS, now);
    else if (!behind && this.bitrate < this.settings.video && now - this.changed > 15_000) this.change(this.bitrate * MORE, now);
  }

  private change(bitrate: number, now: number): void {
    this.bitrate = Math.round(Math.min(this.settings.video, Math.max(LEAST, bitrate)));
    this.changed = now;
  }

  private async flush(): Promise<void> {
    const busy = [this.picture, this.sound].filter((encoder) => encoder?.state === "configured");
    const flushed = Promise.allSettled(busy.map((encoder) => encoder?.flush()));
    await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, 1000))]);
  }

  private failed(error: unknown): void {
    if (this.over) return;
    const message = error instanceof Error ? error.message : String(error);
    void this.stop();
    this.reports.lost(new PublishError("UNSUPPORTED_CODEC", `the browser's encoder failed: ${message}`, false, { transport: this.name }));
  }
}
