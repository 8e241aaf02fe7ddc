import type { GatewayEnv } from "./env.ts";
import { type Gateway, makeGateway } from "./gateway.ts";

export { RoomActor } from "../../actors/room/actor.ts";
export { ServerActor } from "../../actors/server/actor.ts";
export { UserActor } from "../../actors/user/actor.ts";
export { Egress } from "../egress/entrypoint.ts";

let gateway: Gateway | null = null;

export default {
  /** Answers one request. The bindings of an isolate never change, so the gateway is made once. */
  fetch(request: Request, env: GatewayEnv, ctx: ExecutionContext): Promise<Response> {
    gateway ??= makeGateway(env, ctx.exports);
    return gateway(request);
  },
};
