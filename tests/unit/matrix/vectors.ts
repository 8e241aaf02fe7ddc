import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "vitest";

/**
 * Larger sets of test vectors that are not part of the repository: in `$TESSERA_VECTORS`, or in `../shared/vectors`
 * beside the project. Where they are absent, their tests are skipped and say so.
 */
export const vectorsFolder = process.env.TESSERA_VECTORS ?? join(import.meta.dirname, "../../../../shared/vectors");

/** Runs `define` with a vector file's content, or one visibly skipped test. */
export function describeVectors<Vectors>(path: string, define: (vectors: Vectors) => void): void {
  if (existsSync(join(vectorsFolder, path))) describe(path, () => define(readVectors<Vectors>(path)));
  else it.skip(`${path}: no vectors here (set TESSERA_VECTORS)`, () => undefined);
}

/** A further file beside the vectors. */
export function readVectors<Vectors>(path: string): Vectors {
  return JSON.parse(readFileSync(join(vectorsFolder, path), "utf8"));
}

/** A fixture of this repository. */
export function readFixture<Fixture>(name: string): Fixture {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../../fixtures", name), "utf8"));
}
