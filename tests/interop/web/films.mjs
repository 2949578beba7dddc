/* Uses the page of films as an operator does, in Chromium, and prints what came of it as JSON:
 *
 *   node films.mjs EXECUTABLE URL TOKEN FILM SCREENSHOT
 *
 * The first PATCH of the upload is cut off on its way. Each step waits until the page shows what it should; what did
 * not come about is in `failed`.
 */

import { chromium } from "playwright-core";

const [executablePath, url, token, film, screenshot] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"] });
const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
const said = { errors: [], failed: [], cut: 0 };
page.on("pageerror", (error) => said.errors.push(error.message));
page.on("dialog", (dialog) => dialog.accept());
await page.route("**/api/v1/uploads/*", (route) => {
  if (route.request().method() !== "PATCH" || said.cut) return route.continue();
  said.cut += 1;
  return route.abort("connectionreset");
});

async function until(what, condition, timeout = 60000) {
  try {
    await page.waitForFunction(condition, undefined, { timeout });
  } catch {
    said.failed.push(what);
  }
}

await page.goto(url);
await page.fill("#token", "wrong-token-of-nobody");
await page.click("#door button");
await until("a wrong token is told", () => document.getElementById("door-note").textContent.includes("token"));
await page.fill("#token", token);
await page.click("#door button");
await until("the room is open", () => !document.getElementById("room").hidden);
// Another page of this tab's origin, with the token that the console has kept: nothing is asked for
await page.reload();
await until("the console's token is enough", () => !document.getElementById("room").hidden);
said.key = await page.evaluate(() => Object.keys(sessionStorage).join());
await page.setInputFiles("#file", film);
await until("the upload is cut off", () => document.getElementById("sending-note").textContent.includes("cut off"));
await until("a film is made", () => document.querySelector('li[data-state="done"]'));
await page.click('li[data-state="done"] button:text("Play")');
await until("it plays", () => document.getElementById("video").currentTime > 0.5);
await until("its cover is there", () => document.querySelector("li img").naturalWidth > 0);
said.title = await page.textContent("li .title");
await until("its subtitles are offered", () => document.getElementById("video").textTracks.length > 0);
await page.evaluate(() => { document.getElementById("video").textTracks[0].mode = "showing"; });
await until("they are there", () => document.getElementById("video").textTracks[0].cues?.length > 0);
said.texts = await page.evaluate(() => [...document.getElementById("video").textTracks].map((one) => one.label));
said.cues = await page.evaluate(() => [...document.getElementById("video").textTracks[0].cues].map((one) => one.text));
said.sounds = await page.evaluate(() => [...document.getElementById("sound").options].map((one) => one.text));
const second = page.waitForResponse((answer) => /a2\/s1\.m4s$/.test(answer.url()) && answer.ok(), { timeout: 60000 });
await page.selectOption("#sound", { index: 1 });
await second.catch(() => said.failed.push("the other sound is fetched"));
await page.screenshot({ path: screenshot });
await page.click('li[data-state="done"] button:text("Delete")');
await until("it is gone", () => !document.querySelector("#list li"));
console.log(JSON.stringify(said));
await browser.close();
