/**
 * Where a server is reached: the steps of "Resolving server names", in the specification's order and with its numbers.
 * @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import type { RandomSource } from "../../shared/clock.ts";
import type { ServerName } from "../../shared/ids.ts";
import type { Discovered, Discovery } from "../../shared/rpc/egress.ts";
import type { KnownRoute, Route } from "../../shared/rpc/server-peer.ts";
import type { EgressContext, SrvRecord } from "./context.ts";
import { orAborted, startDeadline } from "./deadline.ts";
import { defaultPort, fixedRoute, splitServerName } from "./server-names.ts";
import { fetchWellKnown, maxCacheMs, type WellKnown } from "./well-known.ts";

const minute = 60 * 1000;
/** Of the whole look-up: the `.well-known` and the SRV records each have their own within it. */
const timeoutMs = 20_000;
/** "Errors are recommended to be cached for up to an hour". */
const maxErrorCacheMs = 60 * minute;
const firstErrorCacheMs = 2 * minute;
const srvTimeoutMs = 3_000;
/** How long the look-up is not repeated when nobody could be asked. */
const srvFailureCacheMs = 5 * minute;
const minSrvCacheMs = minute;
const maxTargets = 8;

/**
 * Looks for a server: the route that its name says (steps 1 and 2), or that is found for it (3 to 6).
 * @param input.known the route that was stored last; kept for a while when the `.well-known` cannot be had.
 */
export async function discover(
  egress: EgressContext,
  { serverName, known }: { serverName: ServerName; known: KnownRoute | null },
): Promise<Discovery> {
  const parts = splitServerName(serverName);
  if (parts === null) return { found: null, requests: 0 };
  const fixed = fixedRoute(serverName, parts);
  if (fixed !== null) {
    return { found: { route: fixed, isDelegated: false, failures: 0, validForMs: maxCacheMs }, requests: 0 };
  }
  const deadline = startDeadline(timeoutMs);
  try {
    return { found: await lookFor(egress, { serverName, known }, deadline.signal), requests: 1 };
  } finally {
    deadline.stop();
  }
}

async function lookFor(
  egress: EgressContext,
  { serverName, known }: { serverName: ServerName; known: KnownRoute | null },
  signal: AbortSignal,
): Promise<Discovered> {
  const wellKnown = await fetchWellKnown(egress, serverName, signal);
  const failures = wellKnown.kind === "failed" ? (known?.failures ?? 0) + 1 : 0;
  const errorCacheMs = failures === 0 ? maxErrorCacheMs : errorBackoffMs(failures);
  // A host whose .well-known is away for a moment has not moved.
  if (wellKnown.kind === "failed" && known !== null && known.isDelegated && known.ageMs < maxCacheMs) {
    return { route: known.route, isDelegated: true, failures, validForMs: errorCacheMs };
  }
  const { route, validForMs } = await routeAfter(egress, serverName, wellKnown, signal);
  const isDelegated = wellKnown.kind === "delegated";
  return { route, isDelegated, failures, validForMs: isDelegated ? validForMs : Math.min(validForMs, errorCacheMs) };
}

/** "servers are encouraged to exponentially back off for repeated failures" */
function errorBackoffMs(failures: number): number {
  return Math.min(firstErrorCacheMs * 2 ** (failures - 1), maxErrorCacheMs);
}

interface TimedRoute {
  readonly route: Route;
  readonly validForMs: number;
}

/** Steps 3.1 to 3.5 where the host delegates, 4 to 6 where it does not: the same, but for whom they are about. */
async function routeAfter(
  egress: EgressContext,
  name: ServerName,
  wellKnown: WellKnown,
  signal: AbortSignal,
): Promise<TimedRoute> {
  if (wellKnown.kind !== "delegated") return lookUpHost(egress, name, signal);
  const parts = splitServerName(wellKnown.name);
  const fixed = parts === null ? null : fixedRoute(wellKnown.name, parts);
  if (fixed !== null) return { route: fixed, validForMs: wellKnown.validForMs };
  const { route, validForMs } = await lookUpHost(egress, wellKnown.name, signal);
  return { route, validForMs: Math.min(validForMs, wellKnown.validForMs) };
}

/** Steps 3.3 to 3.5, and 4 to 6: SRV records by the new name, by the old one, and else port 8448. */
async function lookUpHost(egress: EgressContext, hostname: ServerName, signal: AbortSignal): Promise<TimedRoute> {
  const found = await findSrv(egress, hostname, signal);
  const name = { hostHeader: hostname, tlsName: hostname };
  if (found.records.length === 0) {
    return { route: { ...name, targets: [{ host: hostname, port: defaultPort }] }, validForMs: found.validForMs };
  }
  const targets = orderSrv(found.records, egress.random).slice(0, maxTargets);
  return {
    route: { ...name, targets: targets.map(({ host, port }) => ({ host, port })) },
    validForMs: found.validForMs,
  };
}

interface SrvAnswer {
  readonly records: readonly SrvRecord[];
  readonly validForMs: number;
}

/** That the names of services cannot be looked up does not make a server unreachable: most have none. */
async function findSrv(egress: EgressContext, hostname: ServerName, outer: AbortSignal): Promise<SrvAnswer> {
  const deadline = startDeadline(srvTimeoutMs, outer);
  try {
    for (const service of ["_matrix-fed._tcp", "_matrix._tcp"]) {
      const looking = egress.transport.resolveSrv(`${service}.${hostname}`, deadline.signal);
      const records = await orAborted(looking, deadline.signal);
      const usable = records.filter(({ host, port }) => host !== "" && host !== "." && port > 0);
      if (usable.length > 0) return { records: usable, validForMs: cacheTime(usable) };
    }
    return { records: [], validForMs: maxErrorCacheMs };
  } catch (thrown) {
    egress.log.warn("SRV records could not be looked up", { server_name: hostname, error: reasonOf(thrown) });
    return { records: [], validForMs: srvFailureCacheMs };
  } finally {
    deadline.stop();
  }
}

const reasonOf = (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown));

function cacheTime(records: readonly SrvRecord[]): number {
  const shortest = Math.min(...records.map(({ ttlMs }) => ttlMs));
  return Math.min(Math.max(shortest, minSrvCacheMs), maxCacheMs);
}

/**
 * The order in which the targets of a service are tried: the lowest priority first; among equals by chance, in proportion
 * to their weight.
 * @see https://www.rfc-editor.org/rfc/rfc2782
 */
export function orderSrv(records: readonly SrvRecord[], random: RandomSource): SrvRecord[] {
  const left = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight);
  const ordered: SrvRecord[] = [];
  while (left.length > 0) {
    const equals = left.filter(({ priority }) => priority === left[0]?.priority);
    const chosen = chooseByWeight(equals, random);
    ordered.push(chosen);
    left.splice(left.indexOf(chosen), 1);
  }
  return ordered;
}

function chooseByWeight(records: readonly SrvRecord[], random: RandomSource): SrvRecord {
  const [first] = records;
  if (first === undefined) throw new Error("nothing to choose from");
  const total = records.reduce((sum, { weight }) => sum + weight, 0);
  const [high = 0, low = 0] = random.bytes(2);
  // From 0 to the sum of the weights, both included, as the RFC has it: records of weight 0 stand first, and seldom win.
  let rest = Math.floor(((high * 256 + low) / 65_536) * (total + 1));
  for (const record of records) {
    if (rest <= record.weight) return record;
    rest -= record.weight;
  }
  return first;
}
