/**
 * `node tests/mutation/run.ts [part of a guard or file]…`: takes out each guard in turn and runs the tests that must miss
 * it. Ends with 1 when some mutant survives: its tests pass, or there are none.
 *
 * One process and one server of modules for all mutants, of which only the changed file is loaded anew: a mutant costs
 * little more than its tests.
 */
import { join } from "node:path";
import { createVitest, type TestModule, type Vitest } from "vitest/node";
import type { Mutant } from "./mutant.ts";
import { mutants } from "./mutants.ts";

const root = join(import.meta.dirname, "../..");

// A mutant that shows at all shows in a few graphs.
process.env.STATE_GRAPH_RUNS = "150";

/** Ten times what a test of a guard takes. */
const testTimeout = 30_000;

/** What became of a mutant; null: its tests have failed, as they must. */
type Survival = string | null;

/** The change that is made to files now, and whether it was. */
let current: Mutant | null = null;
let isPlanted = false;

/** Made before any other step, so that the text is that of the file. */
const planting = {
  name: "mutant",
  enforce: "pre" as const,
  transform(code: string, id: string): string | null {
    if (current === null || id.split("?")[0] !== join(root, current.file)) return null;
    const { find, replace } = current;
    isPlanted = code.includes(find);
    return code.replace(find, () => replace);
  },
};

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const chosen = mutants.filter(
    ({ guard, file }) => wanted.length === 0 || wanted.some((part) => guard.includes(part) || file.includes(part)),
  );
  const vitest = await createVitest(
    "test",
    // Nothing of a mutant may stay in the cache that other runs share. Some make a test wait for ever.
    {
      root,
      watch: false,
      fsModuleCache: false,
      bail: 1,
      pool: "threads",
      maxWorkers: 1,
      reporters: [{}],
      testTimeout,
    },
    { plugins: [planting], logLevel: "error" },
  );
  let survivors = 0;
  for (const mutant of chosen) {
    const startedAt = performance.now();
    const survival = await survivalOf(vitest, mutant);
    if (survival !== null) survivors += 1;
    const ms = Math.round(performance.now() - startedAt);
    process.stdout.write(`${survival ?? "killed"}: ${mutant.guard} (${mutant.file}, ${ms} ms)\n`);
  }
  await vitest.close();
  process.stdout.write(`${chosen.length - survivors} of ${chosen.length} mutants killed\n`);
  process.exit(survivors > 0 || chosen.length === 0 ? 1 : 0);
}

async function survivalOf(vitest: Vitest, mutant: Mutant): Promise<Survival> {
  const path = join(root, mutant.file);
  current = mutant;
  isPlanted = false;
  vitest.invalidateFile(path);
  try {
    const survival = await runTests(vitest, mutant);
    return isPlanted ? survival : "NOT PLANTED";
  } finally {
    current = null;
    vitest.invalidateFile(path);
  }
}

async function runTests(vitest: Vitest, { kill }: Mutant): Promise<Survival> {
  vitest.setGlobalTestNamePattern(new RegExp(kill.only));
  const testPath = join(root, kill.file);
  const specifications = await vitest.globTestSpecifications([testPath]);
  const { testModules } = await vitest.runTestSpecifications(specifications, false);
  const module = testModules.find(({ moduleId }) => moduleId === testPath);
  return module === undefined ? "NO TEST FILE" : survivalIn(module);
}

/** A file that cannot even be loaded shows nothing of the guard. */
function survivalIn(module: TestModule): Survival {
  if (module.errors().length > 0) return "NOT LOADED";
  const states = [...module.children.allTests()].map((test) => test.result().state);
  if (states.includes("failed")) return null;
  return states.includes("passed") ? "SURVIVED" : "NO TEST";
}

await main();
