import { MatrixError } from "../../../shared/errors.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { describeError } from "../../../shared/log.ts";
import type { RemoteMembership } from "../../../shared/rpc/egress-membership.ts";
import type { EgressContext } from "../context.ts";
import { inTurn } from "./candidates.ts";
import { prepareBy, sendBy, type Wish } from "./handshake.ts";

const failover: ReadonlySet<string> = new Set(["M_NOT_FOUND"]);

/**
 * Leaves a room that this server is not in: turns down an invite, or takes back a knock. Whatever the other servers say or
 * fail to say, the user is out of the room here: nobody is to be kept in one by a server that is gone.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
 */
export async function leaveRoom(egress: EgressContext, input: RemoteMembership): Promise<null> {
  const { roomId, userId, reason, servers } = input;
  try {
    await inTurn(egress, { action: "leave the room", servers }, (server) => leaveBy(egress, input, server));
  } catch (thrown) {
    if (!(thrown instanceof MatrixError)) throw thrown;
    egress.log.info("room left by ourselves", { room_id: roomId, reason: describeError(thrown) });
    await egress.actors.room(roomId).leaveOutside(userId, reason);
  }
  return null;
}

/** The same behind the reply. */
export function startLeave(egress: EgressContext, input: RemoteMembership): null {
  egress.background(async () => {
    await leaveRoom(egress, input);
  });
  return null;
}

async function leaveBy(egress: EgressContext, input: RemoteMembership, server: ServerName): Promise<void> {
  const { roomId, userId, reason, content } = input;
  const wish: Wish = { membership: "leave", roomId, userId, reason, content };
  const member = await prepareBy(egress, wish, { server, join: null, failover });
  await sendBy(egress, wish, { server, member });
  const { roomVersion, pdu } = member;
  await egress.actors.room(roomId).noteOutside({ server, roomVersion, pdu, strippedState: [] });
}
