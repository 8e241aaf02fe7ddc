import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suiteModule } from "./packages.ts";
import type { Suite } from "./suite.ts";
import { type PackageRun, readTestEvents } from "./test-events.ts";

/** What a run of the suite's packages has in common. */
export interface RunOptions {
  readonly suite: Suite;
  /** The file that `start.ts` takes the Worker from. */
  readonly bundleFile: string;
  /** As for `go test -run`; null: all tests. */
  readonly filter: string | null;
  /** For one package. */
  readonly timeoutMinutes: number;
}

const startScript = join(import.meta.dirname, "start.ts");
const withNode = join(import.meta.dirname, "../../tools/with-node");
/** Go ends a test binary that is late by itself, with a trace of what it waited for; this is for when it does not. */
const graceMs = 60_000;

/** Runs one package's tests in a temporary folder of its own, of which nothing is left, and neither of its servers. */
export async function runPackage(path: string, options: RunOptions): Promise<PackageRun> {
  const temporary = await mkdtemp(join(tmpdir(), "tessera-complement-"));
  try {
    return readTestEvents(await goTest(path, temporary, options));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function goTest(path: string, temporary: string, options: RunOptions): Promise<readonly string[]> {
  const { suite, filter, timeoutMinutes } = options;
  const args = [
    "test",
    "-json",
    "-vet=off",
    "-count=1",
    `-timeout=${timeoutMinutes}m`,
    `-overlay=${suite.overlayFile}`,
  ];
  if (filter !== null) args.push(`-run=${filter}`);
  // In a group of its own, so that compiler and test binary can be ended together.
  const child = spawn("go", [...args, `${suiteModule}/${path}`], {
    cwd: suite.folder,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...variables(temporary, options) },
  });
  const end = (): void => void endGroup(child.pid);
  process.once("exit", end);
  const timer = setTimeout(end, timeoutMinutes * 60_000 + graceMs);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => lines.push(line));
  await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  process.off("exit", end);
  return lines;
}

function variables(temporary: string, options: RunOptions): NodeJS.ProcessEnv {
  const command = ["sh", withNode, "node", startScript, options.bundleFile];
  return {
    GOWORK: options.suite.workspaceFile,
    HOMESERVER_COMMAND: JSON.stringify(command),
    // Each binary writes certificates under fixed names into the temporary folder.
    TMPDIR: temporary,
    GOTMPDIR: tmpdir(),
    COMPLEMENT_BASE_IMAGE: "process",
    COMPLEMENT_ENABLE_DIRTY_RUNS: "1",
  };
}

/** @returns whether there was still something to end. */
function endGroup(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(-pid, "SIGKILL");
  } catch {
    return false;
  }
}
