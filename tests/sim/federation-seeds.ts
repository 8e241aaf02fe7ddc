/** The seeds of the federated scenario as tests. They stand in two files, which run beside each other. */
import { describe, expect, it } from "vitest";
import { type FederationOutcome, runFederation } from "./federation-scenario.ts";

/** Seeds of one file. */
const seeds = Number(process.env.SIM_FEDERATION_SEEDS ?? 500);
/** The first of them. */
const firstSeed = Number(process.env.SIM_FIRST ?? 1);
/** The one seed to run again, with its trace. */
const replay = process.env.SIM_SEED;
const maxOperations = Number(process.env.SIM_OPERATIONS ?? 24);

/** What a failing seed says for itself. */
function report(seed: number, outcome: FederationOutcome): string {
  return [
    `seed ${seed}: ${outcome.violations.length} violations`,
    ...outcome.violations.slice(0, 10),
    `replay with its trace: SIM_SEED=${seed} vitest run tests/sim/federation.test.ts --disable-console-intercept`,
  ].join("\n");
}

/** @param part of all seeds: 0 or 1 */
export function testSeeds(part: 0 | 1): void {
  const first = firstSeed + part * seeds;
  it(`agree in ${seeds} federations from seed ${first} on`, { timeout: 3_600_000 }, async () => {
    const startedAt = performance.now();
    const failures: string[] = [];
    const total = { seeds: 0, servers: 0, steps: 0, operations: 0, granted: 0, events: 0 };
    for (let seed = first; seed < first + seeds && failures.length < 5; seed += 1) {
      const outcome = await runFederation({ seed, maxOperations });
      total.seeds += 1;
      for (const what of ["servers", "steps", "operations", "granted", "events"] as const) total[what] += outcome[what];
      if (outcome.violations.length > 0) failures.push(report(seed, outcome));
    }
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(
      `${total.seeds} seeds in ${seconds.toFixed(1)} s (${(total.seeds / seconds).toFixed(1)} seeds/s): ${total.servers} servers, ` +
        `${total.steps} steps, ${total.operations} operations (${total.granted} granted), ${total.events} events`,
    );
    expect(failures.join("\n\n")).toBe("");
  });
}

/** Runs the seed that `SIM_SEED` names, if any, with its trace. */
export function testOneSeed(): void {
  describe.runIf(replay !== undefined)("one seed again", () => {
    it(`shows what happens in federation ${replay}`, { timeout: 600_000 }, async () => {
      const seed = Number(replay);
      const onTrace = process.env.SIM_TRACE === "off" ? undefined : (line: string) => console.log(line);
      const outcome = await runFederation({ seed, maxOperations, ...(onTrace === undefined ? {} : { onTrace }) });
      console.log(Object.fromEntries(outcome.counts));
      expect(outcome.violations.length === 0 ? "" : report(seed, outcome)).toBe("");
    });
  });
}

/** Whether all seeds are to be run. */
export const runsAll = replay === undefined;
