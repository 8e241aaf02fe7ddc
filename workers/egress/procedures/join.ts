/**
 * Joining a room by way of the servers that are in it.
 * @see https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { errors, MatrixError } from "../../../shared/errors.ts";
import { parseAnswer, sendMemberRequest } from "../../../shared/federation-api/handshakes.ts";
import { fetchKeyRing } from "../../../shared/federation-api/key-ring.ts";
import { type EventId, parseServerName, type ServerName } from "../../../shared/ids.ts";
import { isObject, type JsonObject, objectField, withFields } from "../../../shared/json.ts";
import type { RemoteMembership } from "../../../shared/rpc/egress-membership.ts";
import type { OmittedMembers } from "../../../shared/rpc/room-joining.ts";
import { readText } from "../bounded-body.ts";
import type { EgressContext } from "../context.ts";
import { openPeer } from "../request.ts";
import { inTurn, isUnknownEndpoint, NextServer, refusalOf } from "./candidates.ts";
import { prepareBy, type ReadyMember, type Wish } from "./handshake.ts";
import { streamState } from "./join-state.ts";
import { sourcesOf } from "./keys-of-answer.ts";
import type { StateBatch } from "./state-batches.ts";

/** How often it is looked anew whether another server is needed at all. */
const maxRounds = 3;
/** "denote that the joining server should try a different server", and what only that server does not know. */
const failover: ReadonlySet<string> = new Set(["M_NOT_FOUND", "M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN"]);

/** What the room says to a worker whose place another has taken. */
const conflict = errors.conflict("").status;

/** A join that holds the room's lease. */
interface Join extends RemoteMembership {
  readonly joinId: string;
  /** Whether the room can do without all of its members for now. */
  readonly mayOmitMembers: boolean;
  /** Whether some server may have taken the join, though nothing came of it here. */
  mayBeTaken: boolean;
}

/**
 * Joins by way of one of the servers, in turn; or here, when another user's join has brought the room meanwhile.
 *
 * @throws MatrixError what a server says of the room or the user; M_UNSUPPORTED_ROOM_VERSION; M_NOT_FOUND when no server is
 *   known; M_UNKNOWN (502) when none could help
 */
export async function joinRoom(egress: EgressContext, input: RemoteMembership): Promise<{ eventId: EventId }> {
  const { roomId, userId, reason, content } = input;
  const room = egress.actors.room(roomId);
  for (let round = 0; round < maxRounds; round += 1) {
    const begun = await room.beginJoin(userId);
    if (begun !== null) {
      const joined = await joinElsewhere(egress, { ...input, ...begun, mayBeTaken: false });
      if (joined !== null) return joined;
      continue;
    }
    const join = { action: "join", requester: userId, target: userId, reason, content } as const;
    const here = await room.changeMembership({ ...join });
    if (here.eventId !== null) return here;
  }
  throw errors.badGateway("The room could not be joined");
}

/** @returns null when another worker has taken this one's place: whoever waits for the join waits for that one then */
async function joinElsewhere(egress: EgressContext, join: Join): Promise<{ eventId: EventId } | null> {
  try {
    const what = { action: "join the room", servers: join.servers };
    return await inTurn(egress, what, (server) => joinBy(egress, join, server));
  } catch (thrown) {
    const { joinId, mayBeTaken } = join;
    await egress.actors.room(join.roomId).dropJoin({ joinId, mayBeTaken });
    if (thrown instanceof MatrixError && thrown.status === conflict) return null;
    throw thrown;
  }
}

async function joinBy(egress: EgressContext, join: Join, server: ServerName): Promise<{ eventId: EventId }> {
  const { joinId, roomId, userId, reason, content, servers } = join;
  const wish: Wish = { membership: "join", roomId, userId, reason, content };
  const by = { server, join: { joinId, servers: [...servers] }, failover };
  const member = await prepareBy(egress, wish, by);
  join.mayBeTaken = true;
  const { signed, omitted } = await sendJoin(egress, join, { server, member });
  const keys = await fetchKeyRing(sourcesOf(egress), [signed]);
  const room = egress.actors.room(roomId);
  for (;;) {
    const progress = await room.finishJoin({ joinId, pdu: JSON.stringify(signed), keys, omitted });
    if (progress.kind === "joined") return { eventId: progress.eventId };
    if (progress.kind !== "failed") continue;
    if (!progress.isRefused) throw new NextServer(progress.reason);
    join.mayBeTaken = false;
    throw new NextServer(progress.reason, errors.forbidden("This server knows why you may not join the room"));
  }
}

/** Sends the join, and hands the room what comes back. @returns the join with all signatures that it needs */
async function sendJoin(
  egress: EgressContext,
  join: Join,
  { server, member }: { server: ServerName; member: ReadyMember },
): Promise<{ signed: JsonObject; omitted: OmittedMembers | null }> {
  const { roomId, joinId } = join;
  const room = egress.actors.room(roomId);
  const sent = { membership: "join", roomId, eventId: member.eventId, pdu: member.pdu } as const;
  for (const version of ["v2", "v1"] as const) {
    const omitMembers = version === "v2" && join.mayOmitMembers;
    const answer = await openPeer(egress, sendMemberRequest(server, { ...sent, version, omitMembers }));
    if (answer.kind === "unreachable") throw new NextServer(answer.reason);
    if (answer.status === 200) {
      const give = (batch: StateBatch) => room.takeJoinState({ ...batch, joinId });
      const facts = await streamState(egress, answer, { server, give });
      if (facts.membersOmitted && !omitMembers) throw new NextServer("it left members out that it was to tell");
      const omitted = facts.membersOmitted ? { server, serversInRoom: serversIn(facts.serversInRoom) } : null;
      return { signed: withGrant(member, facts.event, server), omitted };
    }
    const text = await refusalText(answer.body);
    if (version === "v2" && isUnknownEndpoint(answer.status, text)) continue;
    if (answer.status < 500) join.mayBeTaken = false;
    throw refusalOf(answer.status, text, failover);
  }
  throw new NextServer("it does not know how to be joined by way of");
}

/** "Required if members_omitted is true". @throws NextServer when there are none: nobody would be sent what is said here */
function serversIn(text: string | null): ServerName[] {
  const list = text === null ? undefined : parseAnswer(text);
  const servers = Array.isArray(list)
    ? list.map((name) => (typeof name === "string" ? parseServerName(name) : null))
    : [];
  const named = servers.filter((server) => server !== null);
  if (named.length === 0) throw new NextServer("it left members out, and did not say which servers are in the room");
  return named;
}

/** A refusal is short; one that is not says nothing. */
async function refusalText(body: ReadableStream<Uint8Array>): Promise<string> {
  try {
    return await readText(body);
  } catch {
    return "";
  }
}

/**
 * Our own event, with the other server's signature where it lets the user in: nothing else is taken from what it returned.
 * @throws NextServer when it has not signed
 */
function withGrant(member: ReadyMember, returned: string | null, server: ServerName): JsonObject {
  const own = parseAnswer(member.pdu);
  if (own === undefined || !isObject(own)) throw new Error("an event of our own making is not JSON");
  if (member.authoriser === null) return own;
  const theirs = returned === null ? undefined : parseAnswer(returned);
  const signatures = theirs !== undefined && isObject(theirs) ? objectField(theirs, "signatures") : null;
  const granted = signatures === null ? null : objectField(signatures, server);
  if (granted === null) throw new NextServer("it did not sign the join that it is to allow");
  return withFields(own, { signatures: withFields(objectField(own, "signatures") ?? {}, { [server]: granted }) });
}
