import { defineConfig } from "vitest/config";

/** Files of their own kind, so that `npm test` does not take them for its own: they need a program from elsewhere. */
export default defineConfig({
  test: {
    include: ["tests/interop/**/*.interop.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "forks",
    // One pair of servers is four processes: one pair at a time.
    maxWorkers: 1,
  },
});
