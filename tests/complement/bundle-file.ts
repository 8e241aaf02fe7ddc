import { deserialize, serialize } from "node:v8";
import * as v from "valibot";
import type { Bundle } from "../../workers/selfhost/bundle.ts";

const bytes = v.pipe(
  v.instance(Uint8Array),
  v.transform((value) => new Uint8Array(value)),
);
const bundleFile = v.object({
  script: v.string(),
  modules: v.map(
    v.string(),
    v.variant("type", [
      v.object({ type: v.literal("wasm"), contents: bytes }),
      v.object({ type: v.literal("text"), contents: v.string() }),
    ]),
  ),
});

/** Writes a Worker's bundle as bytes that `decodeBundle` reads. */
export function encodeBundle(bundle: Bundle): Uint8Array {
  return serialize(bundle);
}

/** Reads what `encodeBundle` wrote. @throws if it is anything else. */
export function decodeBundle(encoded: Uint8Array): Bundle {
  return v.parse(bundleFile, deserialize(encoded));
}
