/**
 * The homeserver as a person runs it: the README's command, in its own process, over a data folder of its own.
 * Nothing of the server's code is imported here, so that what is tested is what is shipped.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const projectDir = join(import.meta.dirname, "../..");
const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;

/** A homeserver that clients can talk to. */
export interface Homeserver {
  readonly baseUrl: string;
  readonly serverName: string;
  /** Ends it and removes its data. */
  dispose(): Promise<void>;
}

/** A homeserver in a process that this test started. */
export interface HomeserverProcess extends Homeserver {
  readonly dataDir: string;
  /** Process id of the command; its children carry the server. */
  readonly pid: () => number | null;
  /** What it printed on both streams so far. */
  readonly output: () => string;
  /** Starts it (again) over the same data on the same port. @returns milliseconds until it first answered */
  start(): Promise<number>;
  /** Ends it as a power cut would: no process of it may finish what it is doing. */
  kill9(): Promise<void>;
  /** Ends it with SIGTERM and waits until it is gone. */
  stop(): Promise<void>;
}

/** How a homeserver is to be started. */
export interface ProcessOptions {
  /** Variables on top of a server that lets anybody register and limits nobody. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts `npm start` on a free port with an empty data folder and waits until it answers.
 *
 * @throws Error with the output of the process when it ends, or does not answer in time.
 */
export async function startHomeserverProcess(options: ProcessOptions = {}): Promise<HomeserverProcess> {
  const port = await findFreePort();
  const dataDir = await mkdtemp(join(tmpdir(), "tessera-e2e-"));
  const server = homeserverProcess(port, dataDir, options.env ?? {});
  try {
    await server.start();
  } catch (thrown) {
    await server.dispose();
    throw thrown;
  }
  return server;
}

/**
 * The homeserver to drive: the one at `E2E_HOMESERVER` if that is set (its users must be free to register), so that the
 * same conversation can be held with another implementation; otherwise our own, freshly started.
 *
 * @returns `process` null: the homeserver is not ours to kill.
 */
export async function findOrStartHomeserver(): Promise<{ homeserver: Homeserver; process: HomeserverProcess | null }> {
  const external = externalHomeserver();
  if (external !== null) return { homeserver: external, process: null };
  const started = await startHomeserverProcess();
  return { homeserver: started, process: started };
}

/** The homeserver named by `E2E_HOMESERVER` and `E2E_SERVER_NAME`, or null. */
export function externalHomeserver(): Homeserver | null {
  const baseUrl = process.env.E2E_HOMESERVER;
  if (baseUrl === undefined || baseUrl === "") return null;
  return { baseUrl, serverName: process.env.E2E_SERVER_NAME ?? "localhost", dispose: async () => undefined };
}

function homeserverProcess(port: number, dataDir: string, env: Readonly<Record<string, string>>): HomeserverProcess {
  const baseUrl = `http://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;
  let output = "";
  const end = async (signal: "SIGKILL" | "SIGTERM"): Promise<void> => {
    const ending = child;
    child = null;
    if (ending !== null) await endGroup(ending, signal);
  };
  return {
    baseUrl,
    serverName: env.SERVER_NAME ?? "localhost",
    dataDir,
    pid: () => child?.pid ?? null,
    output: () => output,
    start: async () => {
      const startedAt = performance.now();
      const started = spawn("npm", ["start"], {
        cwd: projectDir,
        // Its own process group, so that one signal reaches npm, node and workerd together.
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...withoutNpm(process.env), ...defaults(port, dataDir), ...env },
      });
      const collect = (chunk: Buffer): void => {
        output = (output + chunk.toString("utf8")).slice(-1_000_000);
      };
      started.stdout.on("data", collect);
      started.stderr.on("data", collect);
      child = started;
      endWithThisProcess(started);
      await waitUntilAnswering(baseUrl, started, () => output);
      return performance.now() - startedAt;
    },
    kill9: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    dispose: async () => {
      await end("SIGTERM");
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function defaults(port: number, dataDir: string): Record<string, string> {
  return {
    PORT: String(port),
    BIND: "127.0.0.1",
    DATA_DIR: dataDir,
    SERVER_NAME: "localhost",
    PUBLIC_BASEURL: `http://127.0.0.1:${port}`,
    REGISTRATION: "open",
    RATE_LIMITS: "off",
  };
}

/** `npm test` sets variables that would make the inner npm run as a part of it. */
function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !name.startsWith("npm_") && !name.startsWith("VITEST") && name !== "NODE_ENV",
    ),
  );
}

/** A port that nobody listens on at this moment. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

async function waitUntilAnswering(baseUrl: string, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the homeserver ended while starting:\n${output()}`);
    }
    if (await answers(baseUrl)) return;
    await delay(10);
  }
  await endGroup(child, "SIGKILL");
  throw new Error(`the homeserver did not answer within ${startTimeoutMs} ms:\n${output()}`);
}

async function answers(baseUrl: string): Promise<boolean> {
  try {
    const response = await fetch(`${baseUrl}/_matrix/client/versions`, { signal: AbortSignal.timeout(5_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** A group of its own would outlive a test that is aborted. */
function endWithThisProcess(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  const end = (): void => void signalGroup(pid, "SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
}

/** Signals the whole process group, and waits until no process of it is left. */
async function endGroup(child: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  const deadline = performance.now() + stopTimeoutMs;
  signalGroup(pid, signal);
  while (signalGroup(pid, 0)) {
    if (performance.now() > deadline) signalGroup(pid, "SIGKILL");
    await delay(10);
  }
}

/** @returns whether the group still has a process. */
function signalGroup(pid: number, signal: "SIGKILL" | "SIGTERM" | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
