import { clientOf } from "./actors.ts";
import type { EgressRpc } from "./egress.ts";
import type { Client } from "./reply.ts";

/**
 * The client of the egress, which is an entrypoint of this very Worker.
 * @param exports `ctx.exports` of whoever asks.
 */
export function egressOf(exports: object): Client<EgressRpc> {
  const entrypoint: unknown = Reflect.get(exports, "Egress");
  if (entrypoint === null || (typeof entrypoint !== "object" && typeof entrypoint !== "function")) {
    throw new Error("the Worker has no entrypoint named Egress");
  }
  return clientOf<EgressRpc>(() => entrypoint);
}
