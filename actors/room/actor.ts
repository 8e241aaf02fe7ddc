import { roomMigrations } from "../../schema/room/index.ts";
import type { DeviceId, EventId, RoomId, ServerName, UserId } from "../../shared/ids.ts";
import { trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type {
  ChangeMembershipInput,
  CreateRoomInput,
  MembersInput,
  MessagesInput,
  RoomRpc,
  RoomSyncInput,
  SendEventInput,
  UpgradeRoomInput,
} from "../../shared/rpc/room.ts";
import { Actor, type Env } from "../actor.ts";
import { type RoomContext, roomContext } from "./context.ts";
import { onRoomAlarm } from "./maintenance.ts";
import { roomRpc } from "./rpc.ts";

type Input<Method extends keyof RoomRpc> = Parameters<RoomRpc[Method]>[0];

/**
 * One room: its events, graph, state and members, and what it owes to those who follow it. The methods are the room's
 * table of contents; the work is done in the files beside this one.
 */
export class RoomActor extends Actor implements RoomRpc {
  readonly #room: RoomContext;
  readonly #rpc: RoomRpc;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env, roomMigrations);
    this.#room = roomContext(this.context, trusted.roomId(this.name));
    this.#rpc = roomRpc(this.#room);
  }

  protected override onAlarm(): Promise<void> {
    return onRoomAlarm(this.#room);
  }

  createRoom(input: CreateRoomInput) {
    return this.#rpc.createRoom(input);
  }
  sendEvent(input: SendEventInput) {
    return this.#rpc.sendEvent(input);
  }
  changeMembership(input: ChangeMembershipInput) {
    return this.#rpc.changeMembership(input);
  }
  forget(requester: UserId) {
    return this.#rpc.forget(requester);
  }
  upgradeRoom(input: UpgradeRoomInput) {
    return this.#rpc.upgradeRoom(input);
  }
  getState(requester: UserId) {
    return this.#rpc.getState(requester);
  }
  getStateEvent(requester: UserId, type: string, stateKey: string) {
    return this.#rpc.getStateEvent(requester, type, stateKey);
  }
  getEvent(requester: UserId, deviceId: DeviceId | null, eventId: EventId) {
    return this.#rpc.getEvent(requester, deviceId, eventId);
  }
  isAfter(requester: UserId, eventId: EventId, other: EventId | null) {
    return this.#rpc.isAfter(requester, eventId, other);
  }
  getContext(input: Input<"getContext">) {
    return this.#rpc.getContext(input);
  }
  getMessages(input: MessagesInput) {
    return this.#rpc.getMessages(input);
  }
  getMembers(input: MembersInput) {
    return this.#rpc.getMembers(input);
  }
  getJoinedMembers(requester: UserId) {
    return this.#rpc.getJoinedMembers(requester);
  }
  setTyping(input: Input<"setTyping">) {
    return this.#rpc.setTyping(input);
  }
  sendReceipt(input: Input<"sendReceipt">) {
    return this.#rpc.sendReceipt(input);
  }
  getDirectoryVisibility() {
    return this.#rpc.getDirectoryVisibility();
  }
  setDirectoryVisibility(requester: UserId, visibility: "public" | "private") {
    return this.#rpc.setDirectoryVisibility(requester, visibility);
  }
  assertMayReadAliases(requester: UserId) {
    return this.#rpc.assertMayReadAliases(requester);
  }
  mayManageAliases(requester: UserId) {
    return this.#rpc.mayManageAliases(requester);
  }
  syncRoom(input: RoomSyncInput) {
    return this.#rpc.syncRoom(input);
  }
  updateMemberProfile(userId: UserId, profile: JsonObject, version: number) {
    return this.#rpc.updateMemberProfile(userId, profile, version);
  }
  findReplacedRoom() {
    return this.#rpc.findReplacedRoom();
  }
  isReplacedBy(replacement: RoomId) {
    return this.#rpc.isReplacedBy(replacement);
  }
  isJoined(userId: UserId) {
    return this.#rpc.isJoined(userId);
  }
  receivePdus(input: Input<"receivePdus">) {
    return this.#rpc.receivePdus(input);
  }
  receiveOutliers(input: Input<"receiveOutliers">) {
    return this.#rpc.receiveOutliers(input);
  }
  receiveAfterGap(input: Input<"receiveAfterGap">) {
    return this.#rpc.receiveAfterGap(input);
  }
  findUnknown(eventIds: readonly EventId[]) {
    return this.#rpc.findUnknown(eventIds);
  }
  getEnds() {
    return this.#rpc.getEnds();
  }
  receiveEphemeral(input: Input<"receiveEphemeral">) {
    return this.#rpc.receiveEphemeral(input);
  }
  getStateIds(input: Input<"getStateIds">) {
    return this.#rpc.getStateIds(input);
  }
  getAuthChainIds(input: Input<"getAuthChainIds">) {
    return this.#rpc.getAuthChainIds(input);
  }
  getPdusAt(input: Input<"getPdusAt">) {
    return this.#rpc.getPdusAt(input);
  }
  findPdu(input: Input<"findPdu">) {
    return this.#rpc.findPdu(input);
  }
  getHistory(input: Input<"getHistory">) {
    return this.#rpc.getHistory(input);
  }
  getMissing(input: Input<"getMissing">) {
    return this.#rpc.getMissing(input);
  }
  findGap(requester: UserId, end: number | null) {
    return this.#rpc.findGap(requester, end);
  }
  findNearest(input: Input<"findNearest">) {
    return this.#rpc.findNearest(input);
  }
  describeRoom(visitor: Input<"describeRoom">) {
    return this.#rpc.describeRoom(visitor);
  }
  isServerIn(server: ServerName) {
    return this.#rpc.isServerIn(server);
  }
  getServers() {
    return this.#rpc.getServers();
  }
  findUnplaced(eventIds: readonly EventId[]) {
    return this.#rpc.findUnplaced(eventIds);
  }
  receiveHistory(input: Input<"receiveHistory">) {
    return this.#rpc.receiveHistory(input);
  }
  findNearestForServer(input: Input<"findNearestForServer">) {
    return this.#rpc.findNearestForServer(input);
  }
  takeOutbound(input: Input<"takeOutbound">) {
    return this.#rpc.takeOutbound(input);
  }
  joinByOthers(input: Input<"joinByOthers">) {
    return this.#rpc.joinByOthers(input);
  }
  beginJoin(userId: UserId) {
    return this.#rpc.beginJoin(userId);
  }
  prepareMember(input: Input<"prepareMember">) {
    return this.#rpc.prepareMember(input);
  }
  takeJoinState(input: Input<"takeJoinState">) {
    return this.#rpc.takeJoinState(input);
  }
  finishJoin(input: Input<"finishJoin">) {
    return this.#rpc.finishJoin(input);
  }
  advanceCompletion(input: Input<"advanceCompletion">) {
    return this.#rpc.advanceCompletion(input);
  }
  takeWholeState(input: Input<"takeWholeState">) {
    return this.#rpc.takeWholeState(input);
  }
  finishWholeState(input: Input<"finishWholeState">) {
    return this.#rpc.finishWholeState(input);
  }
  dropWholeState(input: Input<"dropWholeState">) {
    return this.#rpc.dropWholeState(input);
  }
  takeKeys(input: Input<"takeKeys">) {
    return this.#rpc.takeKeys(input);
  }
  postponeCompletion(input: Input<"postponeCompletion">) {
    return this.#rpc.postponeCompletion(input);
  }
  dropJoin(input: Input<"dropJoin">) {
    return this.#rpc.dropJoin(input);
  }
  noteOutside(input: Input<"noteOutside">) {
    return this.#rpc.noteOutside(input);
  }
  leaveOutside(userId: UserId, reason: string | null) {
    return this.#rpc.leaveOutside(userId, reason);
  }
  checkInvite(input: Input<"checkInvite">) {
    return this.#rpc.checkInvite(input);
  }
  prepareInvite(input: Input<"prepareInvite">) {
    return this.#rpc.prepareInvite(input);
  }
  completeInvite(input: Input<"completeInvite">) {
    return this.#rpc.completeInvite(input);
  }
  receiveInvite(input: Input<"receiveInvite">) {
    return this.#rpc.receiveInvite(input);
  }
  rebuildDirectory() {
    return this.#rpc.rebuildDirectory();
  }
  makeMembership(input: Input<"makeMembership">) {
    return this.#rpc.makeMembership(input);
  }
  acceptMembership(input: Input<"acceptMembership">) {
    return this.#rpc.acceptMembership(input);
  }
  getJoinState(input: Input<"getJoinState">) {
    return this.#rpc.getJoinState(input);
  }
  getInviteKeys(input: Input<"getInviteKeys">) {
    return this.#rpc.getInviteKeys(input);
  }
  exchangeInvite(input: Input<"exchangeInvite">) {
    return this.#rpc.exchangeInvite(input);
  }
  getKnockState(eventId: EventId) {
    return this.#rpc.getKnockState(eventId);
  }
  getPdus(eventIds: readonly EventId[]) {
    return this.#rpc.getPdus(eventIds);
  }
}
