/** A client by another name that many pages know: the same class, with that one's constructor. */

import { PublishError } from "./errors.js";
import type { PublishOptions } from "./options.js";
import { HlsdPublisher } from "./publisher.js";

export interface CompatOptions extends Omit<PublishOptions, "token"> {
  token?: string;
  /** Of the connection: `auth.token` and `query` are taken from it. */
  socketio?: { auth?: { token?: string; [more: string]: unknown }; query?: Record<string, string>; [more: string]: unknown };
}

export class BrowserToRtmpClient extends HlsdPublisher {
  /** @throws PublishError INVALID_PARAMETERS, for `rtmp` among others: say `app` and `stream`, or `url`. */
  constructor(stream: MediaStream, { socketio, ...options }: CompatOptions) {
    if (socketio && typeof socketio !== "object") throw new PublishError("INVALID_PARAMETERS", "socketio is an object");
    super(stream, { ...options, token: options.token ?? socketio?.auth?.token, query: options.query ?? socketio?.query });
  }
}
