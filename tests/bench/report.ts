/** The figures as a person reads them. */
import type { Machine, ProcessMemory } from "./machine.ts";
import type { Measurement } from "./measure.ts";

/** Everything that a run has found. */
export interface Results {
  readonly takenAt: string;
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  /** Milliseconds from the command to the first answer; empty for a homeserver that was not started here. */
  readonly coldStarts: { readonly emptyMs: number; readonly withDataMs: number } | null;
  readonly memory: { readonly idle: readonly ProcessMemory[]; readonly afterLoad: readonly ProcessMemory[] } | null;
  readonly diskMib: number | null;
  readonly check: { readonly sent: number; readonly lost: number; readonly repeated: number };
}

/** One line of progress. */
export function describeMeasurement({ name, p50, p95, p99, perSecond }: Measurement): string {
  return `${name}: p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)} ms, ${Math.round(perSecond)}/s`;
}

/** The whole result as Markdown. */
export function markdownOf(results: Results): string {
  const { machine, measurements, coldStarts, memory, check } = results;
  const lines = [
    `Measured ${results.takenAt.slice(0, 10)} on ${machine.cores} cores (${machine.cpu}, ${machine.memoryGib} GiB, ` +
      `${machine.system}), which the load generator shares; Node ${machine.node}, workerd ${machine.workerd}.`,
    "",
    "| operation | p50 ms | p95 ms | p99 ms | per second | rows written | rows read | RPC calls | wakes |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...measurements.map(rowOf),
    "",
  ];
  if (coldStarts !== null) {
    const { emptyMs, withDataMs } = coldStarts;
    lines.push(
      `Cold start, from the command to the first answer: ${seconds(emptyMs)} s with an empty data folder, ` +
        `${seconds(withDataMs)} s with this run's data.`,
    );
  }
  if (memory !== null && memory.idle.length > 0) {
    lines.push(
      `Memory (RSS): ${describeMemory(memory.idle)} idle; ${describeMemory(memory.afterLoad)} after the load.`,
    );
  }
  if (results.diskMib !== null) lines.push(`Data on disk after the run: ${Math.round(results.diskMib)} MiB.`);
  lines.push(
    `Of ${check.sent} acknowledged messages ${check.lost} were lost and ${check.repeated} repeated in the rooms' history.`,
    "Rows, calls and wakes are for one operation, with the work that goes on after its answer.",
  );
  return lines.join("\n");
}

function rowOf({ name, p50, p95, p99, perSecond, costs }: Measurement): string {
  const costCells =
    costs === null ? ["", "", "", ""] : [costs.rowsWritten, costs.rowsRead, costs.rpcCalls, costs.wakes].map(decimal);
  return `| ${[name, ms(p50), ms(p95), ms(p99), String(Math.round(perSecond)), ...costCells].join(" | ")} |`;
}

function describeMemory(processes: readonly ProcessMemory[]): string {
  const total = processes.reduce((sum, { residentMib }) => sum + residentMib, 0);
  const parts = processes.map(({ command, residentMib }) => `${command} ${Math.round(residentMib)}`);
  return `${Math.round(total)} MiB (${parts.join(", ")})`;
}

function ms(value: number): string {
  return value < 100 ? value.toFixed(1) : String(Math.round(value));
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1_000).toFixed(1);
}

function decimal(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}
