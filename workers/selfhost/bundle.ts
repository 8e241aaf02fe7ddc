import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build, type Plugin, stop } from "esbuild";

/** A module that the script imports and that is not JavaScript. */
export type BundleModule =
  | { readonly type: "wasm"; readonly contents: Uint8Array<ArrayBuffer> }
  | { readonly type: "text"; readonly contents: string };

/** A Worker as the runtime takes it: one JavaScript module and what it imports. */
export interface Bundle {
  readonly script: string;
  /** By name, relative to the script. */
  readonly modules: ReadonlyMap<string, BundleModule>;
}

const gatewayEntry = join(import.meta.dirname, "../gateway/index.ts");

/**
 * Bundles a Worker from its entry point, with the rules that `wrangler.toml` has too: `.sql` is text, `.wasm` a compiled
 * module (workerd forbids compiling one at run time), `cloudflare:` and `node:` modules come with the runtime.
 */
export async function bundleWorker(entry: string = gatewayEntry): Promise<Bundle> {
  const modules = new Map<string, BundleModule>();
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".sql": "text" },
    keepNames: true,
    logLevel: "silent",
    plugins: [wasmModules(modules)],
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error("the bundler gave no output");
  return { script: output.text, modules };
}

/** Ends the bundler's own process, which would otherwise live as long as this one. */
export async function stopBundler(): Promise<void> {
  await stop();
}

/** Keeps each `.wasm` import as an import, under a name that its content decides. */
function wasmModules(found: Map<string, BundleModule>): Plugin {
  return {
    name: "wasm-modules",
    setup(builder) {
      builder.onResolve({ filter: /\.wasm$/ }, async (args) => {
        if (args.pluginData === "resolved") return null;
        const { path, errors } = await builder.resolve(args.path, {
          kind: args.kind,
          resolveDir: args.resolveDir,
          pluginData: "resolved",
        });
        if (errors.length > 0) return { errors };
        const bytes = await readFile(path);
        const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
        const name = `${basename(path, ".wasm")}-${digest}.wasm`;
        found.set(name, { type: "wasm", contents: new Uint8Array(bytes) });
        return { path: `./${name}`, external: true };
      });
    },
  };
}
