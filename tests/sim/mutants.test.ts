import { describe, expect, it } from "vitest";
import { mutants } from "./mutants.ts";
import { runScenario } from "./scenario.ts";

/** Seeds within which a planted bug must show. */
const maxSeeds = Number(process.env.SIM_MUTANT_SEEDS ?? 150);
const maxOperations = 60;

describe("a server with a planted bug", () => {
  for (const mutant of mutants) {
    it(`is caught: ${mutant.name}`, { timeout: 600_000 }, async () => {
      for (let seed = 1; seed <= maxSeeds; seed += 1) {
        const outcome = await runScenario({ seed, maxOperations, kinds: mutant.kinds });
        const [violation] = outcome.violations;
        if (violation === undefined) continue;
        console.log(`"${mutant.name}" caught by seed ${seed}: ${violation.split("\n")[0]}`);
        return;
      }
      expect.fail(`not caught in ${maxSeeds} seeds`);
    });
  }
});
