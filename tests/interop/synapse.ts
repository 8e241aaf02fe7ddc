/** A real Synapse, as an operator would run it for one small server: one process, SQLite, TLS by the tests' authority. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/homeserver.ts";

const tls = join(import.meta.dirname, "../selfhost/tls");

/** A Synapse that can be stopped and started on the same data. */
export interface Synapse {
  readonly baseUrl: string;
  readonly serverName: string;
  readonly federationPort: number;
  start(): Promise<void>;
  /** Asks it to end, and waits. */
  stop(): Promise<void>;
  /** The end of its log, for a person who must find out what it did not like. */
  log(): string;
}

/** Writes the files of a Synapse into a folder. It does not run yet. @param namePort the port in the server's name */
export async function prepareSynapse(folder: string, namePort: number): Promise<Synapse> {
  const python = process.env.SYNAPSE_PYTHON;
  if (python === undefined) throw new Error("SYNAPSE_PYTHON is not set: use npm run test:interop");
  const [clientPort, federationPort] = [await freePort(), await freePort()];
  // Another host than ours, for the lists that tell hosts apart; and a server that has no name but its address.
  const serverName = `127.0.0.1:${namePort}`;
  const config = join(folder, "homeserver.yaml");
  const settings = settingsOf({ folder, serverName, clientPort, federationPort });
  // YAML is a superset of JSON.
  writeFileSync(config, JSON.stringify(settings, null, 1));
  writeFileSync(join(folder, "log.yaml"), JSON.stringify(logging(folder)));
  const output = openSync(join(folder, "output.log"), "a");
  const args = (extra: readonly string[]) => ["-m", "synapse.app.homeserver", "-c", config, ...extra];
  const environment = { PATH: process.env.PATH ?? "", HOME: folder, PYTHONUNBUFFERED: "1" };
  const launch = (extra: readonly string[]) =>
    spawn(python, args(extra), { cwd: folder, env: environment, stdio: ["ignore", output, output] });
  await finished(launch(["--generate-keys"]));
  const baseUrl = `http://127.0.0.1:${clientPort}`;
  const log = () => tail(join(folder, "homeserver.log"), 3_000) + tail(join(folder, "output.log"), 60);
  let running: ChildProcess | null = null;
  return {
    baseUrl,
    serverName,
    federationPort,
    log,
    start: async () => {
      running = launch([]);
      await untilReady(running, baseUrl, log);
    },
    stop: async () => {
      const ending = running;
      running = null;
      if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
      const gone = once(ending, "exit");
      ending.kill("SIGTERM");
      const late = setTimeout(() => ending.kill("SIGKILL"), 15_000);
      await gone;
      clearTimeout(late);
    },
  };
}

async function finished(child: ChildProcess): Promise<void> {
  await once(child, "exit");
  if (child.exitCode !== 0) throw new Error(`Synapse could not make its keys: status ${child.exitCode}`);
}

async function untilReady(child: ChildProcess, baseUrl: string, log: () => string): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`Synapse ended with ${child.exitCode}\n${log()}`);
    const answer = await fetch(`${baseUrl}/health`).catch(() => null);
    if (answer?.ok) return;
    await sleep(100);
  }
  child.kill("SIGKILL");
  throw new Error(`Synapse was not ready in time\n${log()}`);
}

function tail(path: string, lines: number): string {
  try {
    return `${readFileSync(path, "utf8").split("\n").slice(-lines).join("\n")}\n`;
  } catch {
    return `(no ${path})\n`;
  }
}

interface Place {
  readonly folder: string;
  readonly serverName: string;
  readonly clientPort: number;
  readonly federationPort: number;
}

/** Only what makes it reachable here, quick to wait for, and unlimited: the rest is as Synapse comes. */
function settingsOf({ folder, serverName, clientPort, federationPort }: Place): object {
  const listener = (port: number, names: readonly string[], isTls: boolean) => ({
    port,
    tls: isTls,
    type: "http",
    bind_addresses: ["127.0.0.1"],
    resources: [{ names, compress: false }],
  });
  const unlimited = { per_second: 100_000, burst_count: 100_000 };
  return {
    server_name: serverName,
    public_baseurl: `http://127.0.0.1:${clientPort}/`,
    pid_file: join(folder, "homeserver.pid"),
    listeners: [listener(clientPort, ["client"], false), listener(federationPort, ["federation"], true)],
    tls_certificate_path: join(tls, "server.pem"),
    tls_private_key_path: join(tls, "server.key"),
    federation_custom_ca_list: [join(tls, "ca.pem")],
    database: { name: "sqlite3", args: { database: join(folder, "homeserver.db") } },
    log_config: join(folder, "log.yaml"),
    media_store_path: join(folder, "media"),
    signing_key_path: join(folder, "signing.key"),
    macaroon_secret_key: "only for tests",
    form_secret: "only for tests",
    bcrypt_rounds: 4,
    report_stats: false,
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    ip_range_blacklist: [],
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_public_rooms_over_federation: true,
    room_list_publication_rules: [{ action: "allow" }],
    // Milliseconds to wait after a failure: minutes and hours by default.
    federation: {
      destination_min_retry_interval: 500,
      destination_retry_multiplier: 1,
      destination_max_retry_interval: 2_000,
      max_short_retries: 1,
    },
    // Else a first sync is answered from memory for two minutes.
    caches: { sync_response_cache_duration: "0s" },
    rc_message: unlimited,
    rc_registration: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_joins: { local: unlimited, remote: unlimited },
    rc_joins_per_room: unlimited,
    rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
    rc_room_creation: unlimited,
    rc_admin_redaction: unlimited,
    rc_federation: { window_size: 1_000, sleep_limit: 100_000, sleep_delay: 1, reject_limit: 100_000, concurrent: 100 },
  };
}

function logging(folder: string): object {
  return {
    version: 1,
    formatters: { plain: { format: "%(asctime)s %(levelname)s %(name)s %(request)s %(message)s" } },
    filters: { context: { "()": "synapse.logging.context.LoggingContextFilter", request: "" } },
    handlers: {
      file: {
        class: "logging.FileHandler",
        formatter: "plain",
        filters: ["context"],
        filename: join(folder, "homeserver.log"),
      },
    },
    root: { level: "INFO", handlers: ["file"] },
    disable_existing_loggers: false,
  };
}
