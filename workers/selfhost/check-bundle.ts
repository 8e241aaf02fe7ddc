/**
 * `npm run deploy:check`: builds what `npm run deploy` would send, without sending it, and checks it against the limits
 * that only the platform enforces: the size of a Worker, and the time that it may take to start.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Bundle, BundleModule } from "./bundle.ts";
import { startRuntime } from "./miniflare.ts";

/** The smaller of the two limits: 3 MiB compressed on the free plan, 10 MiB on the paid one. */
const maxCompressedBytes = 3 * 1024 * 1024;
/** A Worker whose top-level code takes longer is refused. */
const maxStartupMs = 1000;
const outputFolder = "dist/deploy";
const emptyWorker = `import { DurableObject } from "cloudflare:workers";
export class RoomActor extends DurableObject {}
export class UserActor extends DurableObject {}
export class ServerActor extends DurableObject {}
export default { fetch: () => new Response("empty") };`;

async function main(): Promise<void> {
  rmSync(outputFolder, { recursive: true, force: true });
  const dryRun = spawnSync("wrangler", ["deploy", "--dry-run", "--outdir", outputFolder], {
    encoding: "utf8",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" },
  });
  if (dryRun.status !== 0) throw new Error(`wrangler deploy --dry-run failed:\n${dryRun.stderr}${dryRun.stdout}`);
  const bundle = readOutput(outputFolder);
  const compressedBytes = compressedSize(bundle);
  report("compressed size", `${(compressedBytes / 1024).toFixed(0)} KiB`, compressedBytes < maxCompressedBytes);
  const empty: Bundle = { script: emptyWorker, modules: new Map() };
  const startupMs = Math.max(0, (await timeToAnswer(bundle)) - (await timeToAnswer(empty)));
  report("start-up time", `${startupMs.toFixed(0)} ms more than an empty Worker`, startupMs < maxStartupMs);
}

function readOutput(folder: string): Bundle {
  const modules = new Map<string, BundleModule>();
  let script = "";
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.endsWith(".wasm")) modules.set(name, { type: "wasm", contents: new Uint8Array(readFileSync(path)) });
    else if (name.endsWith(".sql")) modules.set(name, { type: "text", contents: readFileSync(path, "utf8") });
    else if (name === "index.js") script = readFileSync(path, "utf8");
    else if (!/\.map$|^README\.md$/.test(name))
      throw new Error(`wrangler wrote ${name}, a kind of module not known here`);
  }
  if (script === "") throw new Error("wrangler wrote no script");
  return { script, modules };
}

function compressedSize(bundle: Bundle): number {
  let bytes = gzipSync(bundle.script).byteLength;
  for (const { contents } of bundle.modules.values()) bytes += gzipSync(contents).byteLength;
  return bytes;
}

/** The best of three starts, from nothing to the first answer: what is left after that is the Worker's own doing. */
async function timeToAnswer(bundle: Bundle): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run += 1) best = Math.min(best, await startOnce(bundle));
  return best;
}

async function startOnce(bundle: Bundle): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), "tessera-check-"));
  const plain = { host: "127.0.0.1", port: await freePort() };
  const begun = performance.now();
  const runtime = await startRuntime({
    bundle,
    dataDir,
    plain,
    tls: null,
    variables: { SERVER_NAME: "localhost" },
    trustedCertificates: [],
    allowPrivateNetwork: false,
    log: (_level, message) => process.stderr.write(`${message}\n`),
  });
  try {
    const response = await fetch(`http://127.0.0.1:${plain.port}/_matrix/client/versions`);
    await response.text();
    if (response.status >= 500) throw new Error(`the bundle answered with status ${response.status}`);
    return performance.now() - begun;
  } finally {
    await runtime.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        address === null || typeof address === "string" ? reject(new Error("no port")) : resolve(address.port),
      );
    });
  });
}

function report(what: string, value: string, isWithin: boolean): void {
  process.stdout.write(`${what}: ${value}: ${isWithin ? "ok" : "over the limit"}\n`);
  if (!isWithin) process.exitCode = 1;
}

await main().catch((thrown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exit(1);
});
