/** What the room answers: every method of its contract, over a context of the platform's or the simulator's making. */
import { reply } from "../../shared/rpc/reply.ts";
import type { RoomRpc } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { createRoom } from "./create.ts";
import { rebuildDirectory } from "./directory.ts";
import { sendReceipt, setTyping } from "./ephemeral.ts";
import { syncRoom } from "./log.ts";
import { getJoinedMembers, getMembers, getState, getStateEvent } from "./members.ts";
import { changeMembership, forget, updateMemberProfile } from "./membership.ts";
import { sendEvent } from "./send.ts";
import {
  assertMayReadAliases,
  getDirectoryVisibility,
  isJoined,
  mayManageAliases,
  setDirectoryVisibility,
} from "./settings.ts";
import { getContext, getEvent, getMessages } from "./timeline.ts";
import { upgradeRoom } from "./upgrade.ts";

/** The room's RPC methods; refusals become values. */
export function roomRpc(room: RoomContext): RoomRpc {
  return {
    createRoom: (input) => reply(() => createRoom(room, input)),
    sendEvent: (input) => reply(() => sendEvent(room, input)),
    changeMembership: (input) => reply(() => changeMembership(room, input)),
    forget: (requester) => reply(() => forget(room, requester)),
    upgradeRoom: (input) => reply(() => upgradeRoom(room, input)),
    getState: (requester) => reply(() => getState(room, requester)),
    getStateEvent: (requester, type, stateKey) => reply(() => getStateEvent(room, requester, type, stateKey)),
    getEvent: (requester, deviceId, eventId) => reply(() => getEvent(room, requester, deviceId, eventId)),
    getContext: (input) => reply(() => getContext(room, input)),
    getMessages: (input) => reply(() => getMessages(room, input)),
    getMembers: (input) => reply(() => getMembers(room, input)),
    getJoinedMembers: (requester) => reply(() => getJoinedMembers(room, requester)),
    setTyping: (input) => reply(() => setTyping(room, input)),
    sendReceipt: (input) => reply(() => sendReceipt(room, input)),
    getDirectoryVisibility: () => reply(() => getDirectoryVisibility(room)),
    setDirectoryVisibility: (requester, visibility) => reply(() => setDirectoryVisibility(room, requester, visibility)),
    assertMayReadAliases: (requester) => reply(() => assertMayReadAliases(room, requester)),
    mayManageAliases: (requester) => reply(() => mayManageAliases(room, requester)),
    syncRoom: (input) => reply(() => syncRoom(room, input)),
    updateMemberProfile: (userId, profile) => reply(() => updateMemberProfile(room, userId, profile)),
    isJoined: (userId) => reply(() => isJoined(room, userId)),
    rebuildDirectory: () =>
      reply(async () => {
        await rebuildDirectory(room);
        return null;
      }),
  };
}
