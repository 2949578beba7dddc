/** @internal What was sent and not acknowledged, so that a cut loses nothing. Pure. */

const MOST = 8 << 20; // bytes
const OLDEST = 10_000; // ms

interface Piece {
  from: number;
  bytes: Uint8Array;
  at: number;
}

export class Unacked {
  private pieces: Piece[] = [];
  /** Bytes of this recording so far. */
  total = 0;
  /** Bytes that are kept. */
  held = 0;

  /** A new recording: counts from 0. */
  reset(): void {
    this.pieces = [];
    this.total = this.held = 0;
  }

  push(bytes: Uint8Array, now: number): void {
    this.pieces.push({ from: this.total, bytes, at: now });
    this.total += bytes.length;
    this.held += bytes.length;
    while (this.held > MOST || (this.pieces[0] && now - this.pieces[0].at > OLDEST)) this.drop();
  }

  /** The first `count` bytes of the recording need not be kept. */
  release(count: number): void {
    for (let first = this.pieces[0]; first && first.from + first.bytes.length <= count; first = this.pieces[0]) this.drop();
  }

  /** All from byte `from` on; null if that is no more here. */
  since(from: number): Uint8Array[] | null {
    const first = this.pieces[0];
    if (from === this.total) return [];
    if (!first || from < first.from || from > this.total) return null;
    return this.pieces
      .filter((piece) => piece.from + piece.bytes.length > from)
      .map((piece) => (piece.from >= from ? piece.bytes : piece.bytes.subarray(from - piece.from)));
  }

  private drop(): void {
    this.held -= this.pieces.shift()?.bytes.length ?? 0;
  }
}
