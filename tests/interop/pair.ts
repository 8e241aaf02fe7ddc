/** Our server and a Synapse, in processes of their own, which reach each other over TLS by wires that can be cut. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { registerUser, type TestUser } from "../support/client.ts";
import { federationVariables } from "../support/federated-homeservers.ts";
import { freePort, type HomeserverProcess, startProcess, temporaryFolder } from "../support/homeserver.ts";
import { prepareSynapse } from "./synapse.ts";
import { layWire, type Wire } from "./wire.ts";

/** One of the two servers; scenes that are played both ways do not know which. */
export interface Side {
  readonly kind: "ours" | "theirs";
  readonly serverName: string;
  readonly baseUrl: string;
  /** The way to this server. */
  readonly wire: Wire;
  /** A new user, with a name that nobody else has. */
  user(name?: string): Promise<TestUser>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The two of them. */
export interface Pair {
  readonly ours: Side & { kill9(): Promise<void> };
  readonly theirs: Side;
  /** Neither reaches the other any more. */
  part(): void;
  meet(): void;
  /** Writes down what both have logged, for a person who must find out what went wrong; says where. */
  keepLogs(name: string): void;
  stop(): Promise<void>;
}

/** With it, an administrator of ours is made. */
export const registrationSecret = "only for tests";

const logFolder = join(import.meta.dirname, "../../test-results/interop");
let users = 0;

function newUser(baseUrl: string, name = "user"): Promise<TestUser> {
  users += 1;
  return registerUser(baseUrl, `${name}${users}`);
}

/** Starts both. */
export async function startPair(): Promise<Pair> {
  const folder = temporaryFolder();
  const wires = [await layWire(), await layWire()] as const;
  const theirs = await startTheirs(folder, wires[1]);
  const ours = await startOurs(folder, wires[0]).catch(async (thrown: unknown) => {
    await theirs.stop();
    throw thrown;
  });
  return {
    ours,
    theirs,
    part: () => {
      for (const wire of wires) wire.cut();
    },
    meet: () => {
      for (const wire of wires) wire.mend();
    },
    keepLogs: (name) => {
      const path = join(logFolder, `${name.replace(/[^a-zA-Z0-9]+/g, "-")}.log`);
      mkdirSync(logFolder, { recursive: true });
      writeFileSync(path, `--- Synapse\n${theirs.log()}\n--- Tessera\n${ours.log()}\n`);
      console.log(`what the servers logged: ${path}`);
    },
    stop: async () => {
      await Promise.all([ours.stop(), theirs.stop(), ...wires.map((wire) => wire.close())]);
      if (process.env.INTEROP_KEEP === undefined) rmSync(folder, { recursive: true, force: true });
      else console.log(`kept: ${folder}`);
    },
  };
}

async function startOurs(folder: string, wire: Wire) {
  const [port, federationPort] = [await freePort(), await freePort()];
  const serverName = `localhost:${wire.port}`;
  const ports = { SERVER_NAME: serverName, FEDERATION_PORT: String(federationPort), PORT: String(port) };
  const secret = { REGISTRATION_SHARED_SECRET: registrationSecret };
  const variables = { ...federationVariables(wire.port), ...ports, ...secret };
  wire.leadTo(federationPort);
  let written = "";
  let running: HomeserverProcess | null = null;
  const start = async () => {
    running = await startProcess({ env: variables, dataDir: join(folder, "ours") });
  };
  const ended = () => {
    const ending = running;
    running = null;
    if (ending !== null) written += ending.stdout + ending.stderr;
    return ending;
  };
  await start();
  const baseUrl = `http://127.0.0.1:${port}`;
  return {
    kind: "ours" as const,
    serverName,
    baseUrl,
    wire,
    user: (name?: string) => newUser(baseUrl, name),
    start,
    stop: async () => {
      const ending = ended();
      ending?.signal("SIGTERM");
      await ending?.ended(30_000);
    },
    kill9: async () => {
      await ended()?.kill9();
    },
    log: () => written + (running?.stdout ?? "") + (running?.stderr ?? ""),
  };
}

async function startTheirs(parent: string, wire: Wire) {
  const folder = join(parent, "theirs");
  mkdirSync(folder);
  const synapse = await prepareSynapse(folder, wire.port);
  wire.leadTo(synapse.federationPort);
  await synapse.start();
  return {
    ...synapse,
    kind: "theirs" as const,
    wire,
    user: (name?: string) => newUser(synapse.baseUrl, name),
  };
}
