/** A client's event: message, state or redaction. */
import { errors, MatrixError } from "../../shared/errors.ts";
import {
  type EventId,
  parseEventId,
  parseRoomAlias,
  type RoomAlias,
  serverNameOf,
  type UserId,
} from "../../shared/ids.ts";
import { field, type JsonObject, objectField, stringField } from "../../shared/json.ts";
import { aliasesIn } from "../../shared/matrix/content/canonical-alias.ts";
import { creatorsOf } from "../../shared/matrix/content/create.ts";
import { compileServerAcl, isServerAllowed } from "../../shared/matrix/server-acl.ts";
import type { SendEventInput } from "../../shared/rpc/room.ts";
import { admitLocalEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { trimTransactionsLater } from "./maintenance.ts";
import { sendMemberEvent } from "./membership.ts";
import { findNoUser } from "./power-level-users.ts";
import { currentPowerLevels } from "./redactions.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { RoomTransaction } from "./store/index.ts";

/**
 * Sends an event. A repeated transaction id answers with the event that the first request made.
 *
 * @throws MatrixError M_FORBIDDEN with the rule's reason, also for a room that does not exist; M_TOO_LARGE; M_BAD_JSON;
 *   M_NOT_FOUND when a redaction's target is unknown; M_BAD_ALIAS for aliases; M_INVALID_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid
 */
export async function sendEvent(room: RoomContext, input: SendEventInput): Promise<{ eventId: EventId }> {
  assertInRoom(room, input.sender);
  if (input.type === "m.room.member" && input.stateKey !== null) {
    return sendMemberEvent(room, { ...input, stateKey: input.stateKey });
  }
  assertPossible(room, input);
  if (input.type === "m.room.canonical_alias" && input.stateKey === "") await checkAliases(room, input);
  if (input.type === "m.room.server_acl" && input.stateKey === "") assertKeepsUs(room, input.content);
  const key = await fetchSigningKey(room);
  return commit(room, (tx) => {
    const earlier = findTransaction(tx, input);
    if (earlier !== null) return { eventId: earlier };
    const redacts = redactedBy(input);
    if (redacts !== null) assertMayRedact(tx, input, redacts);
    const eventId = admitLocalEvent(room, tx, key, { ...input, redacts });
    storeTransaction(room, tx, input, eventId);
    return { eventId };
  });
}

/** Says the same of a room that does not exist as of one that the user was never in. @throws MatrixError M_FORBIDDEN */
function assertInRoom(room: RoomContext, sender: UserId): void {
  if (room.store.memberships.find(sender) === null) throw errors.forbidden(`${sender} is not in the room`);
}

/**
 * What the rules refuse whoever sends it is the request's own fault, and no lack of power.
 * @throws MatrixError M_INVALID_PARAM, M_BAD_JSON
 */
function assertPossible(room: RoomContext, { type, stateKey, content }: SendEventInput): void {
  if (type === "m.room.create") throw errors.invalidParam("A room has one create event");
  if (type !== "m.room.power_levels" || stateKey !== "") return;
  const noUser = findNoUser(content, findCurrentState(room.store, "m.room.power_levels", "")?.event.content);
  if (noUser !== null) throw errors.badJson(`content.users: ${noUser} is not a user id`);
  const rules = room.store.room.rules();
  const create = findCurrentState(room.store, "m.room.create", "");
  if (create === null || !rules.creatorsHaveInfinitePower) return;
  const users = objectField(content, "users") ?? {};
  const creator = [...creatorsOf(create.event, rules)].find((userId) => Object.hasOwn(users, userId));
  if (creator !== undefined) throw errors.badJson(`content.users: ${creator} is a creator and has no level`);
}

/**
 * "The homeserver should identify a request as a retransmission if the transaction ID is the same as a previous request,
 * and the path of the HTTP request is the same"; besides, "for a single device".
 */
function scopeOf({ sender, deviceId, type, redacts }: SendEventInput): string {
  const path = redacts === null ? ["send", type] : ["redact", redacts];
  return JSON.stringify([sender, deviceId, ...path]);
}

function findTransaction(tx: RoomTransaction, input: SendEventInput): EventId | null {
  return input.txnId === null ? null : tx.transactions.find(scopeOf(input), input.txnId);
}

function storeTransaction(room: RoomContext, tx: RoomTransaction, input: SendEventInput, eventId: EventId): void {
  if (input.txnId === null) return;
  tx.transactions.insert({ scope: scopeOf(input), txnId: input.txnId, eventId, createdTs: room.clock.now() });
  trimTransactionsLater(room);
}

/** The event that a redaction names, be it by its own endpoint or in the content of an event sent as any other. */
function redactedBy(input: SendEventInput): EventId | null {
  if (input.type !== "m.room.redaction") return null;
  const redacts = input.redacts ?? parseEventId(stringField(input.content, "redacts") ?? "");
  if (redacts === null) throw errors.badJson("A redaction must name an event in content.redacts");
  return redacts;
}

/**
 * The redact level is no matter of the authorization rules: whoever has it may redact anything, everybody else what they
 * sent themselves.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#redactions
 */
function assertMayRedact(tx: RoomTransaction, { sender }: SendEventInput, redacts: EventId): void {
  const levels = currentPowerLevels(tx);
  const target = tx.events.byId(redacts);
  // Room versions that do not protect these from redaction would lose the room's version or open it to banned servers.
  if (target?.type === "m.room.create") throw errors.forbidden("A create event may not be redacted");
  if (target?.type === "m.room.server_acl") throw errors.forbidden("A server ACL may not be redacted");
  if (levels.ofUser(sender) >= levels.level("redact")) return;
  if (target === null) throw errors.notFound("The event to be redacted was not found");
  if (target.sender !== sender) throw errors.forbidden(`${sender} may not redact events of others`);
}

/** An ACL that shuts out this server could not be taken back by anybody here. @throws MatrixError M_UNKNOWN */
function assertKeepsUs(room: RoomContext, acl: JsonObject): void {
  if (isServerAllowed(compileServerAcl(acl), room.config.serverName)) return;
  throw errors.unknown("A server ACL must not shut out the server of its sender");
}

/**
 * "servers SHOULD ensure that any new aliases being listed in the event are valid per their grammar/syntax and that they
 * point to the room ID where the state event is to be sent."
 *
 * @throws MatrixError M_INVALID_PARAM, M_BAD_ALIAS
 */
async function checkAliases(room: RoomContext, { content, aliasesElsewhere = [] }: SendEventInput): Promise<void> {
  const others = field(content, "alt_aliases");
  if (others !== undefined && !Array.isArray(others)) throw errors.invalidParam("alt_aliases must be a list");
  const current = findCurrentState(room.store, "m.room.canonical_alias", "")?.event.content ?? {};
  const known = new Set(aliasesIn(current));
  for (const value of new Set(aliasesIn(content))) {
    if (known.has(value)) continue;
    const alias = typeof value === "string" ? parseRoomAlias(value) : null;
    if (alias === null) throw errors.invalidParam("An entry of m.room.canonical_alias is not a room alias");
    if (!(await pointsHere(room, alias, aliasesElsewhere)))
      throw errors.badAlias(`${alias} does not point to this room`);
  }
}

/** Aliases of other servers are looked up before the event comes here. */
async function pointsHere(room: RoomContext, alias: RoomAlias, elsewhere: readonly RoomAlias[]): Promise<boolean> {
  if (serverNameOf(alias) !== room.config.serverName) return elsewhere.includes(alias);
  try {
    const found = await room.actors.server(room.config.serverName).getAlias(alias);
    return found.roomId === room.roomId;
  } catch (thrown) {
    if (thrown instanceof MatrixError && thrown.errcode === "M_NOT_FOUND") return false;
    throw thrown;
  }
}
