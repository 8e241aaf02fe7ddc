import { readFile } from "node:fs/promises";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The two module kinds that the Worker bundle knows besides JavaScript: `.sql` as text, `.wasm` as a compiled module. */
function workerModules(): Plugin {
  return {
    name: "worker-modules",
    enforce: "pre",
    async load(id) {
      const path = id.split("?")[0] ?? id;
      if (path.endsWith(".sql")) return `export default ${JSON.stringify(await readFile(path, "utf8"))};`;
      if (path.endsWith(".wasm")) {
        const bytes = (await readFile(path)).toString("base64");
        return `export default new WebAssembly.Module(Buffer.from("${bytes}", "base64"));`;
      }
      return null;
    },
  };
}

export default defineConfig({
  plugins: [workerModules()],
  test: {
    include: ["tests/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // Goes through the plugin above: Node itself would import the .wasm as an instance, not as a module.
    server: { deps: { inline: [/@phi-ag\/argon2/] } },
    // Processes, because a test may start a server, and a server sets variables of its process. Two, because a server
    // is itself two processes and machines that build have as few as two cores.
    pool: "forks",
    maxWorkers: 2,
  },
});
