/** What of the room's core is measured, in which order, and against which target; wherever it runs. */
import type { ChecksResult } from "./core-checks.ts";
import type { Reading } from "./core-state.ts";
import { percentiles } from "./measure.ts";

export interface CoreRow {
  readonly name: string;
  readonly result: string;
  readonly target: string;
}

/** Where the core runs: in Node in a bounded heap, or in workerd as deployed. The two rooms are to be built first. */
export interface CoreHost {
  checks(): Promise<ChecksResult>;
  canonicalJson(): Promise<{ micros: number; bytes: number }>;
  /** @returns ms that interning the keys and storing the state has taken. */
  build(room: RoomName, size: number): Promise<number>;
  reading(): Promise<Reading>;
  /** Resolves forks with so many changes each; the time is that of the middle one of the rounds. */
  resolution(input: Forks): Promise<{ ms: number; rowsRead: number }>;
  sends(room: RoomName, round: number, count: number): Promise<number>;
  /** MiB in use after the last measurement; null where it cannot be known. */
  heapMib(): number | null;
}

/** Forks to be resolved. */
export interface Forks {
  readonly forks: number;
  readonly changes: number;
  readonly rounds: number;
}

export type RoomName = "small" | "large";

/** Keys that each fork changes; and about as many as one resolution takes up before it reaches a bound. */
const changes = 50;
const mostChanges = 4_000;
const sizes: Readonly<Record<RoomName, number>> = { small: 10, large: 100_000 };
const rounds = 40;
const warmUpRounds = 4;
const sendsPerRound = 50;

/** Measures everything; `report` is told as it goes. */
export async function measureCore(host: CoreHost, report: (line: string) => void): Promise<CoreRow[]> {
  const rows: CoreRow[] = [];
  let peakMib: number | null = null;
  const add = (name: string, result: string, target = ""): void => {
    rows.push({ name, result, target });
    const heapMib = host.heapMib();
    if (heapMib !== null) peakMib = Math.max(peakMib ?? 0, heapMib);
    report(`${name}: ${result}`);
  };
  const { checked, verified } = await medianChecks(host);
  add("verify, hash and authorize 10,000 member events", `${count(checked)} events/s`, "≥ 8,000 events/s");
  add("the Ed25519 verifications of that by themselves", `${count(verified)}/s`);
  const { micros, bytes } = await host.canonicalJson();
  add(`canonical JSON of an event of ${bytes} bytes`, `${micros.toFixed(1)} µs`, "≤ 10 µs");
  await host.build("small", sizes.small);
  add("build and store a state of 100,000 members", ms(await host.build("large", sizes.large)), "≤ 2 s");
  const { entries, asNumbersMs, nodeRows, withEventsMs } = await host.reading();
  add(`read a state of ${count(entries)}, as numbers`, `${ms(asNumbersMs)}, ${count(nodeRows)} rows`);
  add("read it with all of its events", ms(withEventsMs));
  for (const forks of [2, 3]) {
    const resolution = await host.resolution({ forks, changes, rounds: 15 });
    const name = `resolve ${forks} forks of ${changes} changes each among 100,000 members`;
    add(name, ms(resolution.ms), "≤ 50 ms");
    add(`rows read for ${forks} forks`, count(resolution.rowsRead), "≤ 2,000");
  }
  const most = await host.resolution({ forks: 2, changes: mostChanges, rounds: 3 });
  add(`resolve 2 forks of ${count(mostChanges)} changes each, near the bounds`, ms(most.ms), "≤ 2 s");
  const { small, large } = await alternatingSends(host);
  add("one local send in a room of 10", ms(small));
  const more = Math.round((large / small - 1) * 100);
  add("one local send in a room of 100,000", `${ms(large)} (${more} % more)`, "≤ 20 % more");
  if (peakMib !== null) {
    add("memory of JavaScript in use, most after a measurement", `${Math.round(peakMib)} MiB`, "≤ 100 MiB");
  }
  return rows;
}

/** Of three runs the one in the middle: the machine's own speed varies. */
async function medianChecks(host: CoreHost): Promise<ChecksResult> {
  const results: ChecksResult[] = [];
  for (let run = 0; run < 3; run += 1) results.push(await host.checks());
  const [, middle] = results.toSorted((left, right) => left.checked - right.checked);
  return middle ?? { checked: 0, verified: 0 };
}

/** The two rooms take turns, each long enough to have its own in the processor's caches. */
async function alternatingSends(host: CoreHost): Promise<Record<RoomName, number>> {
  const times: Record<RoomName, number[]> = { small: [], large: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const room of ["small", "large"] as const) {
      const took = await host.sends(room, round, sendsPerRound);
      if (round >= warmUpRounds) times[room].push(took);
    }
  }
  return { small: percentiles(times.small).p50, large: percentiles(times.large).p50 };
}

const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
const count = (value: number): string => Math.round(value).toLocaleString("en");
