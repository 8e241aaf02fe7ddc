/**
 * `npm run bench -- core`: the room's core by itself, over SQLite in memory, in one process whose heap may not grow beyond
 * 100 MB. Prints a Markdown table.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { getHeapStatistics } from "node:v8";

// Node does not import SQL; the server's bundler makes text of it.
registerHooks({
  load(url, context, nextLoad) {
    if (!url.endsWith(".sql")) return nextLoad(url, context);
    const text = readFileSync(fileURLToPath(url), "utf8");
    return { format: "module", shortCircuit: true, source: `export default ${JSON.stringify(text)};` };
  },
});

const { measureCore } = await import("./core-measures.ts");
const rows = await measureCore((line) => process.stderr.write(`${line}\n`));
const limitMib = Math.round(getHeapStatistics().heap_size_limit / 2 ** 20);
const lines = ["| room core | result | target |", "|---|---:|---:|"];
for (const { name, result, target } of rows) lines.push(`| ${name} | ${result} | ${target} |`);
process.stdout.write(`\n${lines.join("\n")}\n\nHeap limit of the process: ${limitMib} MiB.\n`);
