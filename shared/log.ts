import type { JsonValue } from "./json.ts";

/** Fields of a log line. Never tokens, keys, passwords, bodies, query strings or event content. */
export type LogFields = Readonly<Record<string, JsonValue | undefined>>;

/** A structured logger: a constant message, facts as fields, one JSON object a line. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Longest string put in a log field; what comes from outside must not fill the disk. */
const maxFieldLength = 256;

function line(level: string, message: string, fields: LogFields): string {
  const entry: Record<string, JsonValue> = { ts: new Date().toISOString(), level, message };
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    entry[key] =
      typeof value === "string" && value.length > maxFieldLength ? `${value.slice(0, maxFieldLength)}…` : value;
  }
  return JSON.stringify(entry);
}

/** Logs to the console, which workerd and Cloudflare collect. JSON escapes control characters, so a line stays a line. */
export const consoleLog: Log = {
  info: (message, fields = {}) => console.log(line("info", message, fields)),
  warn: (message, fields = {}) => console.warn(line("warn", message, fields)),
  error: (message, fields = {}) => console.error(line("error", message, fields)),
};

/** Describes a thrown value for the log: name and message, no stack of foreign input. */
export function describeError(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
}
