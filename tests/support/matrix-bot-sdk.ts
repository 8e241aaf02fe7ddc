import { createRequire, Module } from "node:module";

type BotSdk = typeof import("matrix-bot-sdk");

/**
 * Loads matrix-bot-sdk with an empty module in the place of its encryption library, whose program would have to be
 * downloaded by an install script. Bots that do not encrypt never touch it.
 */
export async function loadBotSdk(): Promise<BotSdk> {
  const require = createRequire(import.meta.url);
  const sdkPath = require.resolve("matrix-bot-sdk");
  const path = createRequire(sdkPath).resolve("@matrix-org/matrix-sdk-crypto-nodejs");
  const empty = new Module(path);
  empty.filename = path;
  empty.loaded = true;
  require.cache[path] = empty;
  return import("matrix-bot-sdk");
}
