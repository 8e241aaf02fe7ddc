/**
 * `npm test`: runs all tests; arguments choose files by a part of their path. The last lines name what failed, and why;
 * the very last counts.
 */
import { stripVTControlCharacters } from "node:util";
import { startVitest, type TestCase, type TestModule, type Vitest } from "vitest/node";

type TestCaseErrors = ReturnType<TestCase["result"]>["errors"];

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
  for (const text of failures(vitest)) process.stdout.write(`failed: ${text}\n`);
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

/** What failed, each with its errors, cut to what a person reads. */
function failures(vitest: Vitest): string[] {
  return vitest.state.getTestModules().flatMap((module) => {
    const tests = [...module.children.allTests()].filter((test) => stateOf(test) === "failed");
    const inTests = tests.map((test) => textOf(`${module.relativeModuleId} > ${test.fullName}`, test.result().errors));
    return module.errors().length === 0 ? inTests : [textOf(module.relativeModuleId, module.errors()), ...inTests];
  });
}

function textOf(name: string, errors: TestCaseErrors): string {
  const reasons = (errors ?? []).map(({ message, diff }) => stripVTControlCharacters(`${message}\n${diff ?? ""}`));
  return [name, ...reasons.map((reason) => reason.trim().slice(0, 4_000))].join("\n");
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
