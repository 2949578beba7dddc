/* Asks the API, by the operator's token. It is kept for as long as the tab is open, and goes nowhere else. */

/** What stands before our paths: a proxy may have taken it off. */
export const base = location.pathname.replace(/\/console$/, "");
const KEY = "hlsd-console-token";

/** An answer that is no yes: `code` for programs, the message for people. */
export class Refused extends Error {
  constructor(status, code, words) {
    super(words);
    this.status = status;
    this.code = code;
  }
}

export const token = () => sessionStorage.getItem(KEY) ?? "";
export const keep = (value) => sessionStorage.setItem(KEY, value);
export const forget = () => sessionStorage.removeItem(KEY);

/** One request; resolves to the answer's `data`. `signal` ends it. */
export async function request(method, path, { body, signal, query = {} } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  const headers = { authorization: `Bearer ${token()}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`${base}/api/v1${path}${search}`, {
      method, headers, signal, cache: "no-store", credentials: "omit", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "away", "the server does not answer");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told.code ?? "", told.message || `${answer.status} ${answer.statusText}`);
  return told.data;
}

export const get = (path, query, signal) => request("GET", path, { query, signal });
export const post = (path, body) => request("POST", path, { body });
export const remove = (path, query) => request("DELETE", path, { query });

/** The path of a stream in the API. */
export const streamPath = (app, name) => `/streams/${encodeURIComponent(app)}/${encodeURIComponent(name)}`;
