import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { mutants } from "./mutants.ts";

const root = join(import.meta.dirname, "../..");

describe("the guards of the room core", () => {
  it("are named once, and stand in their files once", () => {
    expect(mutants.length - new Set(mutants.map((mutant) => mutant.guard)).size).toBe(0);
    const wrong = mutants.filter(({ file, find, replace, kill }) => {
      const text = readFileSync(join(root, file), "utf8");
      return text.split(find).length !== 2 || find === replace || !existsSync(join(root, kill.file));
    });
    expect(wrong.map(({ file, guard }) => `${file}: ${guard}`)).toEqual([]);
  });

  it("are missed by a test, each of them", { timeout: 1_800_000 }, async () => {
    // A process of its own, which knows nothing of this run.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
    const run = promisify(execFile)(process.execPath, ["tests/mutation/run.ts"], {
      cwd: root,
      env,
      maxBuffer: 2 ** 24,
    });
    const lines = await run.then(
      ({ stdout }) => stdout,
      (thrown: { stdout?: string; message: string }) => `${thrown.stdout ?? ""}\n${thrown.message}`,
    );
    expect(lines.split("\n").filter((line) => line !== "" && !line.startsWith("killed: "))).toEqual([
      `${mutants.length} of ${mutants.length} mutants killed`,
    ]);
  });
});
