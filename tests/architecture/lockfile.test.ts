import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { describe, expect, it } from "vitest";

const lockFile = v.object({
  packages: v.record(
    v.string(),
    v.object({
      version: v.optional(v.string()),
      resolved: v.optional(v.string()),
      dependencies: v.optional(v.record(v.string(), v.string())),
      optionalDependencies: v.optional(v.record(v.string(), v.string())),
    }),
  ),
});
type Packages = v.InferOutput<typeof lockFile>["packages"];

/** Dependencies, optional ones too, for which there is no entry: `npm ci` refuses a lock file that has any. */
function missingEntries(packages: Packages): string[] {
  return Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter((name) => !isInstalled(packages, path, name))
      .map((name) => `${path || "the project"} needs ${name}`),
  );
}

/** Looks where Node looks: in the package's own folder, then in each one above. */
function isInstalled(packages: Packages, from: string, name: string): boolean {
  for (let folder = from; ; ) {
    if (Object.hasOwn(packages, `${folder === "" ? "" : `${folder}/`}node_modules/${name}`)) return true;
    if (folder === "") return false;
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")));
  }
}

describe("package-lock.json", () => {
  const text = readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8");
  const { packages } = v.parse(lockFile, JSON.parse(text));

  it("has the packages of every platform", () => expect(missingEntries(packages)).toEqual([]));

  it("names no registry", () => {
    expect(Object.values(packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
  });

  it("brings Node 24 for each platform", () => {
    const nodes = Object.entries(packages).filter(([path]) => /^node_modules\/node-(bin-)?(linux|darwin)-/.test(path));
    expect(nodes).toHaveLength(4);
    for (const [, { version }] of nodes) expect(version).toMatch(/^24\./);
  });
});

describe("missingEntries", () => {
  it("finds an optional dependency without an entry, and one that lies in a folder above", () => {
    const packages = {
      "": { dependencies: { a: "1" } },
      "node_modules/a": { dependencies: { b: "1" }, optionalDependencies: { "a-darwin": "1" } },
      "node_modules/b": {},
      "node_modules/a/node_modules/@c/d": { dependencies: { b: "1" } },
    };
    expect(missingEntries(packages)).toEqual(["node_modules/a needs a-darwin"]);
  });
});
