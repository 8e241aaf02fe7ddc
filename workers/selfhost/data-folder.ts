import { randomBytes } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ConfigError } from "../../shared/env.ts";

/** The data folder, held by this process until released. */
export interface DataFolder {
  readonly path: string;
  release(): void;
}

/**
 * Makes the data folder where it is missing and takes it for this process alone: two servers on one folder would each
 * believe to be the owner of every room.
 *
 * The lock is SQLite's own lock on a file in the folder: the operating system drops it with the process, so no crash can
 * leave a lock behind, and no reused process id (every container starts at the same ones) can be taken for its holder.
 *
 * @throws ConfigError DATA_DIR if the folder cannot be written or another process has it.
 */
export function takeDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    throw new ConfigError("DATA_DIR", `cannot write to the folder ${path}`);
  }
  const holder = join(path, "tessera.pid");
  const lock = new DatabaseSync(join(path, "tessera.lock"));
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch {
    lock.close();
    throw new ConfigError("DATA_DIR", `${path} is in use by another Tessera process (${describeHolder(holder)})`);
  }
  writeFileSync(holder, `${process.pid}\n`);
  return { path, release: () => lock.close() };
}

function describeHolder(file: string): string {
  try {
    return `pid ${readFileSync(file, "utf8").trim()}`;
  } catch {
    return "pid unknown";
  }
}

const secretFile = "registration_shared_secret";

/**
 * The secret that `npm run register` shows to the server: made on the first start, readable by the server's own user only.
 *
 * @returns the secret, without the file's line end.
 */
export function getRegistrationSecret(dataDir: string): string {
  const path = join(dataDir, secretFile);
  try {
    writeFileSync(path, `${randomBytes(32).toString("base64url")}\n`, { flag: "wx", mode: 0o600 });
  } catch (thrown) {
    if (!isExisting(thrown)) throw thrown;
  }
  return readRegistrationSecret(dataDir);
}

/** Reads the secret that an earlier start made. @throws if there is none, or it is empty. */
export function readRegistrationSecret(dataDir: string): string {
  const path = join(dataDir, secretFile);
  const secret = readFileSync(path, "utf8").trim();
  if (secret === "") throw new Error(`${path} is empty: remove it, and the next start makes a new one`);
  return secret;
}

function isExisting(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST";
}
