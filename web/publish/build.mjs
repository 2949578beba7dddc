/* Makes dist/: publish.js (ESM), publish.umd.js (global HlsdPublisher), types/. Needs `npm ci` beforehand. */

import { rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const place = (path) => fileURLToPath(new URL(path, import.meta.url));

// An older one must not be taken for what this build made, if it fails half way.
rmSync(place("dist"), { recursive: true, force: true });
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const types = spawnSync(process.execPath, [compiler, "-p", here], { stdio: "inherit" });
if (types.status !== 0) process.exit(1);

const common = { bundle: true, minify: true, target: "es2020", absWorkingDir: here, legalComments: "none", logLevel: "warning" };
await build({ ...common, entryPoints: ["src/index.ts"], format: "esm", outfile: "dist/publish.js" });
// The pure parts, for tests in node.
await build({ ...common, minify: false, entryPoints: ["src/pure.ts"], format: "esm", outfile: "dist/pure.js" });
// CommonJS where there is some, AMD where there is that, a global otherwise.
const before =
  "(function(r,f){typeof module==='object'&&module.exports?module.exports=f():" +
  "typeof define==='function'&&define.amd?define(f):r.HlsdPublisher=f()})(typeof self!=='undefined'?self:this,function(){";
await build({
  ...common,
  entryPoints: ["src/umd.ts"],
  format: "iife",
  globalName: "hlsdPublish",
  banner: { js: before },
  footer: { js: "return hlsdPublish.default});" },
  outfile: "dist/publish.umd.js",
});
