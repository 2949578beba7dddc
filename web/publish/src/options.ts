/** The options of a publisher: what may be said, what holds if it is not, and the addresses that come of it. */

import { PublishError } from "./errors.js";
import type { TransportName } from "./events.js";

export interface PublishOptions {
  /** Address of the stream: `https://host/app/stream`; `/publish` or `/whip` behind it is taken off. */
  url?: string;
  /** Instead of `url`: the server's name, with or without `https://`. */
  host?: string;
  /** With `host`; 8000, or what stands in `host`. */
  port?: number;
  /** With `host`: the first part of the path. */
  app?: string;
  /** With `host`: the second part of the path, or the stream's key. */
  stream?: string;
  /** Pictures a second that the camera is asked for; 25. */
  framerate?: number;
  /** Of the picture; 2,500,000. */
  videoBitsPerSecond?: number;
  /** Of the sound; 128,000. */
  audioBitsPerSecond?: number;
  /** Ignored with a warning: viewers get 48 kHz. */
  audioSampleRate?: number;
  /** Refused: where a stream is pushed on to is the server's rule. */
  rtmp?: unknown;
  /** A JSON Web Token, or who makes a fresh one for each connection. */
  token?: string | (() => string | Promise<string>);
  /** Goes with the address: `sign`, `jwt`, what a callback wants to know. */
  query?: Record<string, string> | string;
  /** "auto": WHIP where the browser has H.264 for it and the server answers, else WebCodecs, else MediaRecorder. */
  transport?: "auto" | TransportName;
}

/** @internal What holds. */
export interface Settings {
  whip: string;
  socket: string;
  framerate: number;
  video: number;
  audio: number;
  token: () => Promise<string>;
  query: string;
  transport: "auto" | TransportName;
}

const TRANSPORTS = ["auto", "whip", "recorder", "chunks"];

/**
 * @internal
 * @param here the address of the page, against which a relative one is read; "" where there is none.
 */
export function readOptions(options: PublishOptions, here: string, warn: (text: string) => void): Settings {
  if (options.rtmp !== undefined) {
    throw wrong("rtmp is not taken: the stream's address says where it goes; pushing on to others is a relay rule of the server");
  }
  if (options.audioSampleRate !== undefined) warn("audioSampleRate is ignored: viewers get AAC of 48 kHz");
  const transport = options.transport ?? "auto";
  if (!TRANSPORTS.includes(transport)) throw wrong(`transport is one of ${TRANSPORTS.join(", ")}`);
  const base = options.url !== undefined ? ofUrl(options.url, here) : ofParts(options, here);
  const query = new URLSearchParams(base.search);
  for (const [name, value] of new URLSearchParams(options.query ?? "")) query.set(name, value);
  const place = `${base.host}${base.pathname.replace(/\/(publish|whip)?\/?$/, "")}`;
  if (place.split("/").filter(Boolean).length < 3) throw wrong("the address names no app and stream: https://host/app/stream");
  const secure = base.protocol === "https:";
  const { token } = options;
  return {
    whip: `${base.protocol}//${place}/whip`,
    socket: `${secure ? "wss" : "ws"}://${place}/publish`,
    framerate: number("framerate", options.framerate, 25, 1, 120),
    video: number("videoBitsPerSecond", options.videoBitsPerSecond, 2_500_000, 50_000, 50_000_000),
    audio: number("audioBitsPerSecond", options.audioBitsPerSecond, 128_000, 6_000, 510_000),
    token: async () => (typeof token === "function" ? await token() : (token ?? "")),
    query: query.toString(),
    transport,
  };
}

function ofUrl(text: string, here: string): URL {
  let url: URL;
  try {
    url = new URL(text, here || undefined);
  } catch {
    throw wrong(`not an address: ${text}`);
  }
  url.protocol = url.protocol.replace(/^ws/, "http");
  if (url.protocol !== "http:" && url.protocol !== "https:") throw wrong(`not an address of http or https: ${text}`);
  return url;
}

function ofParts({ host, port, app, stream }: PublishOptions, here: string): URL {
  if (!host) throw wrong("say where to publish to: url, or host, app and stream");
  if (!app || !stream) throw wrong("app and stream are needed beside host");
  const scheme = here.startsWith("https:") ? "https" : "http";
  const url = ofUrl(/^\w+:\/\//.test(host) ? host : `${scheme}://${host}`, "");
  // A port in `host` that is its scheme's own is not kept by URL.
  const written = /:\d+\/?$/.test(host);
  if (port !== undefined) url.port = String(number("port", port, 8000, 1, 65535));
  else if (!written) url.port = "8000";
  const prefix = url.pathname.replace(/\/$/, "");
  url.pathname = `${prefix}/${encodeURIComponent(app)}/${encodeURIComponent(stream)}`;
  return url;
}

function number(name: string, value: number | undefined, fallback: number, low: number, high: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value >= low && value <= high)) throw wrong(`${name} is a number of ${low} to ${high}`);
  return value;
}

function wrong(text: string): PublishError {
  return new PublishError("INVALID_PARAMETERS", text);
}
