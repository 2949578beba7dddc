/* The page's QR codes, read back as ISO/IEC 18004 says: node --test. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { qr } from "../../../hlsd/delivery/player/publish-qr.js";

const MASKS = [
  (y, x) => (y + x) % 2, (y) => y % 2, (_, x) => x % 3, (y, x) => (y + x) % 3, (y, x) => ((y >> 1) + Math.floor(x / 3)) % 2,
  (y, x) => ((y * x) % 2) + ((y * x) % 3), (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2, (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2,
];
// Table 9, level M: words of correction in each block, and the sizes of its blocks.
const TABLE = {
  1: [10, [16]], 2: [16, [28]], 3: [26, [44]], 4: [18, [32, 32]], 5: [24, [43, 43]], 6: [16, [27, 27, 27, 27]],
  7: [18, [31, 31, 31, 31]], 8: [22, [38, 38, 39, 39]], 9: [22, [36, 36, 36, 37, 37]], 10: [26, [43, 43, 43, 43, 44]],
};

/* Whether a place is no data's. */
function fixed(version, y, x) {
  const side = 17 + 4 * version;
  if (y === 6 || x === 6) return true;
  if ((y < 9 && x < 9) || (y < 9 && x >= side - 8) || (y >= side - 8 && x < 9)) return true;
  if (version >= 7 && ((y < 6 && x >= side - 11) || (x < 6 && y >= side - 11))) return true;
  if (version === 1) return false;
  const last = side - 7;
  const centres = version < 7 ? [6, last] : [6, 6 + (last - 6) / 2, last];
  const corner = (cy, cx) => (cy === 6 && cx === 6) || (cy === 6 && cx === last) || (cy === last && cx === 6);
  return centres.some((cy) => centres.some((cx) => !corner(cy, cx) && Math.abs(cy - y) < 3 && Math.abs(cx - x) < 3));
}

function multiply(a, b) {
  let product = 0;
  for (; b; b >>= 1, a = (a << 1) ^ (a & 128 ? 0x11d : 0)) if (b & 1) product ^= a;
  return product;
}

function read(grid) {
  const side = grid.length;
  const version = (side - 17) / 4;
  let format = 0;
  for (let x = 0; x < 6; x++) format = (format << 1) | grid[8][x];
  format = (format << 1) | grid[8][7];
  format = (format << 1) | grid[8][8];
  format = (format << 1) | grid[7][8];
  for (let y = 5; y >= 0; y--) format = (format << 1) | grid[y][8];
  let second = 0;
  for (let y = side - 1; y > side - 8; y--) second = (second << 1) | grid[y][8];
  for (let x = side - 8; x < side; x++) second = (second << 1) | grid[8][x];
  assert.equal(second, format, "both copies of the format");
  const said = format ^ 0x5412;
  assert.equal(said >> 13, 0, "level M");
  const mask = MASKS[(said >> 10) & 7];
  const bits = [];
  for (let right = side - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right--;
    for (let i = 0; i < side; i++) {
      const y = up ? side - 1 - i : i;
      for (const x of [right, right - 1]) if (!fixed(version, y, x)) bits.push(Number(grid[y][x]) ^ Number(mask(y, x) === 0));
    }
  }
  const words = Array.from({ length: bits.length >> 3 }, (_, at) => parseInt(bits.slice(at * 8, at * 8 + 8).join(""), 2));
  const [count, sizes] = TABLE[version];
  const blocks = sizes.map(() => []);
  for (let i = 0; i < Math.max(...sizes); i++) sizes.forEach((size, at) => i < size && blocks[at].push(words.shift()));
  for (let i = 0; i < count; i++) blocks.forEach((block) => block.push(words.shift()));
  for (const block of blocks) {
    for (let i = 0, root = 1; i < count; i++, root = multiply(root, 2)) {
      assert.equal(block.reduce((sum, word) => multiply(sum, root) ^ word, 0), 0, "a block that needs no correction");
    }
  }
  const data = blocks.flatMap((block, at) => block.slice(0, sizes[at])).flatMap((word) => [...word.toString(2).padStart(8, "0")]);
  const take = (length) => parseInt(data.splice(0, length).join(""), 2);
  assert.equal(take(4), 4, "bytes");
  const length = take(version < 10 ? 8 : 16);
  return new TextDecoder().decode(Uint8Array.from({ length }, () => take(8)));
}

test("an address of any length that fits is read back, in each version", () => {
  const seen = new Set();
  for (let length = 1; length <= 213; length += length < 14 ? 1 : 9) {
    const text = `https://media.example/live/${"Zoë-7".repeat(50)}`.slice(0, length);
    const grid = qr(text);
    if (!grid) continue;
    seen.add(grid.length);
    assert.equal(read(grid), text);
  }
  assert.equal(seen.size, 10);
});

test("what does not fit has none", () => {
  assert.equal(read(qr("x".repeat(213))), "x".repeat(213));
  assert.equal(qr("x".repeat(214)), null);
});
