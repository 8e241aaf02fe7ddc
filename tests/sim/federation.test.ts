import { describe, expect, it } from "vitest";
import { runFederation } from "./federation-scenario.ts";
import { runsAll, testOneSeed, testSeeds } from "./federation-seeds.ts";

describe.runIf(runsAll)("servers under faults", () => {
  it("run the same way again from the same seed", { timeout: 120_000 }, async () => {
    for (const seed of [1, 2, 3]) {
      const first = await runFederation({ seed, maxOperations: 20 });
      const second = await runFederation({ seed, maxOperations: 20 });
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.steps).toBe(first.steps);
    }
  });

  testSeeds(0);
});

testOneSeed();
