/**
 * `npm run bench -- federation-inbound`: another server sends full transactions over TLS, one after the other, to this server
 * and then to a real Synapse on the same machine. How many events a second each takes until a local user can read them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { startHomeserverProcess } from "../e2e/homeserver-process.ts";
import { findSynapse, synapseVersion } from "../interop/python.ts";
import { prepareSynapse } from "../interop/synapse.ts";
import { federationVariables } from "../support/federated-homeservers.ts";
import { freePort } from "../support/homeserver.ts";
import { BenchPeer } from "./federation-peers.ts";
import { apiOf } from "./http.ts";
import {
  countMissing,
  type LoadResult,
  pdusPerTransaction,
  prepareScene,
  sendTransactions,
  signTransactions,
} from "./inbound-load.ts";
import { cpuSecondsOfDescendants, describeMachine } from "./machine.ts";
import { percentiles } from "./measure.ts";

const warmUpTransactions = 8;
const runSeconds = 25;
/** Signing takes time and memory: what even a fast server takes in that time. */
const maxTransactions = 2_000;
const targetRatio = 2;

/** A server that is measured, and how it is reached. */
interface Subject {
  readonly name: string;
  readonly serverName: string;
  readonly clientUrl: string;
  readonly federationUrl: string;
  stop(): Promise<void>;
}

interface Result extends LoadResult {
  readonly name: string;
  readonly missing: number;
  /** Processor time of the server's processes. */
  readonly cpuSeconds: number;
  /** Of the machine, when the run began: what else it had to do. */
  readonly load: number;
}

/** Measures and prints a table. @returns whether nothing went wrong and, beside Synapse, the target was met */
export async function benchFederationInbound(): Promise<boolean> {
  const results = [await measured(startOurs)];
  const found = findSynapse(process.env);
  if ("python" in found) {
    process.env.SYNAPSE_PYTHON = found.python;
    results.push(await measured(startTheirs));
  } else process.stdout.write(`There is no Synapse to compare with: ${found.missing}\n`);
  return report(results);
}

async function startOurs(): Promise<Subject> {
  const federationPort = await freePort();
  const env = federationVariables(federationPort);
  const server = await startHomeserverProcess({ env });
  return {
    name: "Tessera",
    serverName: env.SERVER_NAME ?? "",
    clientUrl: server.baseUrl,
    federationUrl: `https://localhost:${federationPort}`,
    stop: () => server.dispose(),
  };
}

async function startTheirs(): Promise<Subject> {
  const folder = mkdtempSync(join(tmpdir(), "tessera-bench-"));
  const synapse = await prepareSynapse(folder, await freePort());
  await synapse.start();
  return {
    name: `Synapse ${synapseVersion}`,
    serverName: synapse.serverName,
    clientUrl: synapse.baseUrl,
    federationUrl: `https://localhost:${synapse.federationPort}`,
    stop: async () => {
      await synapse.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function measured(start: () => Promise<Subject>): Promise<Result> {
  const peer = await BenchPeer.start(() => undefined);
  const subject = await start();
  const api = apiOf(subject.clientUrl);
  try {
    const { serverName, federationUrl } = subject;
    const scene = await prepareScene(api, { baseUrl: federationUrl, serverName }, peer);
    const warmUp = await sendTransactions(scene, await signTransactions(scene, warmUpTransactions), runSeconds);
    const perSecond = warmUp.pdus / warmUp.seconds / pdusPerTransaction;
    // More than the warm-up's speed asks for: it was slower.
    const count = Math.min(maxTransactions, Math.ceil(perSecond * runSeconds * 1.5));
    const transactions = await signTransactions(scene, count);
    const [load = 0] = loadavg();
    const before = cpuSecondsOfDescendants(process.pid);
    const result = await sendTransactions(scene, transactions, runSeconds);
    const cpuSeconds = cpuSecondsOfDescendants(process.pid) - before;
    const missing = await countMissing(scene, transactions.slice(0, result.times.length));
    return { ...result, errors: warmUp.errors + result.errors, name: subject.name, missing, cpuSeconds, load };
  } finally {
    api.close();
    peer.stop();
    await subject.stop();
  }
}

function report(results: readonly Result[]): boolean {
  const { cores, cpu, memoryGib, node, workerd } = describeMachine();
  const row = (title: string, cell: (result: Result) => string): string =>
    `| ${[title, ...results.map(cell)].join(" | ")} |`;
  const lines = [
    `On ${cores} cores (${cpu}, ${memoryGib} GiB), shared with the server that sends; workerd ${workerd}; Node ${node}.`,
    "",
    row("inbound federation, transactions of 50 events over 20 rooms", ({ name }) => name),
    `|---|${results.map(() => "---:|").join("")}`,
    row("events a second, until they can be read", (result) => rateOf(result).toFixed(0)),
    row("a transaction until its answer: p50, p95", ({ times }) => {
      const { p50, p95 } = percentiles(times);
      return `${Math.round(p50)}, ${Math.round(p95)} ms`;
    }),
    row("processor time for an event", ({ cpuSeconds, pdus }) => `${((cpuSeconds / pdus) * 1_000).toFixed(2)} ms`),
    row("events sent, in seconds", ({ pdus, seconds }) => `${pdus}, ${seconds.toFixed(1)}`),
    row("errors, events that cannot be read", ({ errors, missing }) => `${errors}, ${missing}`),
    row("load of the machine as it began", ({ load }) => load.toFixed(1)),
  ];
  const [ours, theirs] = results;
  const ratio = ours === undefined || theirs === undefined ? null : rateOf(ours) / rateOf(theirs);
  if (ratio !== null) lines.push("", `${ratio.toFixed(1)} times Synapse; the target is ${targetRatio} times.`);
  process.stdout.write(`\n${lines.join("\n")}\n`);
  const isClean = results.every(({ errors, missing }) => errors === 0 && missing === 0);
  return isClean && (ratio === null || ratio >= targetRatio);
}

function rateOf({ pdus, seconds }: LoadResult): number {
  return pdus / seconds;
}
