/** Times an operation many times over, and what it costs on the platform. */
import { setTimeout as delay } from "node:timers/promises";
import type { Api } from "./http.ts";

/** What the server's meter counts. */
export interface Costs {
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly rpcCalls: number;
  readonly wakes: number;
  readonly alarms: number;
}

/** The meter's counters, and how much is under way that may still count. */
interface Reading extends Costs {
  readonly underWay: number;
}

const costNames = ["rowsRead", "rowsWritten", "rpcCalls", "wakes", "alarms"] as const;

/** The result of one scenario. */
export interface Measurement {
  readonly name: string;
  readonly count: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** Operations a second over the whole scenario. */
  readonly perSecond: number;
  /** For one operation, on average; null where the homeserver has no meter. */
  readonly costs: Costs | null;
}

/** One scenario: `run` is called `count` times with 0, 1, 2 …, at most `concurrency` at a time. */
export interface Scenario {
  readonly name: string;
  readonly count: number;
  readonly concurrency: number;
  /** Calls before the clock starts, with negative indexes. */
  readonly warmUp?: number;
  /** @returns milliseconds to record in place of the call's own duration, or nothing. */
  run(index: number): Promise<number | undefined>;
}

/** Runs a scenario. */
export async function measure(api: Api, scenario: Scenario): Promise<Measurement> {
  const { name, count, concurrency, warmUp = 0 } = scenario;
  for (let index = -warmUp; index < 0; index += 1) await scenario.run(index);
  const before = await settledCosts(api);
  const times: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      const startedAt = performance.now();
      const own = await scenario.run(index);
      times.push(own ?? performance.now() - startedAt);
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: concurrency }, worker));
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = await settledCosts(api);
  const costs = before === null || after === null ? null : perOperation(before, after, count);
  return { name, count, ...percentiles(times), perSecond: count / seconds, costs };
}

/** The 50th, 95th and 99th percentile, by the nearest rank. */
export function percentiles(times: readonly number[]): { p50: number; p95: number; p99: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (percent: number): number => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
  return { p50: at(50), p95: at(95), p99: at(99) };
}

/**
 * The meter once work that goes on after the answers (wakes, directory) has come to rest: none is under way, and two readings
 * 100 ms apart are equal.
 *
 * @returns null where the homeserver has no meter.
 */
export async function settledCosts(api: Api): Promise<Costs | null> {
  let last = await readMeter(api);
  for (let tries = 0; tries < 100 && last !== null; tries += 1) {
    await delay(100);
    const now = await readMeter(api);
    const isAtRest = now?.underWay === 0 && costNames.every((name) => now[name] === last?.[name]);
    if (now === null || isAtRest) return now;
    last = now;
  }
  return last;
}

/** What one of `count` operations cost, from two readings of the meter. */
export function perOperation(before: Costs, after: Costs, count: number): Costs {
  const each = (name: (typeof costNames)[number]): number => (after[name] - before[name]) / count;
  return {
    rowsRead: each("rowsRead"),
    rowsWritten: each("rowsWritten"),
    rpcCalls: each("rpcCalls"),
    wakes: each("wakes"),
    alarms: each("alarms"),
  };
}

async function readMeter(api: Api): Promise<Reading | null> {
  const answer = await api.call("GET", "/_tessera/meter").catch(() => null);
  if (answer === null) return null;
  const count = (name: string): number => {
    const value = answer[name];
    return typeof value === "number" ? value : 0;
  };
  return {
    rowsRead: count("rowsRead"),
    rowsWritten: count("rowsWritten"),
    rpcCalls: count("rpcCalls"),
    wakes: count("wakes"),
    alarms: count("alarms"),
    underWay: count("underWay"),
  };
}
