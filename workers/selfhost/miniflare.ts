/**
 * The only file that knows Miniflare, whose options change between versions: one Worker, its three classes of actors on
 * disk, D1, R2 and the network, reached through sockets that lead straight to the Worker.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Miniflare as MiniflareInstance, MiniflareOptions } from "miniflare";
import type { Bundle } from "./bundle.ts";
import { type Keypair, secureDirectSockets, speakTls } from "./direct-sockets.ts";
import { prepareRuntimeProcess, type RuntimeProcess } from "./runtime-process.ts";

/** A line of the Worker's log, or of the runtime's own. */
export type LogSink = (level: string, message: string) => void;

/** An address to listen on. */
export interface Listener {
  readonly host: string;
  readonly port: number;
}

/** What one server is made of. */
export interface RuntimeOptions {
  readonly bundle: Bundle;
  /** Absolute; exists. */
  readonly dataDir: string;
  readonly plain: Listener;
  readonly tls: (Listener & Keypair) | null;
  /** Text bindings of the Worker. */
  readonly variables: Readonly<Record<string, string>>;
  /** PEM, trusted for outbound TLS beside the usual authorities. */
  readonly trustedCertificates: readonly string[];
  /** Whether outbound connections may reach addresses that are not public. */
  readonly allowPrivateNetwork: boolean;
  readonly log: LogSink;
}

/** A running server. */
export interface Runtime {
  stop(): Promise<void>;
}

interface RuntimeLogLine {
  readonly level: string;
  readonly message: string;
}

type WorkerOptions = NonNullable<MiniflareOptions["workers"]>[number];

/** Part of the key of every actor's storage: another name would be another, empty server. Never rename. */
const workerName = "tessera";
const outboundName = "outbound";
const compatibilityDate = "2026-09-30";
/** The same as in `wrangler.toml`. */
const compatibilityFlags = ["enable_request_signal", "durable_object_io_tasks_prevent_eviction"];
const modulesRoot = "/tessera";
/** By binding: the class, and so the folder, of each kind of actor. */
const actorClasses = { ROOM: "RoomActor", USER: "UserActor", SERVER: "ServerActor" } as const;

/**
 * Takes the Worker's global `fetch` through the network service that knows the address policy and the authorities.
 * It has no `connect`: a raw socket is to be had from the binding INTERNET only, which obeys the same policy.
 */
const outboundScript = "export default { fetch: (request, env) => env.NETWORK.fetch(request) };";

/**
 * Starts workerd with the Worker and waits until it listens.
 *
 * The Worker sees `ROOM`, `USER`, `SERVER` (actors), `DB` (D1), `MEDIA` (R2), `INTERNET` (`fetch` and `connect` to the
 * network, under the address policy) and its variables. A request's `cf.clientIp` is the peer's address with its port.
 */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  secureDirectSockets();
  if (options.tls !== null) speakTls(options.tls.port, options.tls);
  const temporary = join(options.dataDir, "tmp");
  rmSync(temporary, { recursive: true, force: true });
  const runtimeProcess = await prepareRuntimeProcess(options.dataDir);
  const { Log, LogLevel, Miniflare } = await import("miniflare");
  const miniflare = new Miniflare({
    cf: false,
    logRequests: false,
    log: new Log(LogLevel.ERROR),
    handleStructuredLogs: (line: RuntimeLogLine) => options.log(line.level, line.message),
    // Miniflare's own entry, for its control messages. Nothing is served there, and only this machine reaches it.
    host: "127.0.0.1",
    port: 0,
    enableDevRegistry: false,
    telemetry: { enabled: false },
    resourcePersistencePath: options.dataDir,
    resourceTmpPath: temporary,
    unsafeRuntimeEnv: { ...runtimeProcess.environment },
    workers: [worker(options), outbound(options)],
  });
  await readyOrStopped(miniflare, runtimeProcess);
  return { stop: () => stop(miniflare, runtimeProcess) };
}

async function readyOrStopped(miniflare: MiniflareInstance, runtimeProcess: RuntimeProcess): Promise<void> {
  try {
    await miniflare.ready;
    runtimeProcess.confirm();
  } catch (thrown) {
    await stop(miniflare, runtimeProcess);
    throw thrown;
  }
}

async function stop(miniflare: MiniflareInstance, runtimeProcess: RuntimeProcess): Promise<void> {
  try {
    await miniflare.dispose();
  } finally {
    runtimeProcess.release();
  }
}

function worker(options: RuntimeOptions): WorkerOptions {
  const { bundle, plain, variables } = options;
  const env: NonNullable<WorkerOptions["config"]["env"]> = {
    DB: { type: "d1" },
    MEDIA: { type: "r2" },
    INTERNET: network(options),
  };
  const classes: NonNullable<WorkerOptions["config"]["exports"]> = {};
  for (const [binding, exportName] of Object.entries(actorClasses)) {
    env[binding] = { type: "durable-object", exportName, worker: workerName };
    classes[exportName] = { type: "durable-object", storage: "sqlite" };
  }
  for (const [name, value] of Object.entries(variables)) env[name] = { type: "text", value };
  const script = { type: "esm" as const, contents: bundle.script };
  const modules = { ...Object.fromEntries(bundle.modules), "worker.js": script };
  return {
    config: {
      name: workerName,
      compatibilityDate,
      compatibilityFlags,
      manifest: { mainModule: "worker.js", modulesRoot, modules },
      env,
      exports: classes,
    },
    dev: {
      rootPath: modulesRoot,
      unsafeDirectSockets: [{ host: plain.host, port: plain.port }],
      stripCfConnectingIp: false,
      outboundService: { type: "worker", worker: outboundName },
    },
  };
}

/** Besides its own duty it carries the second socket: Miniflare names sockets by Worker, so each has one. */
function outbound(options: RuntimeOptions): WorkerOptions {
  const { tls } = options;
  return {
    config: {
      name: outboundName,
      compatibilityDate,
      manifest: {
        mainModule: "outbound.js",
        modulesRoot,
        modules: { "outbound.js": { type: "esm", contents: outboundScript } },
      },
      env: { NETWORK: network(options) },
    },
    dev: {
      rootPath: modulesRoot,
      unsafeDirectSockets: tls === null ? [] : [{ host: tls.host, port: tls.port, serviceName: workerName }],
    },
  };
}

function network(options: RuntimeOptions) {
  return {
    type: "network" as const,
    allow: options.allowPrivateNetwork ? ["public", "private"] : ["public"],
    tlsOptions: { trustBrowserCas: true, trustedCertificates: [...options.trustedCertificates] },
  };
}
