/**
 * `npm run bench`: starts the homeserver by its own command, puts it under load over HTTP, prints a Markdown table and
 * writes `bench-results/latest.json`. With `BENCH_HOMESERVER=http://…` it measures that one instead, whose users must be
 * free to register. With the argument `core` it measures the room's core alone, without a server; with `federation-outbound`,
 * sending to a hundred other servers; with `federation-inbound`, taking what another server sends, beside a Synapse;
 * with `federation-join`, joining large rooms.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type HomeserverProcess, startHomeserverProcess } from "../e2e/homeserver-process.ts";
import { benchCore } from "./core.ts";
import { benchFederationInbound } from "./federation-inbound.ts";
import { benchFederationJoin } from "./federation-join.ts";
import { benchFederationOutbound } from "./federation-outbound.ts";
import { apiOf } from "./http.ts";
import { describeMachine, diskUsageMib, memoryOfTree } from "./machine.ts";
import type { Measurement } from "./measure.ts";
import { describeMeasurement, markdownOf, type Results } from "./report.ts";
import { countLost, prepare, runScenarios } from "./scenarios.ts";

const resultsDir = join(import.meta.dirname, "../../bench-results");
const longestRunMs = 10 * 60_000;

async function main(): Promise<void> {
  const external = process.env.BENCH_HOMESERVER ?? "";
  const watchdog = setTimeout(() => {
    process.stderr.write(`The benchmark did not end within ${longestRunMs / 60_000} minutes.\n`);
    process.exit(1);
  }, longestRunMs);
  const results = external === "" ? await benchOwnServer() : await benchServer(external, null);
  clearTimeout(watchdog);
  await mkdir(resultsDir, { recursive: true });
  await writeFile(join(resultsDir, "latest.json"), `${JSON.stringify(results, null, 2)}\n`);
  process.stdout.write(`\n${markdownOf(results)}\n`);
  const { lost, repeated } = results.check;
  process.exitCode = lost === 0 && repeated === 0 ? 0 : 1;
}

async function benchOwnServer(): Promise<Results> {
  const server = await startHomeserverProcess({ env: { METER: "on" } });
  try {
    return await benchServer(server.baseUrl, server);
  } finally {
    await server.dispose();
  }
}

async function benchServer(baseUrl: string, server: HomeserverProcess | null): Promise<Results> {
  const measurements: Measurement[] = [];
  const api = apiOf(baseUrl);
  const emptyMs = server === null ? null : await restart(server);
  const idle = await memoryOf(server);
  const bench = await prepare(api, (measurement) => {
    measurements.push(measurement);
    process.stderr.write(`${describeMeasurement(measurement)}\n`);
  });
  await runScenarios(bench);
  const afterLoad = await memoryOf(server);
  const check = await countLost(bench);
  const withDataMs = server === null ? null : await restart(server);
  api.close();
  return {
    takenAt: new Date().toISOString(),
    machine: describeMachine(),
    measurements,
    coldStarts: emptyMs === null || withDataMs === null ? null : { emptyMs, withDataMs },
    memory: server === null ? null : { idle, afterLoad },
    diskMib: server === null ? null : diskUsageMib(server.dataDir),
    check,
  };
}

/** @returns milliseconds from the command to the first answer */
async function restart(server: HomeserverProcess): Promise<number> {
  await server.stop();
  return server.start();
}

async function memoryOf(server: HomeserverProcess | null): Promise<ReturnType<typeof memoryOfTree>> {
  const pid = server?.pid() ?? null;
  if (pid === null) return [];
  await delay(1_000);
  return memoryOfTree(pid);
}

process.once("SIGINT", () => process.exit(130));
if (process.argv[2] === "core") process.exitCode = (await benchCore(longestRunMs)) ? 0 : 1;
else if (process.argv[2] === "federation-join") process.exitCode = benchFederationJoin(longestRunMs) ? 0 : 1;
else if (process.argv[2] === "federation-outbound") process.exitCode = (await benchFederationOutbound()) ? 0 : 1;
else if (process.argv[2] === "federation-inbound") process.exitCode = (await benchFederationInbound()) ? 0 : 1;
else await main();
