import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

/** A certificate and its key, PEM. */
export interface Keypair {
  readonly certificateChain: string;
  readonly privateKey: string;
}

/** Ports that speak TLS. Read when Miniflare writes the runtime's configuration. */
const tlsPorts = new Map<number, Keypair>();

/** The options that Miniflare gives each direct socket, in the pinned version. */
const socketOptions =
  /http: \{\s*style: directSocket\.proxy \? HttpOptions_Style\.PROXY : void 0,\s*cfBlobHeader: CoreHeaders\.CF_BLOB,\s*capnpConnectHost: HOST_CAPNP_CONNECT\s*\}/g;
const hookName = "tessera.directSocketOptions";
let installed = false;

/** Makes the direct socket on `port` speak TLS. */
export function speakTls(port: number, keypair: Keypair): void {
  tlsPorts.set(port, keypair);
}

/**
 * Makes Miniflare's direct sockets fit for the open network; to be called before Miniflare is first imported.
 *
 * Miniflare means them for its own use: whoever connects may open a Cap'n Proto session into the Worker with a CONNECT
 * request, and set `request.cf` with a header. Both go. Without that header the runtime itself tells the Worker who
 * connected, in `request.cf.clientIp`, which nobody can forge. The same place decides whether a socket speaks TLS.
 *
 * @throws Error if Miniflare's text is not the one this was written for: then it must not serve.
 */
export function secureDirectSockets(): void {
  if (installed) return;
  installed = true;
  Object.defineProperty(globalThis, Symbol.for(hookName), { value: directSocketOptions });
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith("/miniflare/dist/src/index.js")) return loaded;
      return { ...loaded, source: rewriteMiniflare(readFileSync(fileURLToPath(url), "utf8")) };
    },
  });
}

/** Replaces the direct sockets' options in Miniflare's text. @throws Error unless they stand there exactly once. */
export function rewriteMiniflare(source: string): string {
  const places = source.match(socketOptions)?.length ?? 0;
  if (places !== 1) {
    throw new Error(`this version of Miniflare is not known: found its socket options ${places} times instead of once`);
  }
  return source.replace(socketOptions, () => `...globalThis[Symbol.for(${JSON.stringify(hookName)})](directSocket)`);
}

function directSocketOptions(socket: { readonly port?: number }): object {
  const keypair = tlsPorts.get(socket.port ?? 0);
  return keypair === undefined ? { http: {} } : { https: { options: {}, tlsOptions: { keypair } } };
}
