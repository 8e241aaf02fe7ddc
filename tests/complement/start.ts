/**
 * A homeserver as `npm start` runs it, until SIGTERM. It differs in one thing: the Worker's bundle comes from a file that
 * the run made once, because a suite that starts hundreds of servers has no time to bundle for each.
 */
import { readFileSync } from "node:fs";
import type { Bundle } from "../../workers/selfhost/bundle.ts";
import { startServer } from "../../workers/selfhost/server.ts";
import { decodeBundle } from "./bundle-file.ts";

async function main(): Promise<void> {
  const [path] = process.argv.slice(2);
  if (path === undefined) throw new Error("usage: start.ts BUNDLE");
  const bundle: Promise<Bundle> = Promise.resolve(decodeBundle(readFileSync(path)));
  const server = await startServer(process.env, {
    workingDir: process.cwd(),
    bundle,
    log: (level, message) => process.stdout.write(`${level} ${message}\n`),
  });
  // Miniflare has handlers of its own, which would end the process at once.
  process.removeAllListeners("SIGTERM");
  process.once("SIGTERM", () => {
    server.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}

await main();
