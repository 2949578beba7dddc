/* Opens the page of recordings while one is under way, in Chromium, and prints what it asked and shows as JSON:
 *
 *   node growing_recordings.mjs EXECUTABLE URL
 *
 * `asked` are the `from` of its questions, in order; `items` what it has after the third, and `before` after the first.
 */

import { chromium } from "playwright-core";

const [executablePath, url] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--mute-audio"] });
const page = await browser.newPage();
const said = { errors: [], asked: [] };
page.on("pageerror", (error) => said.errors.push(error.message));
const answered = async (count) => {
  while (said.asked.length < count) {
    const answer = await page.waitForResponse((one) => one.url().includes("/r/list.json"), { timeout: 60000 });
    await answer.finished();
    said.asked.push(Number(new URL(answer.url()).searchParams.get("from")));
  }
};
const items = () => page.evaluate(() => window.hlsd.items.map(({ id, start, duration, state }) => ({ id, start, duration, state })));
const first = answered(1);
await page.goto(url);
await first;
await page.waitForFunction(() => window.hlsd.items.length > 1, undefined, { timeout: 60000 });
said.before = await items();
await answered(4);
const last = said.before.at(-1).duration;
await page.waitForFunction((was) => window.hlsd.items.at(-1).duration > was, last, { timeout: 60000 });
said.items = await items();
console.log(JSON.stringify(said));
await browser.close();
