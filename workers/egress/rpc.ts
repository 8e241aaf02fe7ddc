import type { EgressRpc } from "../../shared/rpc/egress.ts";
import { reply } from "../../shared/rpc/reply.ts";
import type { EgressContext } from "./context.ts";
import { deliver } from "./deliver.ts";
import { discover } from "./discovery.ts";
import { isKeyValid } from "./key-validity.ts";
import { completeState } from "./procedures/complete-state.ts";
import { fetchState } from "./procedures/fetch-state.ts";
import { inviteUser } from "./procedures/invite.ts";
import { joinRoom } from "./procedures/join.ts";
import { knockRoom } from "./procedures/knock.ts";
import { leaveRoom, startLeave } from "./procedures/leave.ts";
import { requestPeer } from "./request.ts";

/** The methods of the egress over one context. */
export function egressRpc(egress: EgressContext): EgressRpc {
  return {
    request: (input) => reply(() => requestPeer(egress, input)),
    discover: (input) => reply(() => discover(egress, input)),
    fetchState: (input) => reply(() => fetchState(egress, input)),
    isKeyValid: (input) => reply(() => isKeyValid(egress, input)),
    deliver: (input) =>
      reply(() => {
        egress.background(() => deliver(egress, input));
        return null;
      }),
    joinRoom: (input) => reply(() => joinRoom(egress, input)),
    completeState: (input) => reply(() => completeState(egress, input)),
    leaveRoom: (input) => reply(() => leaveRoom(egress, input)),
    startLeave: (input) => reply(() => startLeave(egress, input)),
    knockRoom: (input) => reply(() => knockRoom(egress, input)),
    inviteUser: (input) => reply(() => inviteUser(egress, input)),
  };
}
