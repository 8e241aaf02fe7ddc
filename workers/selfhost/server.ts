import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, type Variables } from "../../shared/env.ts";
import { type Bundle, bundleWorker } from "./bundle.ts";
import { parseSelfhostConfig, type SelfhostConfig } from "./config.ts";
import { type DataFolder, getRegistrationSecret, takeDataFolder } from "./data-folder.ts";
import { type LogSink, type Runtime, startRuntime } from "./miniflare.ts";

/** A homeserver that listens. */
export interface RunningServer {
  readonly config: SelfhostConfig;
  stop(): Promise<void>;
}

/** What `npm start` and the tests do differently. */
export interface ServerOptions {
  readonly workingDir: string;
  readonly log: LogSink;
  /** The Worker to run; the project's own if not given. */
  readonly bundle?: Promise<Bundle>;
}

/**
 * Starts a homeserver from variables: checks them, takes the data folder, bundles the Worker, listens.
 *
 * @throws ConfigError naming the variable that cannot be used; then nothing runs and nothing is held.
 */
export async function startServer(variables: Variables, options: ServerOptions): Promise<RunningServer> {
  const config = parseSelfhostConfig(variables, options.workingDir);
  const folder = await patiently(async () => {
    await checkPorts(config);
    return takeDataFolder(config.dataDir);
  });
  try {
    const runtime = await startRuntime({
      bundle: await (options.bundle ?? bundleWorker()),
      dataDir: config.dataDir,
      plain: { host: config.bind, port: config.port },
      tls: config.federation === null ? null : { host: config.bind, ...config.federation },
      variables: { ...config.workerVariables, REGISTRATION_SHARED_SECRET: registrationSecret(config) },
      trustedCertificates: config.trustedCertificates,
      allowPrivateNetwork: config.shared.federationAllowPrivateNetwork,
      log: options.log,
    });
    return { config, stop: () => stop(runtime, folder) };
  } catch (thrown) {
    folder.release();
    throw thrown;
  }
}

async function stop(runtime: Runtime, folder: DataFolder): Promise<void> {
  try {
    await runtime.stop();
  } finally {
    folder.release();
  }
}

function registrationSecret(config: SelfhostConfig): string {
  return config.shared.registrationSharedSecret ?? getRegistrationSecret(config.dataDir);
}

/** An earlier server that was just told to end, or whose npm was killed, holds port and folder for a moment longer. */
async function patiently<Value>(take: () => Promise<Value>): Promise<Value> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await take();
    } catch (thrown) {
      if (!(thrown instanceof ConfigError) || !thrown.message.includes("in use") || tries === 10) throw thrown;
      await sleep(100);
    }
  }
}

/** The runtime's own complaint about a port would name neither the variable nor, always, the port. */
async function checkPorts(config: SelfhostConfig): Promise<void> {
  await checkPort("PORT", config.bind, config.port);
  if (config.federation !== null) await checkPort("FEDERATION_PORT", config.bind, config.federation.port);
}

function checkPort(variable: string, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      const code = "code" in error ? error.code : "";
      if (code === "EADDRINUSE") reject(new ConfigError(variable, `${host}:${port} is in use by another program`));
      else if (code === "EACCES") reject(new ConfigError(variable, `this user may not listen on port ${port}`));
      else if (code === "EADDRNOTAVAIL") reject(new ConfigError("BIND", `this machine has no address ${host}`));
      else reject(error);
    });
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}
