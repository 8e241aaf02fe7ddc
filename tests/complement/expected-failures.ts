import { type FailureReason, failureReasons } from "./failure-reasons.ts";
import { failedTests, type Results, type TestName } from "./results.ts";

/** The failed tests of a run, set against the reasons that are known. */
export interface Assessment {
  /** Failed tests by the reason that covers them, in the order of the reasons. */
  readonly byReason: ReadonlyMap<FailureReason, readonly TestName[]>;
  /** Failed tests that no reason covers. */
  readonly withoutReason: readonly TestName[];
  /** Entries of reasons that cover no failed test of the packages that ran. */
  readonly stale: readonly TestName[];
}

/** Finds the reason of each failed test. An entry covers the test that it names, and that test's subtests. */
export function assess(results: Results, reasons: readonly FailureReason[] = failureReasons): Assessment {
  const byReason = new Map<FailureReason, TestName[]>();
  const withoutReason: TestName[] = [];
  const used = new Set<string>();
  for (const failed of failedTests(results)) {
    const found = findReason(failed, reasons);
    if (found === null) {
      withoutReason.push(failed);
      continue;
    }
    used.add(key({ package: failed.package, test: found.entry }));
    byReason.set(found.reason, [...(byReason.get(found.reason) ?? []), failed]);
  }
  const ordered = new Map(reasons.flatMap((reason) => [[reason, byReason.get(reason) ?? []] as const]));
  const stale = entriesOf(reasons).filter((entry) => results.has(entry.package) && !used.has(key(entry)));
  return { byReason: ordered, withoutReason, stale };
}

/** Writes `expected-failures.md`: each failing test under its reason. */
export function formatExpectedFailures(assessment: Assessment): string {
  const sections = [...assessment.byReason].filter(([, tests]) => tests.length > 0).map(formatSection);
  return [
    "# Tests of Complement that fail, and why",
    "",
    "Written by `npm run test:complement -- --update` from `results.tsv` and the reasons in `failure-reasons.ts`. A test whose",
    "subtest fails is left out. A failing test that has no reason is an error, and so is a reason that no test needs.",
    "",
    sections.join("\n"),
  ].join("\n");
}

function formatSection([reason, tests]: readonly [FailureReason, readonly TestName[]]): string {
  const lines = tests.map(({ package: name, test }) => `- \`${name}\` \`${test}\``);
  return `## ${reason.title} (${tests.length})\n\n${reason.why}\n\n${lines.join("\n")}\n`;
}

function findReason(
  failed: TestName,
  reasons: readonly FailureReason[],
): { readonly reason: FailureReason; readonly entry: string } | null {
  for (const reason of reasons) {
    for (const entry of reason.tests[failed.package] ?? []) {
      if (failed.test === entry || failed.test.startsWith(`${entry}/`)) return { reason, entry };
    }
  }
  return null;
}

function entriesOf(reasons: readonly FailureReason[]): readonly TestName[] {
  return reasons.flatMap(({ tests }) =>
    Object.entries(tests).flatMap(([name, entries]) => entries.map((test) => ({ package: name, test }))),
  );
}

function key(name: TestName): string {
  return `${name.package}\t${name.test}`;
}
