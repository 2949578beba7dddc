/** @internal The records of `application/x-hlsd-chunks`, and what encoders are asked for. Pure. */

export const PICTURE = 1;
export const SOUND = 2;
export const PICTURE_CONFIG = 3;
export const SOUND_CONFIG = 4;
const HEAD = 16;

/** A record with its head, whose body the caller fills. `pts` in microseconds. */
export function record(kind: number, key: boolean, pts: number, size: number): Uint8Array {
  const bytes = new Uint8Array(HEAD + size);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, key ? 1 : 0);
  view.setBigInt64(4, BigInt(Math.round(pts)));
  view.setUint32(12, size);
  return bytes;
}

export const body = (bytes: Uint8Array): Uint8Array => bytes.subarray(HEAD);

/** The record of a decoder's configuration, as JSON. */
export function configuration(kind: number, config: object & { description?: unknown }): Uint8Array {
  const plain = { ...config } as Record<string, unknown>;
  const raw = bytesOf(config.description);
  if (raw) plain.description = btoa(String.fromCharCode(...raw));
  else delete plain.description;
  const text = new TextEncoder().encode(JSON.stringify(plain));
  const bytes = record(kind, false, 0, text.length);
  body(bytes).set(text);
  return bytes;
}

function bytesOf(source: unknown): Uint8Array | null {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  return ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength) : null;
}

// H.264 table A-1: the level's number, macroblocks a picture and a second.
const LEVELS: readonly [string, number, number][] = [
  ["1f", 3600, 108_000],
  ["20", 5120, 216_000],
  ["28", 8192, 245_760],
  ["2a", 8704, 522_240],
  ["33", 36_864, 983_040],
];

/** Constrained Baseline of the lowest level that has room. */
export function avcCodec(width: number, height: number, framerate: number): string {
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const level = LEVELS.find(([, most, second]) => blocks <= most && blocks * framerate <= second);
  return `avc1.42e0${level?.[0] ?? "34"}`;
}

/** Microseconds on the clock of `now`, of sources that count from zeros of their own. */
export class CommonClock {
  private offsets: Partial<Record<"video" | "audio", number>> = {};
  private zero: number | null = null;

  /** `timestamp` of a `kind` that came at `now`, both in microseconds. */
  time(kind: "video" | "audio", timestamp: number, now: number): number {
    let offset = this.offsets[kind];
    if (offset === undefined) {
      const other = this.offsets[kind === "video" ? "audio" : "video"];
      const mine = now - timestamp;
      // Where both count from one zero, the difference is what the devices themselves need: it must stay.
      offset = other !== undefined && Math.abs(mine - other) < 500_000 ? other : mine;
      this.offsets[kind] = offset;
    }
    this.zero ??= timestamp + offset;
    return timestamp + offset - this.zero;
  }

  /** Another source for `kind`, with a zero of its own. */
  forget(kind: "video" | "audio"): void {
    delete this.offsets[kind];
  }
}
