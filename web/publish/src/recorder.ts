/** @internal Publishes what MediaRecorder makes, by WebSocket. */

import { PublishError } from "./errors.js";
import type { Stats } from "./events.js";
import { chooseMime } from "./mime.js";
import type { Settings } from "./options.js";
import { PublishSocket, type Start } from "./socket.js";
import { LEAST, LESS, Rate, track, type Reports, type Transport } from "./transport.js";

const SLICE = 100; // ms of a piece
const KEYS = 2000; // ms between key pictures
const SELDOM = 10_000; // ms between two recorders

export function hasRecorder(picture: boolean, sound: boolean): boolean {
  return (
    typeof MediaRecorder === "function" &&
    typeof WebSocket === "function" &&
    chooseMime((type) => MediaRecorder.isTypeSupported(type), picture, sound) !== ""
  );
}

export class Recorder implements Transport {
  readonly name = "recorder";
  private socket: PublishSocket;
  private stream: MediaStream | null = null;
  private recorder: MediaRecorder | null = null;
  private handed: Promise<void> = Promise.resolve();
  private bitrate: number;
  private began = 0;
  private paused = false;
  private rate = new Rate();
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(
    private settings: Settings,
    private reports: Reports,
  ) {
    this.bitrate = settings.video;
    this.socket = new PublishSocket(settings, reports, () => this.record());
  }

  get session(): string {
    return this.socket.id;
  }

  async start(stream: MediaStream, paused: boolean): Promise<void> {
    this.stream = stream;
    this.paused = paused;
    try {
      await this.socket.open(this.description());
      if (paused) this.socket.pause(true);
      this.record();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.watch = setInterval(() => this.relieve(), 1000);
  }

  async pause(): Promise<void> {
    this.paused = true;
    if (this.recorder?.state === "recording") {
      const piece = next(this.recorder);
      this.recorder.requestData();
      this.recorder.pause();
      await piece;
    }
    await this.handed;
    if (this.paused) this.socket.pause(true); // it may go on again by now
  }

  async resume(): Promise<void> {
    this.paused = false;
    this.socket.pause(false);
    if (this.recorder?.state === "paused") this.recorder.resume();
  }

  async replace(stream: MediaStream): Promise<boolean> {
    this.stream = stream;
    this.again();
    return true;
  }

  async stop(): Promise<void> {
    clearInterval(this.watch);
    const { recorder } = this;
    if (recorder && recorder.state !== "inactive") {
      const ended = new Promise<void>((resolve) => recorder.addEventListener("stop", () => resolve()));
      recorder.stop();
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000))]);
    }
    this.recorder = null;
    await this.handed;
    await this.socket.close();
  }

  leave(): void {
    this.socket.drop();
  }

  async sample(): Promise<Omit<Stats, "transport">> {
    const shown = track(this.stream, "video")?.getSettings() ?? {};
    return {
      bitrate: this.rate.next(this.socket.sent, performance.now()),
      framerate: shown.frameRate === undefined ? null : Math.round(shown.frameRate),
      width: shown.width ?? null,
      height: shown.height ?? null,
      lag: this.socket.lag,
      loss: null,
      limited: this.bitrate < this.settings.video ? "bandwidth" : "none",
      queued: this.socket.queued,
    };
  }

  private description(): Start {
    const [picture, sound] = [track(this.stream, "video"), track(this.stream, "audio")];
    const mime = chooseMime((type) => MediaRecorder.isTypeSupported(type), picture !== null, sound !== null);
    if (!mime) throw new PublishError("UNSUPPORTED_CODEC", "this browser records nothing that the server takes (H.264, AV1)");
    return { mime, framerate: this.settings.framerate, videoBitsPerSecond: this.bitrate, audioBitsPerSecond: this.settings.audio };
  }

  /** A recorder with which the recording begins; whatever is there of another is dropped. */
  private record(): void {
    if (!this.stream) return;
    const old = this.recorder;
    this.recorder = null;
    if (old && old.state !== "inactive") old.stop();
    const { mime } = this.description();
    const wanted: MediaRecorderOptions & { videoKeyFrameIntervalDuration: number } = {
      mimeType: mime,
      videoBitsPerSecond: this.bitrate,
      audioBitsPerSecond: this.settings.audio,
      videoKeyFrameIntervalDuration: KEYS,
    };
    const tracks = [track(this.stream, "video"), track(this.stream, "audio")].filter((one) => one !== null);
    const recorder = new MediaRecorder(new MediaStream(tracks), wanted);
    this.recorder = recorder;
    this.began = performance.now();
    recorder.addEventListener("dataavailable", ({ data }) => {
      // Blobs are read one behind the other: two that are read at once may come out in the wrong order.
      this.handed = this.handed.then(() => this.hand(recorder, data)).catch(() => undefined);
    });
    recorder.addEventListener("error", () => {
      if (this.recorder !== recorder) return;
      void this.stop();
      this.reports.lost(new PublishError("BAD_MEDIA", "the browser's recorder failed", false, { transport: this.name }));
    });
    recorder.start(SLICE);
    if (this.paused) recorder.pause();
  }

  private async hand(recorder: MediaRecorder, data: Blob): Promise<void> {
    const bytes = new Uint8Array(await data.arrayBuffer());
    if (this.recorder !== recorder && this.recorder !== null) return; // of one that was replaced
    if (!this.socket.send(bytes)) this.again(); // a hole cannot be decoded: it begins anew behind it
  }

  /** A new recorder on the same connection. */
  private again(): void {
    const old = this.recorder;
    this.recorder = null;
    if (old && old.state !== "inactive") old.stop();
    this.handed = this.handed.then(() => {
      if (this.recorder) return;
      try {
        this.socket.begin(this.description());
        this.record();
      } catch (error) {
        this.reports.lost(error instanceof PublishError ? error : new PublishError("UNSUPPORTED_CODEC", String(error)));
      }
    });
  }

  /** A running recorder's bit rate cannot be changed: where the line does not carry it, another one begins with less. */
  private relieve(): void {
    const behind = this.socket.crowded;
    if (!behind || this.paused || performance.now() - this.began < SELDOM || this.bitrate <= LEAST) return;
    this.bitrate = Math.max(LEAST, Math.round(this.bitrate * LESS));
    this.again();
  }
}

function next(recorder: MediaRecorder): Promise<void> {
  const came = new Promise<void>((resolve) => recorder.addEventListener("dataavailable", () => resolve(), { once: true }));
  return Promise.race([came, new Promise<void>((resolve) => setTimeout(resolve, 500))]);
}
