/* Uses the page of recordings as a viewer does, in Chromium, and prints what came of it as JSON:
 *
 *   node recordings.mjs EXECUTABLE URL WIDTH HEIGHT light|dark [SCREENSHOT]
 *
 * Each step waits until the page shows what it should, ten seconds at most; what did not come about is in `failed`.
 */

import { chromium } from "playwright-core";

const [executablePath, url, width, height, colorScheme, screenshot] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"] });
const page = await browser.newPage({ viewport: { width: Number(width), height: Number(height) }, colorScheme, hasTouch: Number(width) < 600 });
const said = { errors: [], failed: [] };
page.on("pageerror", (error) => said.errors.push(error.message));

async function until(what, condition) {
  try {
    await page.waitForFunction(condition, undefined, { timeout: 20000 });
  } catch {
    said.failed.push(what);
  }
}

await page.goto(url);
await until("a recording is there", () => window.hlsd.playing && window.hlsd.video.readyState >= 2);
await page.keyboard.press(" ");
await until("it plays", () => window.hlsd.video.currentTime > 0.5 && !window.hlsd.video.paused);
await page.keyboard.press("5");
await until("it plays on from its middle", () => window.hlsd.video.currentTime > window.hlsd.video.duration * 0.5 + 0.3);
await page.keyboard.press("i");
await page.keyboard.press("8");
await until("it plays on from there", () => window.hlsd.video.currentTime > window.hlsd.video.duration * 0.8);
await page.keyboard.press("o");
const bar = await page.locator("#seek").boundingBox();
await page.mouse.move(bar.x + bar.width * 0.3, bar.y + bar.height / 2);
await until("there is a thumbnail", () => getComputedStyle(document.getElementById("thumb")).backgroundImage.startsWith('url("blob:'));
await page.mouse.click(bar.x + bar.width * 0.1, bar.y + bar.height / 2);
await until("the bar seeks", () => window.hlsd.video.currentTime < window.hlsd.video.duration * 0.3);
Object.assign(said, await page.evaluate(() => ({
  items: window.hlsd.items.length,
  duration: window.hlsd.video.duration,
  days: document.querySelectorAll("#calendar button.some").length,
  download: document.getElementById("download").href,
  part: document.getElementById("cut-download").href,
  link: document.getElementById("cut-copy").dataset.url,
  wide: document.documentElement.scrollWidth,
})));
if (screenshot) await page.screenshot({ path: screenshot });
console.log(JSON.stringify(said));
await browser.close();
