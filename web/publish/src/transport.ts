/** @internal What a way to the server owes the publisher, and what it gets from it. */

import type { PublishError } from "./errors.js";
import type { Stats, TransportName } from "./events.js";

/** What a transport says while it runs. */
export interface Reports {
  /** The connection is lost and cannot be mended by the transport; `error.fatal`: nor by a new one. */
  lost: (error: PublishError) => void;
  /** The connection is away, or back: the transport mends it itself. */
  away: (away: boolean) => void;
  /** Something to be told, that ends nothing. */
  warn: (error: PublishError) => void;
  /** What the server says of this publisher. */
  line: (text: string) => void;
}

export interface Transport {
  readonly name: TransportName;
  /** The server's id of the session, "" while there is none. */
  readonly session: string;
  /** Resolves when the server has let us in, over WebRTC when the connection stands. `paused`: as after `pause()`, from the first byte. */
  start(stream: MediaStream, paused: boolean): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Other tracks from now on. False: only a new connection can do that. */
  replace(stream: MediaStream): Promise<boolean>;
  /** Ends in good order, and never rejects. */
  stop(): Promise<void>;
  /** The page goes away: what can be said without waiting. */
  leave(): void;
  sample(): Promise<Omit<Stats, "transport">>;
}

export const track = (stream: MediaStream | null, kind: "video" | "audio"): MediaStreamTrack | null =>
  stream?.getTracks().find((one) => one.kind === kind && one.readyState === "live") ?? null;

/** Rejects when it takes longer than `ms`. */
export async function within<Value>(ms: number, what: Promise<Value>, late: () => Error): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await Promise.race([what, new Promise<never>((_, reject) => (timer = setTimeout(() => reject(late()), ms)))]);
  } finally {
    clearTimeout(timer);
  }
}

export const LESS = 0.6; // of the bit rate, when the line does not carry it
export const LEAST = 150_000; // bits a second

/** Bits a second of a count of bytes, from one look at it to the next. */
export class Rate {
  private bytes = 0;
  private at = 0;

  next(bytes: number, now: number): number {
    const seconds = (now - this.at) / 1000;
    const rate = this.at && seconds > 0 && bytes >= this.bytes ? ((bytes - this.bytes) * 8) / seconds : 0;
    this.bytes = bytes;
    this.at = now;
    return Math.round(rate);
  }
}
