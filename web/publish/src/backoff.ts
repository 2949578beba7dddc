/** @internal When a lost connection is tried again. Pure. */

const LONGEST = 10_000;

/** Milliseconds before try `number` (from 0): doubled each time, spread so that not all come back at once. */
export function delay(number: number, random: number, retryAfter = 0): number {
  const step = Math.min(LONGEST, 500 * 2 ** Math.min(number, 10));
  return Math.max(retryAfter * 1000, step * (0.75 + random / 2));
}
