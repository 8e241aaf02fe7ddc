/** The project's Worker, and a door for tests: what the egress answers, asked as the gateway and the actors ask it. */
import type { PeerRequest } from "../../shared/rpc/egress.ts";
import { egressOf } from "../../shared/rpc/egress-client.ts";
import type { GatewayEnv } from "../../workers/gateway/env.ts";
import gateway from "../../workers/gateway/index.ts";

export * from "../../workers/gateway/index.ts";

export default {
  async fetch(request: Request, env: GatewayEnv, ctx: ExecutionContext): Promise<Response> {
    if (new URL(request.url).pathname !== "/egress") return gateway.fetch(request, env, ctx);
    const asked = await request.json<PeerRequest>();
    return Response.json(await egressOf(ctx.exports).request(asked));
  },
};
