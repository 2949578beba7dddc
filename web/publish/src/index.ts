/** Publishes a MediaStream from a browser to hlsd. */

export { HlsdPublisher, HlsdPublisher as default } from "./publisher.js";
export { BrowserToRtmpClient, type CompatOptions } from "./compat.js";
export { PublishError, type ErrorDetails, type ErrorName } from "./errors.js";
export type { Events, State, Stats, TransportName } from "./events.js";
export type { PublishOptions } from "./options.js";
