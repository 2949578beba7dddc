/* Makes elements and words. Whatever a stranger has named is text, never markup. */

/** An element: `props` are attributes, but for `on…` handlers, `class` and `value`; children are elements or text. */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value") made.value = made.defaultValue = value; // also of a form that is reset
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Puts these in place of what is there. */
export function fill(place, ...children) {
  place.replaceChildren(...children.flat().filter(Boolean));
}

const said = document.getElementById("said");
let silence = 0;

/** Says something for a moment. */
export function say(words) {
  said.textContent = words;
  clearTimeout(silence);
  silence = setTimeout(() => (said.textContent = ""), 6000);
}

/** Asks before something is done: resolves to the number in the field (0 where there is none), or null for no. */
export function ask({ title, text = "", yes, field = "", value = 0 }) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  document.getElementById("ask-field").hidden = !field;
  document.getElementById("ask-label").textContent = field;
  const number = document.getElementById("ask-value");
  number.value = value;
  dialog.returnValue = "no";
  document.getElementById("ask-no").onclick = () => dialog.close("no");
  dialog.showModal();
  return new Promise((done) => {
    const closed = () => done(dialog.returnValue === "yes" ? Math.max(0, Number(number.value) || 0) : null);
    dialog.addEventListener("close", closed, { once: true });
  });
}

/** A table. `columns`: [heading, row → cell or text, class]; `sort(index)` makes headings buttons, `sorted` is [index, 1 or -1]. */
export function table(caption, columns, rows, sort, sorted = []) {
  const order = (index) => (sort && sorted[0] === index ? (sorted[1] > 0 ? "ascending" : "descending") : null);
  const heads = columns.map(([heading, , kind], index) =>
    h("th", { scope: "col", class: kind, "aria-sort": order(index) }, sort && heading ? h("button", { onclick: () => sort(index) }, heading) : heading),
  );
  const body = rows.map((row) => h("tr", {}, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row) ?? ""))));
  return h("div", { class: "scroll" }, h("table", { "aria-label": caption }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body)));
}

/** Whether somebody is at work in a place: it is not drawn anew under their hands. */
export const busy = (place) => place.contains(document.activeElement) || place.matches(":active");

/** A list of facts: [name, what], what is empty is left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, what]) => what !== "" && what !== null && what !== undefined);
  return h("dl", {}, shown.flatMap(([name, what]) => [h("dt", {}, name), h("dd", {}, what)]));
}

export const bits = (rate) =>
  rate >= 1e9 ? `${(rate / 1e9).toFixed(2)} Gbit/s` : rate >= 1e6 ? `${(rate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(rate / 1e3)} kbit/s`;

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at < units.length - 1) [count, at] = [count / 1000, at + 1];
  return `${at && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[at]}`;
}

export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export const clock = (ms) => new Date(ms).toLocaleString([], { dateStyle: "short", timeStyle: "medium" });
