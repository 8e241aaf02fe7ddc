/**
 * `npm run bench -- federation-join`: joining rooms with 10,000 and 100,000 members by way of another server, in a process
 * whose heap may not grow beyond 100 MiB. Prints a Markdown table.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describeMachine } from "./machine.ts";

export interface JoinResult {
  readonly members: number;
  /** From the request to join until a message was sent and a sync has shown it. */
  readonly usableMs: number;
  /** From the request to join until all members are known. */
  readonly completeMs: number;
  /** CPU time of the process until then: on a busy machine, less than the time that has passed. */
  readonly cpuMs: number;
  /** The longest time in which nobody was answered, in the room or elsewhere in the process: CPU time, as above. */
  readonly longestPauseMs: number;
  readonly peakMib: number;
}

/** Members, and seconds within which the room is to be usable and complete. */
const targets = new Map([
  [10_000, { usable: 3, complete: 60 }],
  [100_000, { usable: 10, complete: 300 }],
]);
const maxHeapMib = 100;
const maxPauseMs = 2_000;

/** Measures and prints the table. @returns whether the targets were met */
export function benchFederationJoin(timeoutMs: number): boolean {
  // Old and new generation together: 100 MiB.
  const limits = ["--max-old-space-size=88", "--max-semi-space-size=4", "--expose-gc", "--no-warnings"];
  const script = join(import.meta.dirname, "federation-join-node.ts");
  const sizes = [...targets.keys()].map(String);
  const { status, stdout } = spawnSync(process.execPath, [...limits, script, ...sizes], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  if (status !== 0) return false;
  const { results, limitMib }: { results: JoinResult[]; limitMib: number } = JSON.parse(stdout);
  const { cores, cpu, memoryGib, node } = describeMachine();
  const lines = [
    `On ${cores} cores (${cpu}, ${memoryGib} GiB); Node ${node} with a heap of ${limitMib} MiB.`,
    "",
    "| joining a room of 20 other servers | result | target |",
    "|---|---:|---:|",
  ];
  let isMet = true;
  for (const { members, usableMs, completeMs, cpuMs, longestPauseMs, peakMib } of results) {
    const target = targets.get(members) ?? { usable: 0, complete: 0 };
    const [usable, complete] = [usableMs / 1_000, completeMs / 1_000];
    isMet &&= usable <= target.usable && complete <= target.complete;
    isMet &&= peakMib <= maxHeapMib && longestPauseMs <= maxPauseMs;
    const name = `${members.toLocaleString("en")} members`;
    lines.push(`| ${name}: usable | ${usable.toFixed(2)} s | ${target.usable} s |`);
    lines.push(`| ${name}: complete | ${complete.toFixed(1)} s | ${target.complete} s |`);
    lines.push(`| ${name}: CPU time until then | ${(cpuMs / 1_000).toFixed(1)} s | |`);
    lines.push(
      `| ${name}: longest pause meanwhile (CPU time) | ${(longestPauseMs / 1_000).toFixed(2)} s | ${maxPauseMs / 1_000} s |`,
    );
    lines.push(`| ${name}: highest memory of the process's heap | ${Math.round(peakMib)} MiB | ${maxHeapMib} MiB |`);
  }
  process.stdout.write(`\n${lines.join("\n")}\n`);
  return isMet;
}
