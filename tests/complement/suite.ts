/** The suite's source, made fit to run processes: where it is, and the files of ours that stand in for some of its own. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import * as v from "valibot";
import { suiteModule } from "./packages.ts";

/** What `go test` needs to run the suite. */
export interface Suite {
  /** The folder to run `go test` in. */
  readonly folder: string;
  readonly overlayFile: string;
  /** The workspace that joins the suite's module and ours. */
  readonly workspaceFile: string;
}

/** The suite cannot be run on this machine; the message says what would help. */
export class SuiteUnavailable extends Error {}

const ownModule = import.meta.dirname;
const run = promisify(execFile);

/** Files of the suite, by what stands in for them here; an empty name leaves the file out. */
const replacements: readonly (readonly [string, string])[] = [
  ["internal/docker/deployer.go", join(ownModule, "_overlay/deployer.go")],
  ["internal/docker/builder.go", ""],
  ["internal/docker/labels.go", ""],
  ["runtime/hs.go", join(ownModule, "_overlay/hs.go")],
];

/**
 * Finds the suite, and writes what runs it into a folder: the checkout that `COMPLEMENT_DIR` names or, without, the pinned
 * version of the published module, downloaded where this machine has none.
 *
 * @throws SuiteUnavailable where Go is missing or does not get the module.
 */
export async function prepareSuite(workFolder: string): Promise<Suite> {
  const folder = findCheckout() ?? join(workFolder, "suite");
  await go(["version"], ownModule);
  // Go lets nothing stand in for a file of its module cache, so what was downloaded is copied.
  if (!existsSync(folder)) await copyModule(await downloadModule(workFolder), folder);
  const replaced = replacements.map(([name, ours]) => [join(folder, name), ours]);
  const overlayFile = join(workFolder, "overlay.json");
  await writeFile(overlayFile, JSON.stringify({ Replace: Object.fromEntries(replaced) }));
  const workspaceFile = join(workFolder, "go.work");
  await writeFile(workspaceFile, `go 1.25.0\n\nuse ${ownModule}\n\nreplace ${suiteModule} => ${folder}\n`);
  return { folder: ownModule, overlayFile, workspaceFile };
}

/** @throws Error where the variable names something else */
function findCheckout(): string | null {
  const named = process.env.COMPLEMENT_DIR ?? "";
  if (named === "") return null;
  const folder = resolve(named);
  if (!existsSync(join(folder, "go.mod")))
    throw new Error(`COMPLEMENT_DIR: ${folder} is no checkout of ${suiteModule}`);
  return folder;
}

/** @returns the folder of the version that go.mod pins, in Go's module cache. */
async function downloadModule(workFolder: string): Promise<string> {
  // On a copy, because a download notes the module's checksum beside go.mod.
  const copy = join(workFolder, "download");
  await mkdir(copy);
  await copyFile(join(ownModule, "go.mod"), join(copy, "go.mod"));
  const answer = await go(["mod", "download", "-json", suiteModule], copy);
  const parsed = v.safeParse(v.object({ Dir: v.string() }), JSON.parse(answer));
  if (!parsed.success) throw new SuiteUnavailable(`The Go module ${suiteModule} cannot be had: ${answer}`);
  return parsed.output.Dir;
}

/** Everything in the module cache is read-only, and a copy of that could not be removed again. */
async function copyModule(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
  await run("chmod", ["-R", "u+w", to]);
}

/** @returns what it printed. A refusal that it printed as JSON is an answer, too. */
async function go(args: readonly string[], cwd: string): Promise<string> {
  try {
    return (await run("go", args, { cwd })).stdout;
  } catch (thrown) {
    const failure = v.safeParse(v.object({ code: v.unknown(), stdout: v.string(), stderr: v.string() }), thrown);
    if (!failure.success || failure.output.code === "ENOENT") {
      throw new SuiteUnavailable(
        "Complement needs Go 1.25 or newer in the path: see https://go.dev/dl, or your system's packages (golang-go).",
      );
    }
    if (failure.output.stdout.startsWith("{")) return failure.output.stdout;
    throw new SuiteUnavailable(`go ${args.join(" ")}: ${failure.output.stderr}`);
  }
}
