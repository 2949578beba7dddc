// Runs Node-Media-Server as a peer: serve.js RTMP_PORT HTTP_PORT MEDIA_FOLDER
"use strict";
const NodeMediaServer = require("node-media-server");

const [rtmp, http, mediaroot] = process.argv.slice(2);
new NodeMediaServer({
  logType: 1,
  rtmp: { port: Number(rtmp), chunk_size: 60000, gop_cache: true, ping: 30, ping_timeout: 60 },
  http: { port: Number(http), mediaroot, allow_origin: "*", api: false },
}).run();
