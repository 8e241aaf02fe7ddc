/** Facts of the machine and of the processes on it, without which a figure says nothing. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, totalmem, type } from "node:os";
import { join } from "node:path";

/** What the figures were measured on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGib: number;
  readonly system: string;
  readonly node: string;
  readonly workerd: string;
}

/** This machine. */
export function describeMachine(): Machine {
  const processors = cpus();
  return {
    cores: processors.length,
    cpu: processors[0]?.model.trim() ?? "unknown",
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: type(),
    node: process.version,
    workerd: workerdVersion(),
  };
}

function workerdVersion(): string {
  const require = createRequire(import.meta.url);
  const manifest: unknown = JSON.parse(readFileSync(join(require.resolve("workerd"), "../../package.json"), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "?";
}

/** A process's resident memory, with its command. */
export interface ProcessMemory {
  readonly pid: number;
  readonly command: string;
  readonly residentMib: number;
}

/**
 * Memory of a process and all that descend from it. Pages that two of them share are counted in both.
 *
 * @returns empty where the system has no `/proc`.
 */
export function memoryOfTree(rootPid: number): ProcessMemory[] {
  return familyOf(rootPid).flatMap((pid) => {
    const residentKib = /VmRSS:\s+(\d+)/.exec(readProcess(pid, "status"))?.[1];
    if (residentKib === undefined) return [];
    return [{ pid, command: readProcess(pid, "comm").trim(), residentMib: Number(residentKib) / 1024 }];
  });
}

/** The clock of `/proc/<pid>/stat`, on every Linux. */
const ticksPerSecond = 100;

/** Seconds of processor time that all living processes have had that descend from a process; 0 without `/proc`. */
export function cpuSecondsOfDescendants(rootPid: number): number {
  const ticks = familyOf(rootPid).map((pid) => {
    if (pid === rootPid) return 0;
    // The fields after the command, which may hold anything: user and system time are the 12th and 13th of them.
    const fields = readProcess(pid, "stat").split(") ").at(-1)?.split(" ") ?? [];
    return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  });
  return ticks.reduce((sum, own) => sum + own, 0) / ticksPerSecond;
}

/** A process and all that descend from it. */
function familyOf(rootPid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of listProcesses()) {
    const parent = /\) \S (\d+)/.exec(readProcess(name, "stat"))?.[1];
    if (parent !== undefined) parents.set(name, Number(parent));
  }
  const family = [rootPid];
  for (const pid of family) {
    for (const [child, parent] of parents) if (parent === pid) family.push(child);
  }
  return family;
}

/** Size of a folder on disk in MiB, or null where `du` is missing. */
export function diskUsageMib(folder: string): number | null {
  try {
    return Number(execFileSync("du", ["-sk", folder], { encoding: "utf8" }).split("\t")[0]) / 1024;
  } catch {
    return null;
  }
}

function listProcesses(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

/** A file of a process; empty once the process is gone. */
function readProcess(pid: number, file: "stat" | "status" | "comm"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
