import { parseKnockState } from "../../../shared/federation-api/handshakes.ts";
import type { ServerName } from "../../../shared/ids.ts";
import type { RemoteMembership } from "../../../shared/rpc/egress-membership.ts";
import type { EgressContext } from "../context.ts";
import { inTurn } from "./candidates.ts";
import { prepareBy, sendBy, type Wish } from "./handshake.ts";

const failover: ReadonlySet<string> = new Set(["M_NOT_FOUND"]);

/**
 * Knocks on a room that this server is not in.
 * @throws MatrixError as {@link inTurn}
 * @see https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms
 */
export function knockRoom(egress: EgressContext, input: RemoteMembership): Promise<null> {
  const what = { action: "knock on the room", servers: input.servers };
  return inTurn(egress, what, (server) => knockBy(egress, input, server));
}

async function knockBy(egress: EgressContext, input: RemoteMembership, server: ServerName): Promise<null> {
  const { roomId, userId, reason, content } = input;
  const wish: Wish = { membership: "knock", roomId, userId, reason, content };
  const member = await prepareBy(egress, wish, { server, join: null, failover });
  const strippedState = parseKnockState(await sendBy(egress, wish, { server, member }));
  const { roomVersion, pdu } = member;
  return await egress.actors.room(roomId).noteOutside({ server, roomVersion, pdu, strippedState });
}
