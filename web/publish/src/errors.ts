/** What goes wrong, by names that programs can tell apart; `message` is for people. */

export type ErrorName =
  /** An option makes no sense, or the stream has no track. */
  | "INVALID_PARAMETERS"
  /** The server does not let this publisher in, or the browser gives no access. */
  | "NOT_ALLOWED"
  /** Somebody else publishes under this name. */
  | "NAME_IN_USE"
  /** Browser and server have no codec in common. */
  | "UNSUPPORTED_CODEC"
  /** The server cannot be reached, or was lost. */
  | "CONNECTION_FAILED"
  /** A limit of the server is reached. */
  | "LIMIT"
  /** The server cannot make sense of what was sent. */
  | "BAD_MEDIA"
  /** The server ended the stream. */
  | "ENDED";

export interface ErrorDetails {
  /** Of the HTTP answer, where there was one. */
  status?: number;
  /** Seconds after which the server wants to be asked again. */
  retryAfter?: number;
  /** The transport that failed. */
  transport?: string;
  [more: string]: unknown;
}

export class PublishError extends Error {
  override readonly name: ErrorName;
  /** Whether it is over: nothing is tried again. */
  readonly fatal: boolean;
  readonly details: ErrorDetails;

  constructor(name: ErrorName, message: string, fatal = true, details: ErrorDetails = {}) {
    super(message);
    this.name = name;
    this.fatal = fatal;
    this.details = details;
  }
}

/** The same error as the one that ends a broadcast: pages show what is fatal, and a transport may have thought of another try. */
export function last(error: PublishError): PublishError {
  return error.fatal ? error : new PublishError(error.name, error.message, true, error.details);
}

const BY_STATUS: Record<number, ErrorName> = {
  400: "BAD_MEDIA",
  401: "NOT_ALLOWED",
  403: "NOT_ALLOWED",
  409: "NAME_IN_USE",
  413: "BAD_MEDIA",
  415: "BAD_MEDIA",
  422: "UNSUPPORTED_CODEC",
  429: "LIMIT",
  503: "LIMIT",
};

/** What an HTTP status means; `text` is the answer's body, which may be problem+json (RFC 9457). */
export function errorOfStatus(status: number, text: string, retryAfter: string | null): PublishError {
  let message = "";
  try {
    const problem: unknown = JSON.parse(text);
    if (problem && typeof problem === "object") {
      const { title, detail } = problem as { title?: unknown; detail?: unknown };
      message = [title, detail].filter((part) => typeof part === "string" && part).join(": ");
    }
  } catch {
    // A proxy's page of HTML is nothing to show to anybody.
  }
  const details: ErrorDetails = { status };
  if (retryAfter !== null && /^\d+$/.test(retryAfter)) details.retryAfter = Number(retryAfter);
  return new PublishError(BY_STATUS[status] ?? "CONNECTION_FAILED", message || `the server answered ${status}`, true, details);
}

const NAMES: readonly string[] = [
  "INVALID_PARAMETERS", "NOT_ALLOWED", "NAME_IN_USE", "UNSUPPORTED_CODEC", "CONNECTION_FAILED", "LIMIT", "BAD_MEDIA", "ENDED",
];

/** What a name in a server's message means here: its own spelling is `bad_media` or `BAD_MEDIA`. */
export function errorName(said: unknown): ErrorName {
  const name = String(said).toUpperCase().replace(/[^A-Z]+/g, "_");
  return NAMES.includes(name) ? (name as ErrorName) : "CONNECTION_FAILED";
}

/** Whatever was thrown, as one of ours. */
export function asPublishError(thrown: unknown, fallback: ErrorName = "CONNECTION_FAILED"): PublishError {
  if (thrown instanceof PublishError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const name = thrown instanceof Error ? thrown.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return new PublishError("NOT_ALLOWED", message);
  if (name === "NotSupportedError") return new PublishError("UNSUPPORTED_CODEC", message);
  return new PublishError(fallback, message);
}
