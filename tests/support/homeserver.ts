import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "../../shared/env.ts";
import { type Bundle, bundleWorker } from "../../workers/selfhost/bundle.ts";
import { type RunningServer, startServer } from "../../workers/selfhost/server.ts";

/** What a test may choose of its homeserver. */
export interface HomeserverOptions {
  /** Variables of `npm start`, over the defaults for tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** A folder that outlives the server; without it, a new one that goes with the server. */
  readonly dataDir?: string;
  /** Another Worker than the project's own. */
  readonly bundle?: Promise<Bundle>;
}

/** A homeserver in this process, on a free port of the loopback address. */
export interface Homeserver {
  /** Without a trailing slash. */
  readonly baseUrl: string;
  readonly serverName: string;
  readonly dataDir: string;
  /** Every line that the server has logged. */
  readonly logs: readonly string[];
  stop(): Promise<void>;
  /** Stops and starts again on the same port and data. */
  restart(): Promise<void>;
}

const root = join(import.meta.dirname, "../..");
/** No test asks the internet for a name. */
const testDefaults = { RATE_LIMITS: "off", REGISTRATION: "open", DNS_OVER_HTTPS: "off" } as const;
let projectBundle: Promise<Bundle> | null = null;

/** Starts a homeserver as `npm start` does, but without limits and with open registration. */
export async function startHomeserver(options: HomeserverOptions = {}): Promise<Homeserver> {
  const dataDir = options.dataDir ?? temporaryFolder();
  const logs: string[] = [];
  projectBundle ??= options.bundle === undefined ? bundleWorker() : null;
  const bundle = options.bundle ?? projectBundle ?? bundleWorker();
  const start = (port: string): Promise<RunningServer> =>
    startServer(
      { ...testDefaults, DATA_DIR: dataDir, PORT: port, ...options.env },
      { workingDir: process.cwd(), bundle, log: (_level, message) => logs.push(message) },
    );
  let server = await onFreePort(start, options.env?.PORT);
  const { port, shared } = server.config;
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    serverName: shared.serverName,
    dataDir,
    logs,
    stop: async () => {
      await server.stop();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
    restart: async () => {
      await server.stop();
      server = await start(String(port));
    },
  };
}

/** A free port may be taken by another test before it is used: then the next one. */
async function onFreePort<Value>(start: (port: string) => Promise<Value>, fixed: string | undefined): Promise<Value> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(fixed ?? String(await freePort()));
    } catch (thrown) {
      const isTaken = thrown instanceof ConfigError && thrown.variable === "PORT" && fixed === undefined;
      if (!isTaken || tries === 5) throw thrown;
    }
  }
}

/** Below the ports that systems hand out by themselves: none of these is the end of a connection that others make. */
const [firstPort, portCount] = [20_000, 12_000] as const;

/** A port of the loopback address that nobody listens on at this moment, and that only a test could take. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = firstPort + randomInt(portCount);
    if (await isFree(port)) return port;
  }
  throw new Error("no port is free");
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  await new Promise((resolve) => probe.close(resolve));
  return true;
}

/** An empty folder under the system's temporary one. The caller removes it. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "tessera-test-"));
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process, as started by a person's command. */
export interface StartedProcess {
  readonly pid: number;
  /** What it has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  signal(name: NodeJS.Signals): void;
  /** Waits for the end. @throws if it is not reached in time; then the process is killed. */
  ended(timeoutMs: number): Promise<ProcessEnd>;
  /** Kills the process as a crash would, and waits until it is gone. */
  kill9(): Promise<void>;
}

/** A homeserver in a process of its own. */
export interface HomeserverProcess extends StartedProcess {
  readonly baseUrl: string;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What a test may choose of a homeserver's process. */
export interface ProcessOptions extends HomeserverOptions {
  /** Starts npm, as a person does, and not the command alone: then the process is npm's. */
  readonly throughNpm?: boolean;
}

/** Starts the command of `npm start` as a process and waits until it says that it is ready. */
export async function startProcess(options: ProcessOptions = {}): Promise<HomeserverProcess> {
  const dataDir = options.dataDir ?? temporaryFolder();
  const port = options.env?.PORT ?? String(await freePort());
  const env = { ...testDefaults, DATA_DIR: dataDir, PORT: port, ...options.env };
  const started = options.throughNpm
    ? spawnCommand("npm", ["start"], { HOME: dataDir, ...env })
    : spawnScript("start", env);
  const deadline = Date.now() + 60_000;
  let hasEnded = false;
  void started.ended(2 ** 31 - 1).then(() => {
    hasEnded = true;
  });
  while (!started.stdout.includes("Ready after")) {
    if (hasEnded) throw new Error(`the server did not start: ${started.stderr}${started.stdout}`);
    if (Date.now() > deadline) {
      await started.kill9();
      throw new Error(`the server was not ready in time: ${started.stderr}${started.stdout}`);
    }
    await sleep(20);
  }
  return Object.assign(started, { baseUrl: `http://127.0.0.1:${port}`, dataDir, env });
}

/** Runs the command of a script of package.json with only the given variables. */
export function spawnScript(
  script: "start" | "register",
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  input = "",
): StartedProcess {
  const manifest: unknown = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  // As npm does it: the command in a shell, the arguments behind it.
  return spawnCommand("sh", ["-c", `${scriptCommand(manifest, script)} "$@"`, "sh", ...args], env, input);
}

/** Runs a program in the project's folder, with only the given variables. */
export function spawnCommand(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input = "",
): StartedProcess {
  const child = spawn(program, args, {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(input);
  return observe(child);
}

function scriptCommand(manifest: unknown, script: string): string {
  if (typeof manifest === "object" && manifest !== null && "scripts" in manifest) {
    const found = Object.entries(Object(manifest.scripts)).find(([name]) => name === script);
    if (typeof found?.[1] === "string") return found[1];
  }
  throw new Error(`package.json has no script ${script}`);
}

function observe(child: ChildProcess): StartedProcess {
  const { pid, stdout, stderr } = child;
  if (pid === undefined || stdout === null || stderr === null) throw new Error("the process did not start");
  const written = { stdout: "", stderr: "" };
  stdout.setEncoding("utf8").on("data", (chunk: string) => {
    written.stdout += chunk;
  });
  stderr.setEncoding("utf8").on("data", (chunk: string) => {
    written.stderr += chunk;
  });
  // `close`, not `exit`: only then has everything that it wrote arrived.
  const end = new Promise<ProcessEnd>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  return {
    pid,
    get stdout() {
      return written.stdout;
    },
    get stderr() {
      return written.stderr;
    },
    signal: (name) => void child.kill(name),
    ended: (timeoutMs) => withTimeout(end, timeoutMs, () => void child.kill("SIGKILL")),
    kill9: async () => {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await gone;
    },
  };
}

function withTimeout<Value>(promise: Promise<Value>, timeoutMs: number, onTimeout: () => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      onTimeout();
      reject(new Error(`the process did not end within ${timeoutMs} ms`));
    }, timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
