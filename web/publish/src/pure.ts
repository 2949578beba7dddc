/** @internal What can be tested without a browser. */

export * from "./backoff.js";
export * from "./chunk.js";
export * from "./errors.js";
export * from "./events.js";
export * from "./mime.js";
export * from "./options.js";
export * from "./sdp.js";
export * from "./unacked.js";
export * from "./verdicts.js";
