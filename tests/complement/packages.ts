/** A package of the suite. */
export interface SuitePackage {
  /** Under the suite's module. */
  readonly path: string;
  /** Why it is not run; null: it is. */
  readonly notRun: string | null;
}

/** The module whose tests are run; its version is in go.mod. */
export const suiteModule = "github.com/matrix-org/complement";

/**
 * All packages of the suite, those first that take longest. One is run when `/versions` declares what it tests, by a
 * version of the specification or by an unstable feature.
 */
export const suitePackages: readonly SuitePackage[] = [
  { path: "tests/csapi", notRun: null },
  { path: "tests", notRun: null },
  // Served, although only a version of the specification that is not declared yet would tell clients so.
  { path: "tests/msc4222", notRun: null },
  { path: "tests/msc2836", notRun: "threading by relationship (MSC2836) is an unstable feature that is not declared" },
  { path: "tests/msc3391", notRun: "removal of account data (MSC3391) is an unstable feature that is not declared" },
  { path: "tests/msc3757", notRun: "owned state (MSC3757) is an unstable feature that is not declared" },
  { path: "tests/msc3874", notRun: "filtering by relation (v1.4 and later) is not declared yet" },
  {
    path: "tests/msc3890",
    notRun: "local notification settings (MSC3890) are an unstable feature that is not declared",
  },
  { path: "tests/msc3902", notRun: "joining with partial state (MSC3902) is an unstable feature that is not declared" },
  { path: "tests/msc3930", notRun: "push rules of polls (MSC3930) are an unstable feature that is not declared" },
  { path: "tests/msc3967", notRun: "cross-signing keys (v1.11 for this) are not declared yet" },
  { path: "tests/msc4140", notRun: "delayed events (MSC4140) are an unstable feature that is not declared" },
  { path: "tests/msc4155", notRun: "filtering of invites (MSC4155) is an unstable feature that is not declared" },
  { path: "tests/msc4306", notRun: "thread subscriptions (MSC4306) are an unstable feature that is not declared" },
];
