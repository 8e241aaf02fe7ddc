import { serverMigrations } from "../../schema/server/index.ts";
import { parseServerName } from "../../shared/ids.ts";
import type { ServerRpc } from "../../shared/rpc/server.ts";
import { Actor, type Env } from "../actor.ts";
import { type ServerContext, serverContext } from "./context.ts";
import { onServerAlarm } from "./maintenance.ts";
import { serverRpc } from "./rpc.ts";

type Args<Method extends keyof ServerRpc> = Parameters<ServerRpc[Method]>;

/**
 * A server: ours (signing key, registration, user-interactive authentication, room aliases, the register of all that lives
 * here) or another (its keys and route, its transactions, what is owed to it). The platform calls only what the class
 * itself declares, hence a line for each method.
 */
export class ServerActor extends Actor implements ServerRpc {
  readonly #server: ServerContext;
  readonly #rpc: ServerRpc;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env, serverMigrations);
    const serverName = parseServerName(this.name);
    if (serverName === null) throw new Error("a server's actor is named by a server name");
    this.#server = serverContext(this.context, serverName);
    this.#rpc = serverRpc(this.#server);
  }

  protected override onAlarm(): Promise<void> {
    return onServerAlarm(this.#server);
  }

  getSigningKey(...args: Args<"getSigningKey">) {
    return this.#rpc.getSigningKey(...args);
  }
  rotateSigningKey(...args: Args<"rotateSigningKey">) {
    return this.#rpc.rotateSigningKey(...args);
  }
  getServerKeys(...args: Args<"getServerKeys">) {
    return this.#rpc.getServerKeys(...args);
  }
  limitAddress(...args: Args<"limitAddress">) {
    return this.#rpc.limitAddress(...args);
  }
  admitRegistration(...args: Args<"admitRegistration">) {
    return this.#rpc.admitRegistration(...args);
  }
  isRegistrationTokenValid(...args: Args<"isRegistrationTokenValid">) {
    return this.#rpc.isRegistrationTokenValid(...args);
  }
  createRegistrationToken(...args: Args<"createRegistrationToken">) {
    return this.#rpc.createRegistrationToken(...args);
  }
  updateRegistrationToken(...args: Args<"updateRegistrationToken">) {
    return this.#rpc.updateRegistrationToken(...args);
  }
  getRegistrationTokens(...args: Args<"getRegistrationTokens">) {
    return this.#rpc.getRegistrationTokens(...args);
  }
  getRegistrationToken(...args: Args<"getRegistrationToken">) {
    return this.#rpc.getRegistrationToken(...args);
  }
  deleteRegistrationToken(...args: Args<"deleteRegistrationToken">) {
    return this.#rpc.deleteRegistrationToken(...args);
  }
  createRegistrationNonce(...args: Args<"createRegistrationNonce">) {
    return this.#rpc.createRegistrationNonce(...args);
  }
  useRegistrationNonce(...args: Args<"useRegistrationNonce">) {
    return this.#rpc.useRegistrationNonce(...args);
  }
  startUia(...args: Args<"startUia">) {
    return this.#rpc.startUia(...args);
  }
  completeUiaStage(...args: Args<"completeUiaStage">) {
    return this.#rpc.completeUiaStage(...args);
  }
  getUia(...args: Args<"getUia">) {
    return this.#rpc.getUia(...args);
  }
  setUiaParam(...args: Args<"setUiaParam">) {
    return this.#rpc.setUiaParam(...args);
  }
  createAlias(...args: Args<"createAlias">) {
    return this.#rpc.createAlias(...args);
  }
  getAlias(...args: Args<"getAlias">) {
    return this.#rpc.getAlias(...args);
  }
  deleteAlias(...args: Args<"deleteAlias">) {
    return this.#rpc.deleteAlias(...args);
  }
  moveAliases(...args: Args<"moveAliases">) {
    return this.#rpc.moveAliases(...args);
  }
  getAliasesOf(...args: Args<"getAliasesOf">) {
    return this.#rpc.getAliasesOf(...args);
  }
  noteRoom(...args: Args<"noteRoom">) {
    return this.#rpc.noteRoom(...args);
  }
  rebuildDirectory(...args: Args<"rebuildDirectory">) {
    return this.#rpc.rebuildDirectory(...args);
  }
  searchPublicRooms(...args: Args<"searchPublicRooms">) {
    return this.#rpc.searchPublicRooms(...args);
  }
  searchUsers(...args: Args<"searchUsers">) {
    return this.#rpc.searchUsers(...args);
  }
  fetchRoute(...args: Args<"fetchRoute">) {
    return this.#rpc.fetchRoute(...args);
  }
  noteContact(...args: Args<"noteContact">) {
    return this.#rpc.noteContact(...args);
  }
  getVerifyKeys(...args: Args<"getVerifyKeys">) {
    return this.#rpc.getVerifyKeys(...args);
  }
  getCallerKeys(...args: Args<"getCallerKeys">) {
    return this.#rpc.getCallerKeys(...args);
  }
  getNotarizedKeys(...args: Args<"getNotarizedKeys">) {
    return this.#rpc.getNotarizedKeys(...args);
  }
  receiveTransaction(...args: Args<"receiveTransaction">) {
    return this.#rpc.receiveTransaction(...args);
  }
  noteAlive(...args: Args<"noteAlive">) {
    return this.#rpc.noteAlive(...args);
  }
  fetchHistory(...args: Args<"fetchHistory">) {
    return this.#rpc.fetchHistory(...args);
  }
  noteSharedRoom(...args: Args<"noteSharedRoom">) {
    return this.#rpc.noteSharedRoom(...args);
  }
  getSharedRooms(...args: Args<"getSharedRooms">) {
    return this.#rpc.getSharedRooms(...args);
  }
  roomAdvanced(...args: Args<"roomAdvanced">) {
    return this.#rpc.roomAdvanced(...args);
  }
  transactionEnded(...args: Args<"transactionEnded">) {
    return this.#rpc.transactionEnded(...args);
  }
  sendEdu(...args: Args<"sendEdu">) {
    return this.#rpc.sendEdu(...args);
  }
}
