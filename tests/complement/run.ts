/**
 * `npm run test:complement`: the Matrix project's own conformance suite against this server, each homeserver a process.
 *
 *   npm run test:complement                         all packages; compares with results.tsv
 *   npm run test:complement -- --update             and writes results.tsv, expected-failures.md and the README's counts
 *   npm run test:complement -- tests/csapi          one package
 *   npm run test:complement -- --run TestLogin      tests by name, as for `go test -run`
 *   npm run test:complement -- --jobs 1             packages at a time (2), --timeout 20 minutes for each (15)
 *
 * COMPLEMENT_DIR names a checkout of the suite to take in place of the published module.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bundleWorker, stopBundler } from "../../workers/selfhost/bundle.ts";
import { encodeBundle } from "./bundle-file.ts";
import { assess, formatExpectedFailures } from "./expected-failures.ts";
import { suitePackages } from "./packages.ts";
import { writeCounts } from "./readme-counts.ts";
import {
  countOutcomes,
  findRegressions,
  formatResults,
  mergeResults,
  parseResults,
  type Results,
  type TestName,
} from "./results.ts";
import { type RunOptions, runPackage } from "./run-package.ts";
import { prepareSuite, SuiteUnavailable } from "./suite.ts";
import type { Outcome } from "./test-events.ts";

interface Arguments {
  readonly packages: readonly string[];
  readonly filter: string | null;
  readonly update: boolean;
  readonly jobs: number;
  readonly timeoutMinutes: number;
}

const here = import.meta.dirname;
const resultsFile = join(here, "results.tsv");
const expectedFailuresFile = join(here, "expected-failures.md");
const logFolder = join(here, "../../test-results/complement");
/** The suite could not be run here: neither a success nor a failure of the server. */
const unavailableStatus = 69;

async function main(): Promise<number> {
  const args = readArguments();
  const workFolder = await mkdtemp(join(tmpdir(), "tessera-suite-"));
  try {
    const results = await runPackages(args, workFolder);
    return await report(args, results);
  } catch (thrown) {
    if (!(thrown instanceof SuiteUnavailable)) throw thrown;
    process.stderr.write(`Complement was not run. ${thrown.message}\n`);
    return unavailableStatus;
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      run: { type: "string" },
      update: { type: "boolean", default: false },
      jobs: { type: "string", default: "2" },
      timeout: { type: "string", default: "15" },
    },
  });
  const runnable = suitePackages.filter(({ notRun }) => notRun === null).map(({ path }) => path);
  for (const name of positionals) {
    if (!suitePackages.some(({ path }) => path === name)) throw new Error(`Complement has no package ${name}`);
  }
  return {
    packages: positionals.length > 0 ? positionals : runnable,
    filter: values.run ?? null,
    update: values.update,
    jobs: Number(values.jobs),
    timeoutMinutes: Number(values.timeout),
  };
}

async function runPackages(args: Arguments, workFolder: string): Promise<Results> {
  const suite = await prepareSuite(workFolder);
  const bundleFile = join(workFolder, "worker.bundle");
  await writeFile(bundleFile, encodeBundle(await bundleWorker()));
  await stopBundler();
  await mkdir(logFolder, { recursive: true });
  const options: RunOptions = { suite, bundleFile, filter: args.filter, timeoutMinutes: args.timeoutMinutes };
  const waiting = [...args.packages];
  const results = new Map<string, ReadonlyMap<string, Outcome>>();
  const work = async (): Promise<void> => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      results.set(path, await runOne(path, options));
    }
  };
  await Promise.all(Array.from({ length: args.jobs }, work));
  return results;
}

/** Runs a package and says how it went. @throws Error if no test of it could be run. */
async function runOne(path: string, options: RunOptions): Promise<ReadonlyMap<string, Outcome>> {
  const startedAt = performance.now();
  const { outcomes, output } = await runPackage(path, options);
  const logFile = join(logFolder, `${path.replaceAll("/", "-")}.log`);
  await writeFile(logFile, output);
  const { pass, fail, skip } = countOutcomes(outcomes);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  process.stdout.write(`${path}: ${pass} pass, ${fail} fail, ${skip} skip; ${seconds} s; log ${logFile}\n`);
  if (outcomes.size === 0 && options.filter === null) {
    throw new Error(`no test of ${path} was run:\n${output.slice(-4000)}`);
  }
  return outcomes;
}

/** Compares with what is kept. @returns the process's status. */
async function report(args: Arguments, results: Results): Promise<number> {
  const isWhole = args.filter === null;
  const earlier = existsSync(resultsFile) ? parseResults(await readFile(resultsFile, "utf8")) : new Map();
  const regressions = findRegressions(earlier, results, isWhole);
  const merged = mergeResults(earlier, results, isWhole);
  const assessment = assess(results);
  list("passed before and do not pass now", regressions);
  list("fail without a reason in failure-reasons.ts", assessment.withoutReason);
  if (isWhole) list("are named in failure-reasons.ts and do not fail", assessment.stale);
  for (const { path, notRun } of suitePackages) {
    if (notRun !== null && args.packages.length > 1) process.stdout.write(`${path}: not run: ${notRun}\n`);
  }
  if (args.update) {
    await writeFile(resultsFile, formatResults(merged));
    await writeFile(expectedFailuresFile, formatExpectedFailures(assess(merged)));
    await writeCounts(merged);
  } else if (isWhole && formatResults(merged) !== formatResults(earlier) && regressions.length === 0) {
    process.stdout.write("More passes than is kept: npm run test:complement -- --update\n");
  }
  const isStale = isWhole && assessment.stale.length > 0;
  return regressions.length > 0 || assessment.withoutReason.length > 0 || isStale ? 1 : 0;
}

function list(complaint: string, tests: readonly TestName[]): void {
  if (tests.length === 0) return;
  process.stdout.write(`\n${tests.length} ${complaint}:\n`);
  for (const { package: name, test } of tests) process.stdout.write(`  ${name} ${test}\n`);
}

// What was started ends with this process, but only where it ends by itself.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));
process.exit(await main());
