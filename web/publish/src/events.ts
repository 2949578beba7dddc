/** Events with their types. A listener that throws harms nobody but itself. */

import type { PublishError } from "./errors.js";

export type State = "idle" | "connecting" | "live" | "paused" | "reconnecting" | "ended";
export type TransportName = "whip" | "recorder" | "chunks";

/** What is sent, once a second. `null`: not known by this transport or browser. */
export interface Stats {
  transport: TransportName;
  /** Bits a second that left. */
  bitrate: number;
  /** Pictures a second. */
  framerate: number | null;
  width: number | null;
  height: number | null;
  /** Milliseconds from here to the server. */
  lag: number | null;
  /** Share of packets that were lost, 0..1. */
  loss: number | null;
  /** What holds the encoder back: "none", "cpu", "bandwidth", "other". */
  limited: string | null;
  /** Bytes that wait for the network. */
  queued: number;
}

export interface Events {
  /** Something went wrong; what is not `fatal` is being mended. */
  error: (error: PublishError) => void;
  /** It is over: `stop()`, a fatal error, or the server's will. Comes once for each `start()`. */
  destroyed: (why: { reason: string }) => void;
  /** A line of the server's log about this publisher, if the server shows them. */
  ffmpegOutput: (line: string) => void;
  state: (change: { state: State; previous: State }) => void;
  stats: (stats: Stats) => void;
  /** The server has let it in, over WebRTC when the connection stands; again after each reconnect. */
  live: (how: { transport: TransportName }) => void;
}

export class Emitter {
  private listeners = new Map<keyof Events, Set<(value: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: Events[Name]): this {
    let all = this.listeners.get(name);
    if (!all) this.listeners.set(name, (all = new Set()));
    all.add(listener as (value: never) => void);
    return this;
  }

  once<Name extends keyof Events>(name: Name, listener: Events[Name]): this {
    const first = ((value: never) => {
      this.off(name, first);
      (listener as (value: never) => void)(value);
    }) as Events[Name];
    return this.on(name, first);
  }

  off<Name extends keyof Events>(name: Name, listener: Events[Name]): this {
    this.listeners.get(name)?.delete(listener as (value: never) => void);
    return this;
  }

  /** As in node's. */
  addListener<Name extends keyof Events>(name: Name, listener: Events[Name]): this {
    return this.on(name, listener);
  }

  removeListener<Name extends keyof Events>(name: Name, listener: Events[Name]): this {
    return this.off(name, listener);
  }

  protected emit<Name extends keyof Events>(name: Name, value: Parameters<Events[Name]>[0]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      try {
        (listener as (value: unknown) => void)(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
