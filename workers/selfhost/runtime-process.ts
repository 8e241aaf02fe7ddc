import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** How workerd is started, and what ends it if this process cannot. */
export interface RuntimeProcess {
  /** Variables for workerd's environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** To be called when workerd listens. */
  confirm(): void;
  /** To be called when workerd has been stopped in order. */
  release(): void;
}

const wrapper = join(import.meta.dirname, "workerd.sh");

/** Open files that a busy server needs: three for each actor in memory. */
export const wantedOpenFiles = 65_536;

/**
 * Has workerd started through `workerd.sh`, under the eyes of a small shell that outlives this process.
 *
 * workerd notices nothing when the process that started it is killed: it would keep the port and write to the data
 * folder while the next start believes to be alone there. The shell waits for the end of a pipe from this process, which
 * the operating system closes however this process ends, and then kills workerd.
 */
export async function prepareRuntimeProcess(dataDir: string): Promise<RuntimeProcess> {
  if (process.platform === "win32") return { environment: {}, confirm: () => undefined, release: () => undefined };
  const pidFile = join(dataDir, "workerd.pid");
  await waitForLeftover(pidFile);
  chmodSync(wrapper, 0o755);
  process.env.MINIFLARE_WORKERD_PATH = wrapper;
  const watcher = watch(pidFile);
  return {
    environment: { TESSERA_WORKERD: workerdPath(), TESSERA_WORKERD_PID_FILE: pidFile },
    confirm: () => void watcher.stdin?.write(`${findPid(pidFile) ?? ""}\n`),
    release: () => {
      rmSync(pidFile, { force: true });
      watcher.stdin?.end("\n");
    },
  };
}

/** How many files workerd will be able to open: the hard limit, to which `workerd.sh` raises the soft one. */
export function openFilesLimit(): number {
  if (process.platform === "win32") return wantedOpenFiles;
  const answer = execFileSync("/bin/sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  const limit = Number(answer);
  return Number.isInteger(limit) ? limit : wantedOpenFiles;
}

/** A workerd whose parent was killed a moment ago is about to be killed too, and holds the port until then. */
async function waitForLeftover(pidFile: string): Promise<void> {
  for (let tries = 0; tries < 40; tries += 1) {
    const pid = findPid(pidFile);
    if (pid === null || !isAlive(pid)) return;
    await sleep(50);
  }
}

/**
 * The shell's own copy of the process id is for a data folder that was removed together with its server; the file, which
 * is written first and at each start, for a workerd that has just begun, or that Miniflare started again after a crash.
 */
const watcherScript = `while read -r line; do pid=$line; done
newest=$(cat "$0" 2>/dev/null)
if [ -n "$newest" ]; then pid=$newest; fi
if [ -n "$pid" ]; then kill -9 "$pid" 2>/dev/null; fi
rm -f "$0"`;

function watch(pidFile: string): ChildProcess {
  // Detached: Ctrl-C in a terminal goes to the whole process group, and must not end the watcher first.
  const watcher = spawn("/bin/sh", ["-c", watcherScript, pidFile], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.unref();
  const { stdin } = watcher;
  if (stdin !== null && "unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  return watcher;
}

function findPid(pidFile: string): number | null {
  try {
    const pid = Number(readFileSync(pidFile, "utf8").trim());
    return Number.isInteger(pid) && pid > 1 ? pid : null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function workerdPath(): string {
  const require = createRequire(import.meta.url);
  const loaded: unknown = createRequire(require.resolve("miniflare"))("workerd");
  if (typeof loaded === "object" && loaded !== null && "default" in loaded && typeof loaded.default === "string") {
    return loaded.default;
  }
  throw new Error("the workerd package does not say where its program is");
}
