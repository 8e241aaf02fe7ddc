/** `npm start`: a homeserver on this machine, until Ctrl-C or SIGTERM. */
import { ConfigError } from "../../shared/env.ts";
import { stopBundler } from "./bundle.ts";
import type { SelfhostConfig } from "./config.ts";
import { openFilesLimit, wantedOpenFiles } from "./runtime-process.ts";
import { type RunningServer, startServer } from "./server.ts";

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function main(): Promise<void> {
  const startedAt = performance.now();
  const server = await startServer(process.env, { workingDir: process.cwd(), log: writeLog });
  await stopBundler();
  const stop = stopOnce(server);
  stopOnSignals(stop);
  if (process.env.npm_lifecycle_event === "start") stopWithParent(stop);
  warnAboutOpenFiles();
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${describeServer(server.config).join("\n")}\nReady after ${seconds} s. Ctrl-C stops it.\n`);
}

function writeLog(level: string, message: string): void {
  const stream = level === "error" || level === "warn" ? process.stderr : process.stdout;
  stream.write(`${message}\n`);
}

/** Ctrl-C reaches the server twice, from the terminal and from npm. Only what comes later is a second wish. */
const sameSignalMs = 1000;

/** Stops the server and ends the process; called again while that lasts, ends it at once. */
function stopOnce(server: RunningServer): () => void {
  let stoppingSince: number | null = null;
  return () => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > sameSignalMs) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    process.stdout.write("Stopping.\n");
    server.stop().then(
      () => process.exit(0),
      (thrown) => fail(thrown),
    );
  };
}

/** Signals are ours alone: Miniflare's own handlers would end the process with the signal's exit code. */
function stopOnSignals(stop: () => void): void {
  for (const signal of stopSignals) {
    process.removeAllListeners(signal);
    process.on(signal, stop);
  }
}

/** npm hands signals on, but cannot when it is killed: then nobody would know of the server that it had started. */
function stopWithParent(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, 100);
}

function warnAboutOpenFiles(): void {
  const limit = openFilesLimit();
  if (limit >= wantedOpenFiles) return;
  process.stderr.write(
    `Warning: at most ${limit} open files (ulimit -n); a busy server needs ${wantedOpenFiles}, three for each active room and user.\n`,
  );
}

/** What a person needs to know of a server that has just started. */
function describeServer(config: SelfhostConfig): readonly string[] {
  const host = config.bind.includes(":") ? `[${config.bind}]` : config.bind;
  const listening = [`http://${host}:${config.port}`];
  if (config.federation !== null) listening.push(`https://${host}:${config.federation.port} (federation)`);
  const { serverName, registration } = config.shared;
  const meaning = { open: "anybody may make an account", token: "with a registration token", closed: "nobody" };
  return [
    "Tessera, a Matrix homeserver",
    `  listening     ${listening.join(", ")}`,
    `  server name   ${serverName}   (users are @name:${serverName}; it can never change)`,
    `  data          ${config.dataDir}`,
    `  registration  ${registration}: ${meaning[registration]}`,
    "  first user    npm run register -- --user alice --admin",
  ];
}

function fail(thrown: unknown): never {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  process.stderr.write(thrown instanceof ConfigError ? `${message}\n` : `Tessera cannot start: ${message}\n`);
  process.exit(1);
}

await main().catch(fail);
