/* Makes a QR code of an address (ISO/IEC 18004): bytes, error correction M, versions 1 to 10. Pure.
 *
 * `qr(text)` is a square of rows of booleans, dark is true; null if the text is too long (213 bytes).
 */

// For each version: words of correction a block, blocks and data words of the first group, and of the second.
const BLOCKS = [
  [10, 1, 16, 0, 0], [16, 1, 28, 0, 0], [26, 1, 44, 0, 0], [18, 2, 32, 0, 0], [24, 2, 43, 0, 0],
  [16, 4, 27, 0, 0], [18, 4, 31, 0, 0], [22, 2, 38, 2, 39], [22, 3, 36, 2, 37], [26, 4, 43, 1, 44],
];
const CENTRES = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
const MASKS = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (_, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
];

/* The field of 256 elements over x⁸+x⁴+x³+x²+1. */
const POWERS = new Uint8Array(512);
const LOGS = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++, x = (x << 1) ^ (x & 128 ? 0x11d : 0)) {
  POWERS[i] = POWERS[i + 255] = x;
  LOGS[x] = i;
}
const times = (a, b) => (a && b ? POWERS[LOGS[a] + LOGS[b]] : 0);

export function qr(text) {
  const bytes = new TextEncoder().encode(text);
  const version = BLOCKS.findIndex(([, n, size, m, more], at) => n * size + m * more >= bytes.length + (at < 9 ? 2 : 3)) + 1;
  if (version === 0) return null;
  const drawn = frame(version);
  place(drawn, interleave(pack(bytes, version), version));
  let best = null;
  for (let mask = 0; mask < 8; mask++) {
    const tried = masked(drawn, mask);
    const score = penalty(tried);
    if (!best || score < best.score) best = { score, tried };
  }
  return best.tried;
}

/* Mode, count, bytes, end, padding. */
function pack(bytes, version) {
  const [, n, size, m, more] = BLOCKS[version - 1];
  const room = n * size + m * more;
  const bits = [];
  const put = (value, length) => {
    for (let i = length - 1; i >= 0; i--) bits.push((value >> i) & 1);
  };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, Math.min(4, room * 8 - bits.length));
  while (bits.length % 8) bits.push(0);
  const words = [];
  for (let i = 0; i < bits.length; i += 8) words.push(parseInt(bits.slice(i, i + 8).join(""), 2));
  for (let pad = 0xec; words.length < room; pad ^= 0xec ^ 0x11) words.push(pad);
  return words;
}

/* Reed and Solomon's: what remains of the division by (x-1)(x-2)(x-4)… */
function correction(data, count) {
  let divisor = [1];
  for (let i = 0; i < count; i++) {
    divisor = [...divisor, 0].map((value, at) => value ^ (at ? times(divisor[at - 1], POWERS[i]) : 0));
  }
  const rest = new Array(count).fill(0);
  for (const word of data) {
    const factor = word ^ rest.shift();
    rest.push(0);
    for (let i = 0; i < count; i++) rest[i] ^= times(divisor[i + 1], factor);
  }
  return rest;
}

function interleave(words, version) {
  const [count, n, size, m, more] = BLOCKS[version - 1];
  const blocks = [];
  for (let i = 0, from = 0; i < n + m; i++) {
    const length = i < n ? size : more;
    blocks.push(words.slice(from, from + length));
    from += length;
  }
  const ends = blocks.map((block) => correction(block, count));
  const all = [];
  for (let i = 0; i < Math.max(size, more); i++) for (const block of blocks) if (i < block.length) all.push(block[i]);
  for (let i = 0; i < count; i++) for (const end of ends) all.push(end[i]);
  return all;
}

/* All that is not data: null where data goes. */
function frame(version) {
  const side = 17 + 4 * version;
  const grid = Array.from({ length: side }, () => new Array(side).fill(null));
  const box = (cy, cx, reach, dark) => {
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        if (grid[cy + y]?.[cx + x] !== undefined) grid[cy + y][cx + x] = dark(Math.max(Math.abs(y), Math.abs(x)));
      }
    }
  };
  for (const [y, x] of [[3, 3], [3, side - 4], [side - 4, 3]]) box(y, x, 4, (ring) => ring !== 2 && ring !== 4);
  const centres = CENTRES[version - 1];
  for (const y of centres) for (const x of centres) if (grid[y][x] === null) box(y, x, 2, (ring) => ring !== 1);
  for (let i = 8; i < side - 8; i++) grid[6][i] = grid[i][6] = i % 2 === 0;
  for (let i = 0; i < 9; i++) {
    if (i !== 6) grid[8][i] = grid[i][8] = false; // the format's, written with the mask
    if (i < 8) grid[8][side - 1 - i] = grid[side - 1 - i][8] = false;
  }
  grid[side - 8][8] = true;
  if (version >= 7) {
    let rest = version;
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
    const bits = (version << 12) | rest;
    for (let i = 0; i < 18; i++) {
      const [far, near] = [side - 11 + (i % 3), Math.floor(i / 3)];
      grid[far][near] = grid[near][far] = Boolean((bits >> i) & 1);
    }
  }
  return { grid, fixed: grid.map((row) => row.map((cell) => cell !== null)) };
}

/* In pairs of columns from the right, upwards and downwards in turn. */
function place({ grid }, words) {
  const side = grid.length;
  let at = 0;
  for (let right = side - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    const upwards = ((right + 1) & 2) === 0;
    for (let step = 0; step < side; step++) {
      const y = upwards ? side - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (grid[y][x] !== null) continue;
        grid[y][x] = at < words.length * 8 && Boolean((words[at >> 3] >> (7 - (at & 7))) & 1);
        at++;
      }
    }
  }
}

function masked({ grid, fixed }, mask) {
  const side = grid.length;
  const made = grid.map((row, y) => row.map((cell, x) => (fixed[y][x] ? cell : cell !== MASKS[mask](y, x))));
  let rest = mask; // 00 is the level M
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((mask << 10) | rest) ^ 0x5412;
  const bit = (i) => Boolean((bits >> i) & 1);
  for (let i = 0; i < 15; i++) {
    const [y, x] = i < 6 ? [i, 8] : i === 6 ? [7, 8] : i === 7 ? [8, 8] : i === 8 ? [8, 7] : [8, 14 - i];
    made[y][x] = bit(i);
    if (i < 8) made[8][side - 1 - i] = bit(i);
    else made[side - 15 + i][8] = bit(i);
  }
  return made;
}

function penalty(grid) {
  const side = grid.length;
  let score = 0;
  let dark = 0;
  for (const along of [(a, b) => grid[a][b], (a, b) => grid[b][a]]) {
    for (let a = 0; a < side; a++) {
      let line = "";
      for (let b = 0; b < side; b++) line += along(a, b) ? "1" : "0";
      for (const run of line.match(/0{5,}|1{5,}/g) ?? []) score += run.length - 2;
      for (const finder of ["10111010000", "00001011101"]) {
        for (let from = line.indexOf(finder); from >= 0; from = line.indexOf(finder, from + 1)) score += 40;
      }
    }
  }
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      dark += grid[y][x];
      if (y && x && grid[y][x] === grid[y - 1][x] && grid[y][x] === grid[y][x - 1] && grid[y][x] === grid[y - 1][x - 1]) score += 3;
    }
  }
  return score + 10 * Math.floor(Math.abs((dark * 20) / (side * side) - 10));
}
