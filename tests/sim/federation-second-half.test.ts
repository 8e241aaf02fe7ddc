import { describe } from "vitest";
import { runsAll, testSeeds } from "./federation-seeds.ts";

describe.runIf(runsAll)("servers under faults, the second half", () => {
  testSeeds(1);
});
