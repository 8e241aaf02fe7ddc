import type { Outcome } from "./test-events.ts";

/** How each test ended: by package, then by the test's full name. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Outcome>>;

/** One test of one package. */
export interface TestName {
  readonly package: string;
  readonly test: string;
}

/** Tests by how they ended. */
export interface Counts {
  readonly pass: number;
  readonly fail: number;
  readonly skip: number;
}

/** Writes results as lines of package, test and outcome, separated by tabs, in the order of the names. */
export function formatResults(results: Results): string {
  const lines: string[] = [];
  for (const [name, outcomes] of results) {
    for (const [test, outcome] of outcomes) lines.push(`${name}\t${test}\t${outcome}\n`);
  }
  return lines.sort().join("");
}

/** Reads what `formatResults` wrote. @throws Error at a line of another form. */
export function parseResults(text: string): Results {
  const results = new Map<string, Map<string, Outcome>>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [name, test, outcome] = line.split("\t");
    if (name === undefined || test === undefined || !isOutcome(outcome)) throw new Error(`not a result: ${line}`);
    const outcomes = results.get(name) ?? new Map<string, Outcome>();
    results.set(name, outcomes.set(test, outcome));
  }
  return results;
}

/**
 * Finds the tests that passed earlier and did not pass now.
 *
 * @param isWhole whether all tests of the packages were asked for: then one that did not run has not passed.
 */
export function findRegressions(earlier: Results, now: Results, isWhole: boolean): readonly TestName[] {
  const regressions: TestName[] = [];
  for (const [name, outcomes] of now) {
    for (const [test, outcome] of earlier.get(name) ?? []) {
      const isMissing = !outcomes.has(test);
      if (outcome !== "pass" || outcomes.get(test) === "pass" || (isMissing && !isWhole)) continue;
      regressions.push({ package: name, test });
    }
  }
  return regressions;
}

/** Replaces what is known of the packages, or of the tests, that ran. */
export function mergeResults(earlier: Results, now: Results, isWhole: boolean): Results {
  const merged = new Map(earlier);
  for (const [name, outcomes] of now) {
    merged.set(name, isWhole ? outcomes : new Map([...(earlier.get(name) ?? []), ...outcomes]));
  }
  return merged;
}

/** The tests that failed themselves: one whose subtest failed is left out, because that is why. */
export function failedTests(results: Results): readonly TestName[] {
  const failed: TestName[] = [];
  for (const [name, outcomes] of results) {
    const failing = [...outcomes].filter(([, outcome]) => outcome === "fail").map(([test]) => test);
    const parents = new Set(failing.flatMap(parentsOf));
    failed.push(...failing.filter((test) => !parents.has(test)).map((test) => ({ package: name, test })));
  }
  return failed.sort((a, b) => (a.package + a.test < b.package + b.test ? -1 : 1));
}

/** Counts a package's tests, subtests included. */
export function countOutcomes(outcomes: ReadonlyMap<string, Outcome>): Counts {
  const all = [...outcomes.values()];
  const count = (wanted: Outcome): number => all.filter((outcome) => outcome === wanted).length;
  return { pass: count("pass"), fail: count("fail"), skip: count("skip") };
}

function parentsOf(test: string): readonly string[] {
  const parts = test.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

function isOutcome(value: string | undefined): value is Outcome {
  return value === "pass" || value === "fail" || value === "skip";
}
