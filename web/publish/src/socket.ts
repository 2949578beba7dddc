/** @internal The WebSocket of a recording: let in, acknowledged, and gone on with behind a cut. */

import { delay } from "./backoff.js";
import { errorName, PublishError } from "./errors.js";
import type { Settings } from "./options.js";
import { within, type Reports } from "./transport.js";
import { Unacked } from "./unacked.js";

const PATIENCE = 10_000; // ms for a connection and its `ready`
const AWAY = 30_000; // ms for which a cut is mended here
const PIECE = 1 << 19; // bytes of a message
const FULL = 8 << 20; // bytes that wait for the network: nothing is added
const CROWDED = 1 << 20; // bytes that wait
const BEHIND = 2000; // ms of lag
/** Closing code by which the server keeps the publication for us. */
const COMING_BACK = 4000;

export interface Start {
  mime: string;
  framerate?: number;
  videoBitsPerSecond?: number;
  audioBitsPerSecond?: number;
}

export class PublishSocket {
  /** Milliseconds that the server is behind, as it last said. */
  lag: number | null = null;
  /** Bytes given to the network. */
  sent = 0;
  /** The server's, of this publication; secret. */
  id = "";
  private socket: WebSocket | null = null;
  private unacked = new Unacked();
  private over = false;
  private ending = false;
  private mending = false;
  /** A recording was begun while there was no connection: the server knows nothing of it. */
  private unknown = false;
  private start: Start | null = null;
  private paused = false;
  private waiting: { resolve: (from: number | null) => void; reject: (error: Error) => void } | null = null;

  /** @param renew makes a new recording, because the old one cannot be gone on with. */
  constructor(
    private settings: Settings,
    private reports: Reports,
    private renew: () => void,
  ) {}

  /** Opens it, and begins the first recording. */
  async open(start: Start): Promise<void> {
    this.start = start;
    await this.connect();
  }

  /** A new recording on this socket; its bytes may follow at once. */
  begin(start: Start): void {
    this.start = start;
    this.unacked.reset();
    if (this.mending) this.unknown = true;
    else {
      this.say({ type: "start", ...start });
      if (this.paused) this.say({ type: "pause" }); // a recording that begins is live to the server
    }
  }

  /** Takes bytes of the recording. False: there is too much under way, and they were not taken. */
  send(bytes: Uint8Array): boolean {
    if (this.over || bytes.length === 0) return true;
    if (this.queued > FULL) return false;
    this.unacked.push(bytes, performance.now());
    if (!this.mending) this.put(bytes);
    return true;
  }

  pause(paused: boolean): void {
    this.paused = paused;
    if (!this.mending) this.say({ type: paused ? "pause" : "resume" });
  }

  /** Bytes that wait for the network. */
  get queued(): number {
    return this.mending ? this.unacked.held : (this.socket?.bufferedAmount ?? 0);
  }

  /** Whether the line does not carry what is sent. */
  get crowded(): boolean {
    return this.queued > CROWDED || (this.lag ?? 0) > BEHIND;
  }

  /** Ends the publication in good order; what was sent goes out before. */
  async close(): Promise<void> {
    const { socket } = this;
    this.ending = true;
    if (socket && socket.readyState <= WebSocket.OPEN) {
      const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
      socket.close(1000);
      await within(2000, closed, () => new Error()).catch(() => undefined);
    }
    this.drop();
  }

  /** Ends it without waiting. */
  drop(): void {
    this.over = true;
    this.socket?.close(1000);
    this.socket = null;
    this.waiting?.reject(new PublishError("ENDED", "stopped"));
    this.waiting = null;
    globalThis.removeEventListener?.("online", this.moved);
  }

  private async connect(): Promise<void> {
    const { socket: address, query } = this.settings;
    const parameters = new URLSearchParams(query);
    const token = await this.settings.token();
    // Browsers let no page add a header to a handshake.
    if (token) parameters.set("token", token);
    if (this.over) throw new PublishError("ENDED", "stopped");
    const text = parameters.toString();
    const socket = new WebSocket(address + (text ? `?${text}` : ""));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const ready = new Promise<number | null>((resolve, reject) => (this.waiting = { resolve, reject }));
    socket.onopen = () => this.say({ type: "start", ...this.start, ...(this.id ? { resume: this.id } : {}) });
    socket.onmessage = ({ data }) => this.socket === socket && this.hear(data);
    socket.onclose = ({ code, reason }) => this.socket === socket && this.closed(code, reason);
    try {
      const from = await within(PATIENCE, ready, () => new PublishError("CONNECTION_FAILED", "the server does not answer", false));
      this.goOn(from);
    } catch (error) {
      if (this.socket === socket) this.socket = null;
      socket.close(COMING_BACK);
      throw error;
    } finally {
      this.waiting = null;
    }
    globalThis.addEventListener?.("online", this.moved);
  }

  /** After a cut: from byte `from` on, or with a new recording. */
  private goOn(from: number | null): void {
    if (!this.mending) return;
    this.mending = false;
    const fresh = this.unknown || from === null;
    const rest = this.unknown ? this.unacked.since(0) : from === null ? null : this.unacked.since(from);
    this.unknown = false;
    // What the server would go on with is not what comes now.
    if (from !== null && (fresh || !rest)) this.say({ type: "start", ...this.start });
    if (rest) for (const bytes of rest) this.put(bytes);
    else {
      this.unacked.reset();
      this.renew();
    }
    if (this.paused) this.say({ type: "pause" });
  }

  private hear(data: unknown): void {
    let said: Record<string, unknown>;
    try {
      said = JSON.parse(String(data)) as Record<string, unknown>;
    } catch {
      return;
    }
    if (said.type === "ready") {
      this.id = String(said.id ?? "");
      this.waiting?.resolve(typeof said.from === "number" ? said.from : null);
    } else if (said.type === "ack") {
      if (typeof said.bytes === "number") this.unacked.release(said.bytes);
      this.lag = typeof said.lag_ms === "number" ? said.lag_ms : null;
    } else if (said.type === "state") {
      this.reports.line(`state: ${String(said.state)}`);
    } else if (said.type === "error") {
      const name = errorName(said.name);
      const error = new PublishError(name, String(said.message ?? name), Boolean(said.fatal), { transport: "socket" });
      this.reports.line(`error: ${error.name}: ${error.message}`);
      if (!said.fatal) this.reports.warn(error);
      else this.fail(error);
    }
  }

  private fail(error: PublishError): void {
    const { waiting } = this;
    if (waiting) waiting.reject(error);
    else if (!this.over) {
      this.drop();
      this.reports.lost(error);
    }
  }

  private closed(code: number, reason: string): void {
    this.socket = null;
    if (this.ending || this.over) return;
    if (this.waiting) {
      this.waiting.reject(new PublishError("CONNECTION_FAILED", "the server refused the connection", false, { code }));
    } else if (code === 1006 || code === 1005 || code === COMING_BACK) {
      void this.mend();
    } else {
      // 1001: it stops, and another one may be there soon.
      const away = code === 1001 || code === 1012;
      this.fail(new PublishError(away ? "CONNECTION_FAILED" : "ENDED", reason || "the server closed the connection", !away, { code }));
    }
  }

  private moved = (): void => {
    // The old connection belongs to a network that is gone; waiting for it to time out costs half a minute.
    const { socket } = this;
    if (!socket || this.mending || this.over) return;
    this.socket = null;
    socket.close(COMING_BACK);
    void this.mend();
  };

  private async mend(): Promise<void> {
    this.mending = true;
    this.reports.away(true);
    const began = performance.now();
    for (let number = 0; !this.over; number++) {
      try {
        await this.connect();
        this.reports.away(false);
        return;
      } catch (error) {
        if (this.over) return;
        const known = error instanceof PublishError ? error : null;
        if (known?.fatal || performance.now() - began > AWAY) {
          this.drop();
          this.reports.lost(known ?? new PublishError("CONNECTION_FAILED", String(error), false));
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, delay(number, Math.random())));
    }
  }

  private say(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private put(bytes: Uint8Array): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    for (let from = 0; from < bytes.length; from += PIECE) this.socket.send(bytes.subarray(from, from + PIECE) as Uint8Array<ArrayBuffer>);
    this.sent += bytes.length;
  }
}
