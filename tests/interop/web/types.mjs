/* Asks Chromium which types of media it takes, and prints the answers as a JSON list: node types.mjs EXECUTABLE TYPE… */

import { chromium } from "playwright-core";

const [executablePath, ...types] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
console.log(JSON.stringify(await page.evaluate((asked) => asked.map((type) => MediaSource.isTypeSupported(type)), types)));
await browser.close();
