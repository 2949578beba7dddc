/* Draws a curve: as many points as there are, from left to right, the highest at the top. */

const NS = "http://www.w3.org/2000/svg";
const LEAST = 31; // of fewer points the width is not made: a stream of a minute is no hour

/** An SVG of `points`; `words(value)` says a value, `label` what it is of. */
export function chart(label, points, words) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("class", "chart");
  svg.setAttribute("viewBox", "0 0 360 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const most = points.reduce((high, one) => Math.max(high, one), 0);
  const last = points.at(-1) ?? 0;
  svg.setAttribute("aria-label", points.length ? `${label}: now ${words(last)}, at most ${words(most)}` : `${label}: nothing yet`);
  if (points.length > 1) {
    const step = 360 / (Math.max(points.length, LEAST) - 1);
    const left = 360 - (points.length - 1) * step;
    const line = points.map((one, at) => `${(left + at * step).toFixed(1)},${(96 - (most ? one / most : 0) * 90).toFixed(1)}`);
    for (const [kind, shape] of [
      ["under", `M${left.toFixed(1)},100L${line.join("L")}L360,100Z`],
      ["", `M${line.join("L")}`],
    ]) {
      const path = document.createElementNS(NS, "path");
      path.setAttribute("d", shape);
      if (kind) path.setAttribute("class", kind);
      svg.append(path);
    }
  }
  return svg;
}
