/** @internal The global: the class, with what else there is as its properties. */

import { BrowserToRtmpClient } from "./compat.js";
import { PublishError } from "./errors.js";
import { HlsdPublisher } from "./publisher.js";

export default Object.assign(HlsdPublisher, { HlsdPublisher, BrowserToRtmpClient, PublishError });
