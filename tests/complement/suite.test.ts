import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { prepareSuite } from "./suite.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tessera-suite-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

it("refuses a COMPLEMENT_DIR that is no checkout, rather than to run something else", async () => {
  vi.stubEnv("COMPLEMENT_DIR", folder);
  await expect(prepareSuite(folder)).rejects.toThrow(`COMPLEMENT_DIR: ${folder} is no checkout`);
});
