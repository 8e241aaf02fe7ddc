/** What holds for any answer, whatever was asked. */
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { isObject, type JsonValue, objectField } from "../../shared/json.ts";
import type { Outcome } from "./target.ts";

/** How many others want each of the machine's cores at the moment; 1: none. */
const crowding = (): number => Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());

/** No request may take longer, where the machine is not busy with other things; none of these waits for news. */
const maxMs = 10_000;

/** Which rule an answer breaks; null: none. */
export function faultOf(outcome: Outcome): string | null {
  const { status, ms } = outcome;
  if (status === null) return `was not answered: ${outcome.text}`;
  if (ms > maxMs * crowding()) return `took ${Math.round(ms)} ms`;
  // 502 speaks of another server, which the request named and which is not there.
  if (status >= 500 && status !== 502) return `was answered ${status}`;
  return headerFault(outcome) ?? bodyFault(outcome, status);
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients */
function headerFault({ headers, status, request }: Outcome): string | null {
  if (headers["access-control-allow-origin"] !== "*") return "lets no browser read it";
  for (const name of ["access-control-allow-methods", "access-control-allow-headers"]) {
    if (headers[name] === undefined) return `has no ${name}`;
  }
  if (request.method === "OPTIONS" || status === 204) return null;
  const type = headers["content-type"] ?? "";
  const isPage = status === 200 && /^(text|image)\//.test(type);
  return type === "application/json" || isPage ? null : `is of type ${type}`;
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#standard-error-response */
function bodyFault({ headers, text, request }: Outcome, status: number): string | null {
  if (request.method === "HEAD" || request.method === "OPTIONS") return null;
  if (status === 200 && headers["content-type"] !== "application/json") return null;
  const body = parse(text);
  if (body === undefined) return "is no JSON";
  if (status === 200) return null;
  if (!isObject(body)) return "is a refusal that is no object";
  // A challenge says nothing of an error before a stage was tried.
  if (status === 401 && Array.isArray(body.flows) && objectField(body, "params") !== null && !("errcode" in body)) {
    return null;
  }
  const { errcode, error } = body;
  if (typeof errcode !== "string" || !/^M_[A-Z_]+$/.test(errcode)) return "has no errcode";
  return typeof error === "string" ? null : "has no error";
}

function parse(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const maxShown = 1500;

/** A request that can be made again, and its answer. */
export function describeOutcome({ request, sent, status, text, ms }: Outcome): string {
  const headers = Object.entries(sent.headers).map(([name, value]) => `${name}: ${value}`);
  const shown = (long: string) => (long.length > maxShown ? `${long.slice(0, maxShown)}… (${long.length})` : long);
  return [
    `${request.endpoint.operationId} by ${JSON.stringify(request.credentials)}, ${Math.round(ms)} ms`,
    `${sent.method} ${shown(sent.target)}`,
    ...headers,
    shown(sent.body ?? ""),
    `→ ${status} ${shown(text)}`,
  ].join("\n");
}

/** Memory of a process and of all that it started, in MiB; null where the system does not say. */
export function residentMib(pid: number): number | null {
  try {
    const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, "utf8");
    const own = Number(/VmRSS:\s+(\d+)/.exec(read("status"))?.[1] ?? 0) / 1024;
    const children = read(`task/${pid}/children`).split(" ").filter(Boolean).map(Number);
    return children.reduce((sum, child) => sum + (residentMib(child) ?? 0), own);
  } catch {
    return null;
  }
}
