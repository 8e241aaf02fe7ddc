/** What the actor of another server's name answers: all that this server knows of that one, and owes it. */
import { type Reply, reply } from "../../shared/rpc/reply.ts";
import type { PeerServer } from "../../shared/rpc/server-peer.ts";
import { getCallerKeys } from "./caller-keys.ts";
import type { ServerContext } from "./context.ts";
import { fetchHistory } from "./fetch-history.ts";
import { receiveTransaction } from "./inbox.ts";
import { getNotarizedKeys } from "./notarized-keys.ts";
import { noteContact } from "./noted-contact.ts";
import { noteAlive, roomAdvanced, sendEdu, transactionEnded } from "./outbox.ts";
import { fetchRoute } from "./route.ts";
import { getSharedRooms, noteSharedRoom } from "./shared-rooms.ts";
import { getVerifyKeys } from "./verify-keys.ts";

/** The methods over one instance's context. */
export function peerRpc(server: ServerContext): PeerServer {
  return {
    fetchRoute: (input) => reply(() => fetchRoute(server, input)),
    noteContact: (contact) => done(() => noteContact(server, contact)),
    getVerifyKeys: (wanted) => reply(() => getVerifyKeys(server, wanted)),
    getCallerKeys: (keyIds) => reply(() => getCallerKeys(server, keyIds)),
    getNotarizedKeys: (wanted) => reply(() => getNotarizedKeys(server, wanted)),
    receiveTransaction: (transaction) => reply(() => receiveTransaction(server, transaction)),
    noteAlive: () => done(() => noteAlive(server)),
    fetchHistory: (wanted) => reply(() => fetchHistory(server, wanted)),
    noteSharedRoom: (roomId) => done(() => noteSharedRoom(server, roomId)),
    getSharedRooms: (limit) => reply(() => getSharedRooms(server, limit)),
    roomAdvanced: (wake) => reply(() => roomAdvanced(server, wake)),
    transactionEnded: (end) => done(() => transactionEnded(server, end)),
    sendEdu: (input) => done(() => sendEdu(server, input)),
  };
}

/** Answers with nothing but success. */
function done(body: () => void): Promise<Reply<null>> {
  return reply(() => {
    body();
    return null;
  });
}
