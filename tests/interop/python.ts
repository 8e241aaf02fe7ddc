/** Where Synapse comes from: a virtual environment with the pinned version, made once and kept. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The Synapse that is played with; another one is another result. */
export const synapseVersion = "1.163.2";

/** A Python that can run Synapse, or why there is none. */
export type FoundSynapse = { readonly python: string } | { readonly missing: string };

/**
 * Finds the virtual environment of SYNAPSE_VENV, or the kept one, or makes it with `python3 -m venv` and pip.
 *
 * What is given in SYNAPSE_VENV is used as it is, with whatever version it has.
 */
export function findSynapse(variables: Readonly<Record<string, string | undefined>>): FoundSynapse {
  const given = variables.SYNAPSE_VENV ?? "";
  if (given !== "") {
    const python = pythonIn(given);
    return canRun(python) ? { python } : { missing: `SYNAPSE_VENV=${given} has no Python that can import synapse` };
  }
  const cache = variables.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const kept = join(cache, "tessera", `synapse-${synapseVersion}`);
  if (canRun(pythonIn(kept))) return { python: pythonIn(kept) };
  return install(kept);
}

function pythonIn(folder: string): string {
  return join(folder, "bin", "python");
}

function canRun(python: string): boolean {
  return existsSync(python) && run(python, ["-c", "import synapse.app.homeserver"], 60_000).status === 0;
}

/** A virtual environment names its own folder in its scripts; only its Python is used, so that it may be moved. */
function install(folder: string): FoundSynapse {
  const making = `${folder}.${process.pid}`;
  mkdirSync(join(folder, ".."), { recursive: true });
  try {
    const made = run("python3", ["-m", "venv", making], 120_000);
    if (made.status !== 0) return { missing: `python3 -m venv: ${reason(made)}` };
    const wanted = `matrix-synapse==${synapseVersion}`;
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", wanted];
    const installed = run(pythonIn(making), pip, 600_000);
    if (installed.status !== 0) return { missing: `pip install ${wanted}: ${reason(installed)}` };
    if (!canRun(pythonIn(making))) return { missing: `${wanted} was installed and cannot be imported` };
    rmSync(folder, { recursive: true, force: true });
    renameSync(making, folder);
    return { python: pythonIn(folder) };
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[], timeoutMs: number): SpawnSyncReturns<string> {
  return spawnSync(program, args, { encoding: "utf8", timeout: timeoutMs, stdio: ["ignore", "ignore", "pipe"] });
}

function reason(ended: SpawnSyncReturns<string>): string {
  if (ended.error !== undefined) return ended.error.message;
  const lines = ended.stderr.trim().split("\n");
  return lines.at(-1) || `status ${ended.status}`;
}
