/** Publishes a MediaStream to hlsd: one object for each broadcast, whichever way the browser and the network allow. */

import { delay } from "./backoff.js";
import { Chunks, hasChunks } from "./chunks.js";
import { asPublishError, last, PublishError } from "./errors.js";
import { Emitter, type State, type TransportName } from "./events.js";
import { readOptions, type PublishOptions, type Settings } from "./options.js";
import { hasRecorder, Recorder } from "./recorder.js";
import { mayComeBack, mayGoElsewhere } from "./verdicts.js";
import { track, type Reports, type Transport } from "./transport.js";
import { hasWebrtcH264, Whip } from "./whip.js";

const MAKERS = { whip: Whip, chunks: Chunks, recorder: Recorder };

export class HlsdPublisher extends Emitter {
  /** What it is doing. */
  state: State = "idle";
  /** By which way it publishes, once it does. */
  transport: TransportName | null = null;
  /** The id of the session at the server, secret; "" where there is none. `GET {stream}/publish/{id}` says how many watch. */
  get session(): string {
    return this.way?.session ?? "";
  }
  private settings: Settings;
  private way: Transport | null = null;
  private starting: Promise<void> | null = null;
  /** Counts starts and stops, so that what belongs to an older one is known. */
  private turn = 0;
  private clock: ReturnType<typeof setInterval> | undefined;

  /**
   * @param stream its tracks are sent as they are, and stay the caller's: `stop()` does not stop them.
   * @throws PublishError INVALID_PARAMETERS
   */
  constructor(
    private stream: MediaStream,
    options: PublishOptions = {},
  ) {
    super();
    if (!stream || typeof stream.getTracks !== "function") throw new PublishError("INVALID_PARAMETERS", "a MediaStream is needed");
    const here = typeof location === "undefined" ? "" : location.href;
    this.settings = readOptions(options, here, (text) => console.warn(`hlsd: ${text}`));
  }

  /**
   * Goes on air, or on after a pause. Resolves when the server has let it in, over WebRTC when the connection stands.
   * @throws PublishError (as a rejection); the `error` event has it too
   */
  start(): Promise<void> {
    if (this.state === "paused") return this.resume();
    if (this.starting) return this.starting;
    if (this.state === "live" || this.state === "reconnecting") return Promise.resolve();
    const turn = ++this.turn;
    this.move("connecting");
    this.starting = this.begin(turn).finally(() => (this.starting = null));
    return this.starting;
  }

  /** Sends no picture, and silence, until `start()` or `resume()`. Does nothing while not on air. */
  async pause(): Promise<void> {
    await this.starting;
    if (this.state !== "live" || !this.way) return;
    this.move("paused");
    await this.way.pause();
  }

  async resume(): Promise<void> {
    if (this.state !== "paused" || !this.way) return;
    await this.way.resume();
    if (this.state === "paused") this.move("live");
  }

  /** Ends the broadcast. Resolves when the server knows. Never rejects. */
  async stop(): Promise<void> {
    if (this.state === "idle" || this.state === "ended") return;
    await this.end("stopped");
  }

  /** Sends the tracks of another stream from now on: another camera, a screen. */
  async replace(stream: MediaStream): Promise<void> {
    this.stream = stream;
    const { way, turn } = this;
    if (!way || this.state === "idle" || this.state === "ended") return;
    await this.adapt();
    if ((await way.replace(stream)) || this.way !== way) return;
    // A kind of track that was not there before: only a new connection has it.
    this.way = null;
    await way.stop();
    void this.again(turn);
  }

  private async begin(turn: number): Promise<void> {
    globalThis.addEventListener?.("pagehide", this.leave);
    try {
      await this.connect(turn);
    } catch (thrown) {
      const error = last(asPublishError(thrown));
      if (turn === this.turn) {
        this.emit("error", error);
        await this.end(error.name);
      }
      throw error;
    }
  }

  private async connect(turn: number, paused = false): Promise<void> {
    if (this.stream.getTracks().every((one) => one.readyState !== "live")) {
      throw new PublishError("INVALID_PARAMETERS", "the stream has no track that is live");
    }
    await this.adapt();
    const names = await this.ways();
    if (names.length === 0) throw new PublishError("UNSUPPORTED_CODEC", "this browser has no way to send what the server takes");
    let first: PublishError | null = null;
    for (const name of names) {
      const way: Transport = new MAKERS[name](this.settings, this.reports(turn, () => this.way === way));
      if (turn !== this.turn) throw new PublishError("ENDED", "stopped");
      this.way = way;
      try {
        await way.start(this.stream, paused);
      } catch (thrown) {
        const error = asPublishError(thrown);
        error.details.transport = name;
        if (turn !== this.turn) throw new PublishError("ENDED", "stopped");
        this.way = null;
        first ??= error;
        if (!mayGoElsewhere(error)) throw error;
        continue;
      }
      if (turn !== this.turn) {
        await way.stop();
        throw new PublishError("ENDED", "stopped");
      }
      this.transport = name;
      this.live(name, paused);
      return;
    }
    throw first;
  }

  /** What this browser has, the best first; after a reconnect that which has worked. */
  private async ways(): Promise<TransportName[]> {
    const { transport } = this.settings;
    if (transport !== "auto") return [transport];
    const [picture, sound] = [track(this.stream, "video") !== null, track(this.stream, "audio") !== null];
    const names: TransportName[] = [];
    if (hasWebrtcH264()) names.push("whip");
    if (await hasChunks(this.settings, picture, sound)) names.push("chunks");
    if (hasRecorder(picture, sound)) names.push("recorder");
    const known = this.transport;
    return known && names.includes(known) ? [known, ...names.filter((name) => name !== known)] : names;
  }

  private reports(turn: number, mine: () => boolean): Reports {
    const current = (): boolean => turn === this.turn && mine();
    return {
      lost: (error) => {
        if (!current() || this.state === "connecting") return;
        this.way = null;
        this.emit("error", error);
        if (error.fatal) void this.end(error.name);
        else void this.again(turn);
      },
      away: (away) => {
        if (!current() || this.state === "paused") return;
        if (away && this.state === "live") this.move("reconnecting");
        else if (!away && this.state === "reconnecting" && this.transport) this.live(this.transport);
      },
      warn: (error) => current() && this.emit("error", error),
      line: (text) => current() && this.emit("ffmpegOutput", text),
    };
  }

  /** Until it is live again, or somebody stops it, or the server does not want it any more. */
  private async again(turn: number): Promise<void> {
    const paused = this.state === "paused";
    this.move("reconnecting");
    const began = Date.now();
    let wait = 0;
    for (let number = 0; ; number++) {
      await new Promise((resolve) => setTimeout(resolve, delay(number, Math.random(), wait)));
      if (turn !== this.turn) return;
      try {
        await this.connect(turn, paused);
        return;
      } catch (thrown) {
        if (turn !== this.turn) return;
        const error = asPublishError(thrown);
        if (!mayComeBack(error, Date.now() - began)) {
          this.emit("error", last(error));
          await this.end(error.name);
          return;
        }
        this.emit("error", new PublishError(error.name, error.message, false, error.details));
        wait = error.details.retryAfter ?? 0;
      }
    }
  }

  private live(transport: TransportName, paused = false): void {
    this.move(paused ? "paused" : "live");
    this.emit("live", { transport });
    clearInterval(this.clock);
    void this.way?.sample().catch(() => undefined); // what the first rate is counted from
    this.clock = setInterval(() => void this.measure(), 1000);
  }

  private async measure(): Promise<void> {
    const { way, state } = this;
    if (!way || (state !== "live" && state !== "paused")) return;
    const sample = await way.sample().catch(() => null);
    if (sample && this.way === way) this.emit("stats", { transport: way.name, ...sample });
  }

  private async end(reason: string): Promise<void> {
    this.turn++;
    const { way } = this;
    this.way = null;
    clearInterval(this.clock);
    globalThis.removeEventListener?.("pagehide", this.leave);
    this.move("ended");
    await way?.stop();
    this.emit("destroyed", { reason });
  }

  private leave = (): void => this.way?.leave();

  /** The camera gives what was asked for, where it can. */
  private async adapt(): Promise<void> {
    const picture = track(this.stream, "video");
    await picture?.applyConstraints({ ...picture.getConstraints(), frameRate: this.settings.framerate }).catch(() => undefined);
  }

  private move(state: State): void {
    const previous = this.state;
    if (state === previous) return;
    this.state = state;
    this.emit("state", { state, previous });
  }
}
