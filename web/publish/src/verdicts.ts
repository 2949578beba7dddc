/** @internal What an error means for what is tried next. Pure. */

import type { PublishError } from "./errors.js";

const STALE = 30_000; // ms in which a name that is in use may still be by ourselves

/** Whether another transport may fare better: who is not let in is not let in by another way either. */
export function mayGoElsewhere(error: PublishError): boolean {
  const { status } = error.details;
  return error.name === "UNSUPPORTED_CODEC" || (error.name === "CONNECTION_FAILED" && (status === undefined || status === 404 || status === 405 || status >= 500));
}

/** Whether a broadcast that was live tries again, `since` milliseconds after it was lost. */
export function mayComeBack(error: PublishError, since: number): boolean {
  if (error.name === "CONNECTION_FAILED" || error.name === "LIMIT") return true;
  return error.name === "NAME_IN_USE" && since < STALE;
}
