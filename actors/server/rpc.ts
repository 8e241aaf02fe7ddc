/**
 * The table of contents of a server's actor. The actor under our own name holds the signing key, registration, aliases; the
 * actor under another server's name holds what is known of that server, and what is owed to it (`peer-rpc.ts`).
 */
import { type Reply, reply } from "../../shared/rpc/reply.ts";
import type { ServerRpc } from "../../shared/rpc/server.ts";
import { searchPublicRooms } from "../directory/search-rooms.ts";
import { searchUsers } from "../directory/search-users.ts";
import { networkOf } from "./address.ts";
import { createAlias, deleteAlias, getAlias, getAliasesOf, moveAliases } from "./aliases.ts";
import type { ServerContext } from "./context.ts";
import { rebuildDirectory } from "./directory.ts";
import { peerRpc } from "./peer-rpc.ts";
import {
  admitRegistration,
  createRegistrationNonce,
  createRegistrationToken,
  deleteRegistrationToken,
  getRegistrationToken,
  getRegistrationTokens,
  isRegistrationTokenValid,
  updateRegistrationToken,
  useRegistrationNonce,
} from "./registration-tokens.ts";
import { getOwnVerifyKeys, getServerKeys, getSigningKey, rotateSigningKey } from "./signing-key.ts";
import { completeUiaStage, getUia, setUiaParam, startUia } from "./uia.ts";

/**
 * The methods over one instance's context: the Durable Object and the simulator both call these. Only one actor may speak,
 * and sign, for this server: what is asked of the wrong one of the two kinds is a bug of the caller's.
 */
export function serverRpc(server: ServerContext): ServerRpc {
  const own = { ...keysAndRegistration(server), ...uiaAndAliases(server), ...maintenance(server) };
  const peer = peerRpc(server);
  const isOwn = server.serverName === server.config.serverName;
  return isOwn ? { ...misplaced(peer, server), ...own } : { ...misplaced(own, server), ...peer };
}

/** The same methods, each of which throws. */
function misplaced<Methods extends object>(methods: Methods, { serverName }: ServerContext): Methods {
  const refused = Object.keys(methods).map((method) => {
    const refuse = (): never => {
      throw new Error(`${method} is not to be asked of the actor of ${serverName}`);
    };
    return [method, refuse];
  });
  return Object.assign({ ...methods }, Object.fromEntries(refused));
}

type Registration = Pick<
  ServerRpc,
  | "getSigningKey"
  | "rotateSigningKey"
  | "getServerKeys"
  | "getVerifyKeys"
  | "limitAddress"
  | "admitRegistration"
  | "isRegistrationTokenValid"
  | "createRegistrationToken"
  | "updateRegistrationToken"
  | "getRegistrationTokens"
  | "getRegistrationToken"
  | "deleteRegistrationToken"
  | "createRegistrationNonce"
  | "useRegistrationNonce"
>;

function keysAndRegistration(server: ServerContext): Registration {
  return {
    getSigningKey: () => reply(() => getSigningKey(server)),
    rotateSigningKey: () => reply(() => rotateSigningKey(server)),
    getServerKeys: () => reply(() => getServerKeys(server)),
    getVerifyKeys: ({ keyIds }) => reply(() => getOwnVerifyKeys(server, keyIds)),
    limitAddress: (limit, address) => done(() => server.memory.limiter.count(limit, networkOf(address))),
    admitRegistration: (input) => done(() => admitRegistration(server, input)),
    isRegistrationTokenValid: (token) => reply(() => isRegistrationTokenValid(server, token)),
    createRegistrationToken: (input) => reply(() => createRegistrationToken(server, input)),
    updateRegistrationToken: (input) => reply(() => updateRegistrationToken(server, input)),
    getRegistrationTokens: () => reply(() => getRegistrationTokens(server)),
    getRegistrationToken: (token) => reply(() => getRegistrationToken(server, token)),
    deleteRegistrationToken: (token) => done(() => deleteRegistrationToken(server, token)),
    createRegistrationNonce: () => reply(() => createRegistrationNonce(server)),
    useRegistrationNonce: (nonce) => reply(() => useRegistrationNonce(server, nonce)),
  };
}

type UiaAndAliases = Pick<
  ServerRpc,
  | "startUia"
  | "completeUiaStage"
  | "getUia"
  | "setUiaParam"
  | "createAlias"
  | "getAlias"
  | "deleteAlias"
  | "getAliasesOf"
  | "moveAliases"
>;

function uiaAndAliases(server: ServerContext): UiaAndAliases {
  return {
    startUia: (binding) => reply(() => startUia(server, binding)),
    completeUiaStage: (input) => reply(() => completeUiaStage(server, input)),
    getUia: (session) => reply(() => getUia(server, session)),
    setUiaParam: (session, name, value) => done(() => setUiaParam(server, session, name, value)),
    createAlias: (input) => done(() => createAlias(server, input)),
    getAlias: (alias) => reply(() => getAlias(server, alias)),
    deleteAlias: (input) => done(() => deleteAlias(server, input)),
    getAliasesOf: (roomId) => reply(() => getAliasesOf(server, roomId)),
    moveAliases: (input) => reply(() => moveAliases(server, input)),
  };
}

type Maintenance = Pick<ServerRpc, "noteRoom" | "rebuildDirectory" | "searchPublicRooms" | "searchUsers">;

function maintenance(server: ServerContext): Maintenance {
  return {
    noteRoom: (roomId) => done(() => server.store.transaction((tx) => tx.register.addRoom(roomId))),
    rebuildDirectory: () => reply(() => rebuildDirectory(server)),
    searchPublicRooms: (input) => reply(() => searchPublicRooms(server.directory, input)),
    searchUsers: (input) => reply(() => searchUsers(server.directory, input)),
  };
}

/** Answers with nothing but success. */
function done(body: () => void): Promise<Reply<null>> {
  return reply(() => {
    body();
    return null;
  });
}
