/** `npm test`: runs all tests; arguments choose files by a part of their path. The last line counts. */
import { startVitest, type TestCase, type TestModule, type Vitest } from "vitest/node";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<void> {
  const filters = process.argv.slice(2);
  const reporters = ["default" as const];
  const vitest = await startVitest("test", filters, { watch: false, run: true, reporters });
  const counts = count(vitest);
  const hadErrors = vitest.state.getUnhandledErrors().length > 0;
  await vitest.close();
  const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
  process.exit(counts.failed > 0 || hadErrors || counts.passed === 0 ? 1 : 0);
}

/** Counts tests; a file that could not be loaded, or whose hooks failed, counts as one failed test. */
function count(vitest: Vitest): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const module of vitest.state.getTestModules()) {
    const tests: TestCase[] = [...module.children.allTests()];
    for (const test of tests) counts[stateOf(test)] += 1;
    if (hasFailedOutsideTests(module, tests)) counts.failed += 1;
  }
  return counts;
}

function stateOf(test: TestCase): keyof Counts {
  const { state } = test.result();
  // A test that never finished did not pass.
  return state === "pending" ? "failed" : state;
}

function hasFailedOutsideTests(module: TestModule, tests: readonly TestCase[]): boolean {
  return module.state() === "failed" && !tests.some((test) => test.result().state === "failed");
}

await main();
