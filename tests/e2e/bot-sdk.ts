/**
 * matrix-bot-sdk, as far as it works without its encryption: the SDK loads a native library when it is imported, which
 * its package brings by a download at install time. Where that did not happen, the import would fail although a bot that
 * does not encrypt never calls into it; so the place of that one library, and of nothing else, is then taken by nothing.
 */
import { createRequire, Module } from "node:module";

const require = createRequire(import.meta.url);

function loadBotSdk(): typeof import("matrix-bot-sdk") {
  const fromSdk = createRequire(require.resolve("matrix-bot-sdk"));
  const nativeLibrary = fromSdk.resolve("@matrix-org/matrix-sdk-crypto-nodejs");
  try {
    fromSdk(nativeLibrary);
  } catch {
    const nothing = new Module(nativeLibrary);
    nothing.loaded = true;
    fromSdk.cache[nativeLibrary] = nothing;
  }
  return require("matrix-bot-sdk");
}

/** The SDK. */
export const botSdk = loadBotSdk();
