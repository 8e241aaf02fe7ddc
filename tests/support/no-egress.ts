import { clientOf } from "../../shared/rpc/actors.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { Client } from "../../shared/rpc/reply.ts";

/** For tests in which nothing may ask another server: whoever does fails. */
export const noEgress: Client<EgressRpc> = clientOf<EgressRpc>(() => {
  throw new Error("nobody was to ask another server");
});
