/* Uses the console as an operator does, and prints what came of it as JSON:
 *
 *   node console.mjs chromium|firefox EXECUTABLE URL TOKEN PULL FILM WIDTH HEIGHT [SCREENSHOTS]
 *
 * URL is the server's, PULL an address for a relay, FILM a file of one. Each step waits until the page shows what it should; what did not
 * come about is in `failed`, what axe finds of it (serious or worse) in `axe`, errors of scripts and of the policy in `errors`.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [name, executablePath, url, token, pull, film, width, height, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({
  browser: name === "firefox" ? "firefox" : "chrome", executablePath, headless: true,
  args: name === "firefox" ? [] : ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
await page.setViewport({ width: Number(width), height: Number(height) });
const said = { errors: [], failed: [], axe: [], seen: {} };
page.on("pageerror", (error) => said.errors.push(error.message));
page.on("console", (message) => {
  // A browser says of its own accord that an answer was no yes.
  if (message.type() === "error" && !/status of (400|401|404)/.test(message.text())) said.errors.push(message.text());
});

async function until(what, condition, ...given) {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((done) => setTimeout(done, 100))) {
    if (await page.evaluate(condition, ...given).catch(() => false)) return;
  }
  said.failed.push(what);
  if (process.env.CONSOLE_SHOT) await page.screenshot({ path: `${process.env.CONSOLE_SHOT}-${what.replaceAll(" ", "-")}.png` });
}

/** What axe finds that would keep somebody out, in this state of the page. */
async function judged(view) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations);
  for (const one of found.filter(({ impact }) => impact === "serious" || impact === "critical")) {
    said.axe.push(`${view}: ${one.id}: ${one.nodes.map(({ html }) => html).join(" ").slice(0, 300)}`);
  }
  if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${view}.png` });
}

const text = (selector) => page.evaluate((found) => document.querySelector(found)?.textContent ?? "", selector);
async function click(selector, words = "") {
  const there = (found, wanted) => [...document.querySelectorAll(found)].find((one) => one.textContent.includes(wanted))?.click() === undefined;
  if (!(await page.evaluate(there, selector, words))) said.failed.push(`${selector} ${words} to click`);
}
const go = (view) => page.evaluate((to) => (location.hash = `#/${to}`), view);
const write = async (selector, words) => {
  await page.focus(selector);
  await page.keyboard.type(words);
};

await page.goto(`${url}/console`);
await until("the door", () => document.querySelector("#token") !== null);
await judged("door");
await write("#token", "no-such-token-at-all");
await click(".door button");
await until("a wrong token is told", () => document.querySelector(".door [role=alert]").textContent.length > 5);
await page.evaluate(() => (document.querySelector("#token").value = ""));
await write("#token", token);
await page.keyboard.press("Enter");
await until("streams", () => document.querySelectorAll(".card").length === 2);
await until("a picture", () => [...document.querySelectorAll(".still img")].some((image) => image.naturalWidth > 0));
await until("this server", () => /publisher/.test(document.getElementById("node").textContent));
await judged("streams");
await until("the distance of key pictures", () => [...document.querySelectorAll(".card")].every((one) => /a key picture each/.test(one.textContent)));
said.seen.streams = await page.evaluate(() => [...document.querySelectorAll(".card b")].map((one) => one.textContent));

await go("constructor");
await until("streams for what is no view", () => document.querySelectorAll(".card").length === 2);
await click(".card", "live/cam");
await until("who publishes", () => /Comes from/.test(document.getElementById("view").textContent));
await until("who watches it", () => document.querySelectorAll("#view tbody tr").length > 0);
await page.focus("#view button.danger");
await new Promise((done) => setTimeout(done, 4000));
said.seen.focused = await page.evaluate(() => document.activeElement.textContent);
await judged("stream");
said.seen.publisher = await text("#view dl");

await go("viewers");
await until("viewers", () => document.querySelectorAll("#view tbody tr").length > 0);
await judged("viewers");
await click("#view thead button", "Bytes");
await until("what it is sorted by", () => document.querySelector("#view [aria-sort=ascending]")?.textContent === "Bytes");
await click("#view thead button", "Bytes");
await until("sorted the other way", () => document.querySelector("#view [aria-sort=descending]")?.textContent === "Bytes");
await write("#view label:nth-of-type(4) input", "flv");
await page.keyboard.press("Enter");
await until("viewers by FLV", () => [...document.querySelectorAll("#view tbody tr td:nth-child(4)")].map((one) => one.textContent).join() === "flv");
await click("#view tbody button", "Send away");
await until("the question", () => document.getElementById("ask").open);
await judged("question");
const first = await page.evaluate(() => document.querySelector("#view tbody tr td:nth-child(3)").textContent);
await page.evaluate(() => (document.getElementById("ask-value").value = "0"));
await click("#ask-yes");
await until("another session", (old) => document.querySelector("#view tbody tr td:nth-child(3)")?.textContent !== old, first);

await go("events");
await until("events", () => /donePlay/.test(document.getElementById("view").textContent));
await judged("events");

await go("relays");
await until("the form", () => document.querySelector("form [name=url]") !== null);
await write("form [name=name]", "pulled");
await write("form [name=url]", pull);
await click("form button", "Add");
await until("a relay", () => /live\/pulled/.test(document.querySelector("#view tbody")?.textContent ?? ""));
await judged("relays");
await click("#view tbody button", "End");
await until("the question of a relay", () => document.getElementById("ask").open);
await click("#ask-yes");
await until("no relay", () => document.querySelectorAll("#view tbody tr").length === 0);

await page.select("form [name=camera]", "hikvision");
await until("what a camera is made of", () => document.querySelector("form [name=url]").closest("label").hidden && document.querySelector("form [name=host]").required);
await write("form [name=name]", "gate");
await write("form [name=host]", new URL(pull).host);
await write("form [name=user]", "ad min");
await write("form [name=password]", "p@ss/word");
await judged("camera");
await click("form button", "Add");
await until("a camera", () => /live\/gate/.test(document.querySelector("#view tbody")?.textContent ?? ""));
said.seen.camera = await text("#view tbody");
await click("#view tbody button", "End");
await until("the question of a camera", () => document.getElementById("ask").open);
await click("#ask-yes");
await until("no camera", () => document.querySelectorAll("#view tbody tr").length === 0);

await go("jobs");
await until("no jobs", () => /none/.test(document.querySelector("[aria-label=Jobs]")?.textContent ?? ""));
await write("form [name=source]", "https://");
await click("form button", "Add");
await until("why it is not taken", () => /url: /.test(document.getElementById("said").textContent));
said.seen.refused = await text("#said");
await page.evaluate(() => (document.querySelector("form [name=source]").value = ""));
await write("form [name=source]", film);
await write("form [name=title]", "Of the console");
await click("form button", "Add");
await until("a job", () => /Of the console/.test(document.querySelector("#view tbody")?.textContent ?? ""));
await judged("jobs");
await click("#view tbody button", "Cancel");
await until("the question of a job", () => document.getElementById("ask").open);
await click("#ask-yes");
await until("it is cancelled", () => /cancelled/.test(document.querySelector("[aria-label=Jobs]").textContent));
await click("#view tbody button", "Delete");
await until("the question of what it made", () => document.getElementById("ask").open);
await click("#ask-yes");
await until("it is gone", () => /none/.test(document.querySelector("[aria-label=Jobs]").textContent));

await go("recordings");
await until("recordings", () => document.querySelectorAll("#view tbody tr").length > 0);
await judged("recordings");

await go("webhooks");
await until("the receiver", () => document.querySelectorAll("#view tbody tr").length === 1);
await click("#view button", "Send a test event");
await until("what it says", () => /none/.test(document.querySelector("[aria-label=Test] tbody")?.textContent ?? ""));
await judged("webhooks");

await go("settings");
await until("settings", () => document.querySelectorAll("#view details").length > 10);
await write("#view input", "hls.time");
await until("one key", () => /time/.test(document.querySelector("#view dl")?.textContent ?? ""));
await click("#view button", "Read the configuration again");
await until("nothing has changed", () => /Nothing has changed/.test(document.querySelector("#view [role=status]").textContent));
await judged("settings");
said.seen.secrets = await page.evaluate((secret) => document.documentElement.innerHTML.includes(secret), token);

said.seen.wide = await page.evaluate(() => document.documentElement.scrollWidth);
await click("#leave");
await until("the door again", () => document.querySelector("#token") !== null);
said.seen.kept = await page.evaluate(() => sessionStorage.length);
await write("#token", "half");
await new Promise((done) => setTimeout(done, 4000));
said.seen.typed = await page.evaluate(() => document.querySelector("#token").value);
await page.evaluate((to) => (location.hash = `#token=${encodeURIComponent(to)}`), token);
await until("the address that hlsd console prints", () => document.querySelectorAll(".card").length > 0);
said.seen.address = await page.evaluate(() => location.href);
console.log(JSON.stringify(said));
await browser.close();
