/**
 * `npm run bench -- core`: the room's core, side by side in workerd, as it is deployed, with the rooms' databases on disk;
 * and in Node, in a process whose heap may not grow beyond 100 MiB. Prints a Markdown table.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { bundleWorker, stopBundler } from "../../workers/selfhost/bundle.ts";
import { startHomeserver } from "../support/homeserver.ts";
import { type CoreHost, type CoreRow, measureCore } from "./core-measures.ts";
import { describeMachine } from "./machine.ts";

/** Measures in both, one after the other, and prints the table. @returns whether everything could be measured */
export async function benchCore(timeoutMs: number): Promise<boolean> {
  const inNode = measureInNode(timeoutMs);
  if (inNode === null) return false;
  const inWorkerd = await measureInWorkerd();
  const { cores, cpu, memoryGib, node, workerd } = describeMachine();
  const lines = [
    `On ${cores} cores (${cpu}, ${memoryGib} GiB); workerd ${workerd}; Node ${node} with a heap of ${inNode.limitMib} MiB.`,
    "",
    "| room core | in workerd | in Node, bounded heap | target |",
    "|---|---:|---:|---:|",
  ];
  for (const { name, result, target } of inNode.rows) {
    const other = inWorkerd.find((row) => row.name === name)?.result ?? "";
    lines.push(`| ${name} | ${other} | ${result} | ${target} |`);
  }
  process.stdout.write(`\n${lines.join("\n")}\n`);
  return true;
}

function measureInNode(timeoutMs: number): { rows: CoreRow[]; limitMib: number } | null {
  // Old and new generation together: 100 MiB.
  const limits = ["--max-old-space-size=88", "--max-semi-space-size=4"];
  const { status, stdout } = spawnSync(
    process.execPath,
    [...limits, "--no-warnings", join(import.meta.dirname, "core-node.ts")],
    { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", timeout: timeoutMs },
  );
  return status === 0 ? JSON.parse(stdout) : null;
}

async function measureInWorkerd(): Promise<CoreRow[]> {
  const server = await startHomeserver({ bundle: bundleWorker(join(import.meta.dirname, "core-worker.ts")) });
  try {
    const report = (line: string): void => void process.stderr.write(`in workerd: ${line}\n`);
    return await measureCore(workerdHost(server.baseUrl), report);
  } finally {
    await server.stop();
    await stopBundler();
  }
}

function workerdHost(baseUrl: string): CoreHost {
  const ask = async (path: string, query: Readonly<Record<string, string | number>> = {}) => {
    const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
    const response = await fetch(`${baseUrl}/${path}?${text}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return JSON.parse(await response.text());
  };
  return {
    checks: () => ask("checks"),
    canonicalJson: () => ask("canonicalJson"),
    build: (room, size) => ask("build", { room, size }),
    reading: () => ask("reading"),
    resolution: (input) => ask("resolution", { ...input }),
    sends: (room, round, count) => ask("sends", { room, round, count }),
    heapMib: () => null,
  };
}
