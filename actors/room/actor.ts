import { roomMigrations } from "../../schema/room/index.ts";
import type { DeviceId, EventId, UserId } from "../../shared/ids.ts";
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
  updateMemberProfile(userId: UserId, profile: JsonObject) {
    return this.#rpc.updateMemberProfile(userId, profile);
  }
  isJoined(userId: UserId) {
    return this.#rpc.isJoined(userId);
  }
  rebuildDirectory() {
    return this.#rpc.rebuildDirectory();
  }
}
