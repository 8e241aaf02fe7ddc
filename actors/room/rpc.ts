/** What the room answers: every method of its contract, over a context of the platform's or the simulator's making. */
import { reply } from "../../shared/rpc/reply.ts";
import type { RoomRpc } from "../../shared/rpc/room.ts";
import { findUnplaced, receiveHistory } from "./backfill.ts";
import {
  advanceCompletion,
  dropWholeState,
  finishWholeState,
  postponeCompletion,
  takeWholeState,
} from "./complete-state.ts";
import type { RoomContext } from "./context.ts";
import { createRoom } from "./create.ts";
import { rebuildDirectory } from "./directory.ts";
import { sendReceipt, setTyping } from "./ephemeral.ts";
import { findGap } from "./gaps.ts";
import { finishJoin, takeJoinState } from "./import.ts";
import { checkInvite, completeInvite, prepareInvite } from "./invite-remote.ts";
import { beginJoin, dropJoin, prepareMember } from "./join-remote.ts";
import { acceptMembership, makeMembership } from "./join-resident.ts";
import { getJoinState, getKnockState, getPdus } from "./join-state.ts";
import { joinByOthers } from "./join-worker.ts";
import { syncRoom } from "./log.ts";
import { getJoinedMembers, getMembers, getState, getStateEvent } from "./members.ts";
import { changeMembership, forget, updateMemberProfile } from "./membership.ts";
import { takeOutbound } from "./outbound.ts";
import { whenKnown, whenWhole } from "./partial-state.ts";
import { findReplacedRoom, isReplacedBy } from "./predecessor.ts";
import { findUnknown, getEnds, receiveAfterGap, receiveBatch, receiveOutliers } from "./receive-rpc.ts";
import { receiveEphemeral } from "./remote-ephemeral.ts";
import { leaveOutside, noteOutside, receiveInvite } from "./remote-membership.ts";
import { sendEvent } from "./send.ts";
import { findNearestForServer, findPdu, getAuthChainIds, getPdusAt, getStateIds } from "./serve.ts";
import { getHistory, getMissing } from "./serve-walk.ts";
import {
  assertMayReadAliases,
  getDirectoryVisibility,
  isJoined,
  mayManageAliases,
  setDirectoryVisibility,
} from "./settings.ts";
import { describeRoom, getServers, isServerIn } from "./spaces.ts";
import { exchangeInvite, getInviteKeys } from "./third-party-invite.ts";
import { getContext, getEvent, getMessages, isAfter } from "./timeline.ts";
import { findNearestForUser } from "./timestamp.ts";
import { upgradeRoom } from "./upgrade.ts";
import { takeKeys } from "./verify-state.ts";

/** The room's RPC methods; refusals become values. */
export function roomRpc(room: RoomContext): RoomRpc {
  return {
    createRoom: (input) => reply(() => createRoom(room, input)),
    sendEvent: (input) => reply(() => sendEvent(room, input)),
    changeMembership: (input) => reply(() => changeMembership(room, input)),
    forget: (requester) => reply(() => forget(room, requester)),
    upgradeRoom: (input) => reply(() => whenWhole(room, input.requester, () => upgradeRoom(room, input))),
    getState: (requester) => reply(() => whenWhole(room, requester, () => getState(room, requester))),
    getStateEvent: (requester, type, stateKey) =>
      reply(() => {
        const ask = () => getStateEvent(room, requester, type, stateKey);
        return type === "m.room.member" && stateKey !== requester ? whenWhole(room, requester, ask) : ask();
      }),
    getEvent: (requester, deviceId, eventId) => reply(() => getEvent(room, requester, deviceId, eventId)),
    isAfter: (requester, eventId, other) => reply(() => isAfter(room, requester, eventId, other)),
    getContext: (input) => reply(() => getContext(room, input)),
    getMessages: (input) => reply(() => getMessages(room, input)),
    getMembers: (input) => reply(() => whenWhole(room, input.requester, () => getMembers(room, input))),
    getJoinedMembers: (requester) => reply(() => whenWhole(room, requester, () => getJoinedMembers(room, requester))),
    setTyping: (input) => reply(() => setTyping(room, input)),
    sendReceipt: (input) => reply(() => sendReceipt(room, input)),
    getDirectoryVisibility: () => reply(() => getDirectoryVisibility(room)),
    setDirectoryVisibility: (requester, visibility) => reply(() => setDirectoryVisibility(room, requester, visibility)),
    assertMayReadAliases: (requester) => reply(() => assertMayReadAliases(room, requester)),
    mayManageAliases: (requester) => reply(() => mayManageAliases(room, requester)),
    syncRoom: (input) => reply(() => syncRoom(room, input)),
    updateMemberProfile: (userId, profile, version) =>
      reply(() => updateMemberProfile(room, userId, { profile, version })),
    findReplacedRoom: () => reply(() => findReplacedRoom(room)),
    isReplacedBy: (replacement) => reply(() => isReplacedBy(room, replacement)),
    isJoined: (userId) => reply(() => isJoined(room, userId)),
    makeMembership: (input) => reply(() => makeMembership(room, input)),
    acceptMembership: (input) => reply(() => acceptMembership(room, input)),
    getJoinState: (input) => reply(() => getJoinState(room, input)),
    getKnockState: (eventId) => reply(() => getKnockState(room, eventId)),
    getInviteKeys: (input) => reply(() => getInviteKeys(room, input)),
    exchangeInvite: (input) => reply(() => exchangeInvite(room, input)),
    getPdus: (eventIds) => reply(() => getPdus(room, eventIds)),
    receivePdus: (input) => reply(() => receiveBatch(room, input)),
    receiveOutliers: (input) => reply(() => receiveOutliers(room, input)),
    receiveAfterGap: (input) => reply(() => receiveAfterGap(room, input)),
    findUnknown: (eventIds) => reply(() => findUnknown(room, eventIds)),
    getEnds: () => reply(() => getEnds(room)),
    receiveEphemeral: (input) => reply(() => receiveEphemeral(room, input)),
    joinByOthers: (input) => reply(() => joinByOthers(room, input)),
    beginJoin: (userId) => reply(() => beginJoin(room, userId)),
    prepareMember: (input) => reply(() => prepareMember(room, input)),
    takeJoinState: (input) => reply(() => takeJoinState(room, input)),
    finishJoin: (input) => reply(() => finishJoin(room, input)),
    takeKeys: (input) => reply(() => takeKeys(room, input)),
    postponeCompletion: (input) => reply(() => postponeCompletion(room, input)),
    finishWholeState: (input) => reply(() => finishWholeState(room, input)),
    dropWholeState: (input) => reply(() => dropWholeState(room, input)),
    takeWholeState: (input) => reply(() => takeWholeState(room, input)),
    advanceCompletion: (input) => reply(() => advanceCompletion(room, input)),
    dropJoin: (input) => reply(() => dropJoin(room, input)),
    noteOutside: (input) => reply(() => noteOutside(room, input)),
    leaveOutside: (userId, reason) => reply(() => leaveOutside(room, userId, reason)),
    checkInvite: (input) => reply(() => whenKnown(room, input, () => checkInvite(room, input))),
    prepareInvite: (input) => reply(() => prepareInvite(room, input)),
    completeInvite: (input) => reply(() => completeInvite(room, input)),
    receiveInvite: (input) => reply(() => receiveInvite(room, input)),
    getStateIds: (input) => reply(() => getStateIds(room, input)),
    getAuthChainIds: (input) => reply(() => getAuthChainIds(room, input)),
    getPdusAt: (input) => reply(() => getPdusAt(room, input)),
    findPdu: (input) => reply(() => findPdu(room, input)),
    getHistory: (input) => reply(() => getHistory(room, input)),
    getMissing: (input) => reply(() => getMissing(room, input)),
    findGap: (requester, end) => reply(() => findGap(room, requester, end)),
    findNearest: (input) => reply(() => findNearestForUser(room, input)),
    describeRoom: (visitor) => reply(() => describeRoom(room, visitor)),
    isServerIn: (server) => reply(() => isServerIn(room, server)),
    getServers: () => reply(() => getServers(room)),
    findUnplaced: (eventIds) => reply(() => findUnplaced(room, eventIds)),
    receiveHistory: (input) => reply(() => receiveHistory(room, input)),
    findNearestForServer: (input) => reply(() => findNearestForServer(room, input)),
    takeOutbound: (input) => reply(() => takeOutbound(room, input)),
    rebuildDirectory: () =>
      reply(async () => {
        await rebuildDirectory(room);
        return null;
      }),
  };
}
