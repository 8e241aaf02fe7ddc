import { describe, expect, it } from "vitest";
import { federationMutants } from "./federation-mutants.ts";
import { runFederation } from "./federation-scenario.ts";

/** Seeds within which a planted bug must show. */
const maxSeeds = Number(process.env.SIM_MUTANT_SEEDS ?? 200);
const maxOperations = 30;

describe("servers with a planted bug", () => {
  for (const mutant of federationMutants) {
    it(`are caught: ${mutant.name}`, { timeout: 600_000 }, async () => {
      for (let seed = 1; seed <= maxSeeds; seed += 1) {
        const outcome = await runFederation({ seed, maxOperations, kinds: mutant.kinds });
        const [violation] = outcome.violations;
        if (violation === undefined) continue;
        console.log(`"${mutant.name}" caught by seed ${seed}: ${violation.split("\n")[0]}`);
        return;
      }
      expect.fail(`not caught in ${maxSeeds} seeds`);
    });
  }
});
