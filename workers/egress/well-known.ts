/** @see https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver */
import { parseServerName, type ServerName } from "../../shared/ids.ts";
import { isObject, type JsonValue, stringField } from "../../shared/json.ts";
import { boundedBody, readText } from "./bounded-body.ts";
import type { Answered, EgressContext, Target } from "./context.ts";
import { startDeadline } from "./deadline.ts";
import { exchangeWith, Unreachable } from "./exchange.ts";
import { defaultCacheMs, freshForMs } from "./http-caching.ts";
import { splitServerName } from "./server-names.ts";
import { userAgent } from "./user-agent.ts";

const timeoutMs = 10_000;
const maxBytes = 50 * 1024;
const maxRedirects = 5;
/** A server that changes its mind at every moment would be asked at every request. */
const minCacheMs = 5 * 60 * 1000;
/** "Servers should additionally impose a maximum cache time for responses: 48 hours is recommended." */
export const maxCacheMs = 48 * 60 * 60 * 1000;
const path = "/.well-known/matrix/server";

/** What came of asking a host for whom it delegates to. */
export type WellKnown =
  | { readonly kind: "delegated"; readonly name: ServerName; readonly validForMs: number }
  /** It answered, but with nothing that can be used. */
  | { readonly kind: "none" }
  /** It did not answer, or said that it cannot at the moment. */
  | { readonly kind: "failed" };

/**
 * Asks a host for whom it delegates to. Redirects are followed by hand, over HTTPS only, each under the address policy.
 * @see https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
 */
export async function fetchWellKnown(egress: EgressContext, hostname: string, outer: AbortSignal): Promise<WellKnown> {
  const deadline = startDeadline(timeoutMs, outer);
  try {
    const answered = await followRedirects(egress, hostname, deadline.signal);
    const bounds = { maxBytes, signal: deadline.signal, onEnd: () => undefined };
    const body = boundedBody(answered.body, bounds);
    if (answered.status !== 200) {
      await body.cancel();
      return { kind: answered.status === 429 || answered.status >= 500 ? "failed" : "none" };
    }
    const name = parseDelegation(await readText(body).catch(() => ""));
    return name === null ? { kind: "none" } : { kind: "delegated", name, validForMs: cacheTime(egress, answered) };
  } catch (thrown) {
    if (thrown instanceof Unreachable) return { kind: "failed" };
    throw thrown;
  } finally {
    deadline.stop();
  }
}

async function followRedirects(egress: EgressContext, hostname: string, signal: AbortSignal): Promise<Answered> {
  let url = nextHop(`https://${hostname}${path}`);
  for (let followed = 0; ; followed += 1) {
    const headers = { Accept: "application/json", "User-Agent": userAgent };
    const request = { method: "GET", path: `${url.pathname}${url.search}`, headers, body: null, signal } as const;
    const answered = await exchangeWith(egress, targetOf(url), request);
    const location = [301, 302, 303, 307, 308].includes(answered.status) ? answered.headers.get("Location") : null;
    if (location === null) return answered;
    await answered.body?.cancel();
    if (followed === maxRedirects) throw new Unreachable("too many redirects");
    url = nextHop(location, url);
  }
}

/** @throws Unreachable for a place that is not gone to */
function nextHop(location: string, from?: URL): URL {
  const next = URL.canParse(location, from?.href) ? new URL(location, from) : null;
  if (next === null || next.protocol !== "https:" || next.username !== "" || next.password !== "") {
    throw new Unreachable("a place that is not gone to");
  }
  return next;
}

/** Where a request to an `https` address goes. */
export function targetOf(url: URL): Target {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, port: url.port === "" ? 443 : Number(url.port), hostHeader: url.host, tlsName: host };
}

/** "the `m.server` property is parsed as `<delegated_hostname>[:<delegated_port>]`" */
function parseDelegation(text: string): ServerName | null {
  const parsed = parseOrNull(text);
  const delegated = isObject(parsed) ? stringField(parsed, "m.server") : null;
  const name = delegated === null ? null : parseServerName(delegated);
  return name === null || splitServerName(name) === null ? null : name;
}

function parseOrNull(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function cacheTime(egress: EgressContext, { headers }: Answered): number {
  const fresh = freshForMs(headers, egress.clock.now()) ?? defaultCacheMs;
  return Math.min(Math.max(fresh, minCacheMs), maxCacheMs);
}
