/** The server's table of contents: every method that others may call on the actor of our own server name. */
import { type Reply, reply } from "../../shared/rpc/reply.ts";
import type { ServerRpc } from "../../shared/rpc/server.ts";
import { searchPublicRooms } from "../directory/search-rooms.ts";
import { searchUsers } from "../directory/search-users.ts";
import { networkOf } from "./address.ts";
import { createAlias, deleteAlias, getAlias, getAliasesOf, moveAliases } from "./aliases.ts";
import type { ServerContext } from "./context.ts";
import { rebuildDirectory } from "./directory.ts";
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
import { getServerKeys, getSigningKey } from "./signing-key.ts";
import { completeUiaStage, getUia, setUiaParam, startUia } from "./uia.ts";

/** The methods over one instance's context: the Durable Object and the simulator both call these. */
export function serverRpc(server: ServerContext): ServerRpc {
  // Only one actor may speak, and sign, for this server.
  if (server.serverName !== server.config.serverName) throw new Error("this actor is not our own server's");
  return { ...keysAndRegistration(server), ...uiaAndAliases(server), ...maintenance(server) };
}

type Registration = Pick<
  ServerRpc,
  | "getSigningKey"
  | "getServerKeys"
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
    getServerKeys: () => reply(() => getServerKeys(server)),
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
