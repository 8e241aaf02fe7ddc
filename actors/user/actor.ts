import { userMigrations } from "../../schema/user/index.ts";
import { parseUserId, trusted } from "../../shared/ids.ts";
import type { UserRpc } from "../../shared/rpc/user.ts";
import { Actor, type Env } from "../actor.ts";
import { onAlarm } from "./alarm.ts";
import { type UserContext, userContext, type Waiter } from "./context.ts";
import { userRpc } from "./rpc.ts";
import { shouldAskAgain } from "./wait.ts";
import { closeWaiters } from "./waiters.ts";

type Args<Method extends keyof UserRpc> = Parameters<UserRpc[Method]>;

/**
 * One local user: account, devices, tokens, account data, messages to devices, the user's list of rooms, and `/sync`.
 * Named by the user id. The platform calls only what the class itself declares, hence a line for each method.
 */
export class UserActor extends Actor implements UserRpc {
  readonly #user: UserContext;
  readonly #rpc: UserRpc;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env, userMigrations);
    const userId = parseUserId(this.name);
    if (userId === null) throw new Error("a user's actor is named by a user id");
    const waiterOf = (socket: WebSocket): Waiter => ({
      deviceId: trusted.deviceId(state.getTags(socket)[0] ?? ""),
      send: (text) => socket.send(text),
      close: () => socket.close(1000, "replaced"),
    });
    this.#user = userContext(this.context, userId, { list: () => state.getWebSockets().map(waiterOf) });
    this.#rpc = userRpc(this.#user);
  }

  /**
   * Holds a `/sync` request for the gateway: a hibernating WebSocket, on which any message means "ask again". What came
   * before the socket was there is looked for here, so that no news falls between the question and the waiting.
   */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get("Upgrade") !== "websocket") return new Response(null, { status: 426 });
    const query = new URL(request.url).searchParams;
    const deviceId = trusted.deviceId(query.get("device") ?? "");
    closeWaiters(this.#user, deviceId);
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [deviceId]);
    if (shouldAskAgain(this.#user, deviceId, query.get("since") ?? "")) server.send("news");
    return new Response(null, { status: 101, webSocket: client });
  }

  protected override onAlarm(): Promise<void> {
    return onAlarm(this.#user);
  }

  assertAvailable(...args: Args<"assertAvailable">) {
    return this.#rpc.assertAvailable(...args);
  }
  register(...args: Args<"register">) {
    return this.#rpc.register(...args);
  }
  loginWithPassword(...args: Args<"loginWithPassword">) {
    return this.#rpc.loginWithPassword(...args);
  }
  checkPassword(...args: Args<"checkPassword">) {
    return this.#rpc.checkPassword(...args);
  }
  authenticate(...args: Args<"authenticate">) {
    return this.#rpc.authenticate(...args);
  }
  refresh(...args: Args<"refresh">) {
    return this.#rpc.refresh(...args);
  }
  logout(...args: Args<"logout">) {
    return this.#rpc.logout(...args);
  }
  logoutAll(...args: Args<"logoutAll">) {
    return this.#rpc.logoutAll(...args);
  }
  changePassword(...args: Args<"changePassword">) {
    return this.#rpc.changePassword(...args);
  }
  deactivate(...args: Args<"deactivate">) {
    return this.#rpc.deactivate(...args);
  }
  getDevices(...args: Args<"getDevices">) {
    return this.#rpc.getDevices(...args);
  }
  getDevice(...args: Args<"getDevice">) {
    return this.#rpc.getDevice(...args);
  }
  updateDevice(...args: Args<"updateDevice">) {
    return this.#rpc.updateDevice(...args);
  }
  deleteDevices(...args: Args<"deleteDevices">) {
    return this.#rpc.deleteDevices(...args);
  }
  getProfile(...args: Args<"getProfile">) {
    return this.#rpc.getProfile(...args);
  }
  setProfileField(...args: Args<"setProfileField">) {
    return this.#rpc.setProfileField(...args);
  }
  deleteProfileField(...args: Args<"deleteProfileField">) {
    return this.#rpc.deleteProfileField(...args);
  }
  getAccountData(...args: Args<"getAccountData">) {
    return this.#rpc.getAccountData(...args);
  }
  setAccountData(...args: Args<"setAccountData">) {
    return this.#rpc.setAccountData(...args);
  }
  moveFullyRead(...args: Args<"moveFullyRead">) {
    return this.#rpc.moveFullyRead(...args);
  }
  setRoomTag(...args: Args<"setRoomTag">) {
    return this.#rpc.setRoomTag(...args);
  }
  createFilter(...args: Args<"createFilter">) {
    return this.#rpc.createFilter(...args);
  }
  getFilter(...args: Args<"getFilter">) {
    return this.#rpc.getFilter(...args);
  }
  sendToDevice(...args: Args<"sendToDevice">) {
    return this.#rpc.sendToDevice(...args);
  }
  createOpenIdToken(...args: Args<"createOpenIdToken">) {
    return this.#rpc.createOpenIdToken(...args);
  }
  isOpenIdTokenGood(...args: Args<"isOpenIdTokenGood">) {
    return this.#rpc.isOpenIdTokenGood(...args);
  }
  getIgnoredUsers(...args: Args<"getIgnoredUsers">) {
    return this.#rpc.getIgnoredUsers(...args);
  }
  getJoinedRooms(...args: Args<"getJoinedRooms">) {
    return this.#rpc.getJoinedRooms(...args);
  }
  createRoom(...args: Args<"createRoom">) {
    return this.#rpc.createRoom(...args);
  }
  roomPositionAt(...args: Args<"roomPositionAt">) {
    return this.#rpc.roomPositionAt(...args);
  }
  sync(...args: Args<"sync">) {
    return this.#rpc.sync(...args);
  }
  roomAdvanced(...args: Args<"roomAdvanced">) {
    return this.#rpc.roomAdvanced(...args);
  }
  getMemberProfile(...args: Args<"getMemberProfile">) {
    return this.#rpc.getMemberProfile(...args);
  }
  roomForgotten(...args: Args<"roomForgotten">) {
    return this.#rpc.roomForgotten(...args);
  }
  exists(...args: Args<"exists">) {
    return this.#rpc.exists(...args);
  }
  depositToDevice(...args: Args<"depositToDevice">) {
    return this.#rpc.depositToDevice(...args);
  }
  rebuildDirectory(...args: Args<"rebuildDirectory">) {
    return this.#rpc.rebuildDirectory(...args);
  }
}
