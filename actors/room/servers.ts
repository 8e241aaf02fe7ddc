/**
 * Which other servers are in the room, and when: those that have a joined user in the current state. What this server makes
 * while another is in the room is for that server; the outbox (`outbound.ts`) gives it out by these times.
 */
import { type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { Membership } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import type { RoomTransaction } from "./store/index.ts";

/** How an event changed a user's membership. */
export interface MemberMove {
  readonly userId: UserId;
  readonly before: Membership | null;
  readonly after: Membership;
}

/** Users of another server who were not known, and now have a membership. */
export interface NewMembers {
  readonly server: ServerName;
  readonly membership: Membership;
  readonly count: number;
}

/** How an event changed memberships: of users one by one or, where nothing was known of them, by their servers. */
export interface MembershipMoves {
  readonly moves: readonly MemberMove[];
  readonly newMembers: readonly NewMembers[];
}

/** How an event changed which servers are in the room. */
export interface ServerMoves {
  readonly arrived: readonly ServerName[];
  /** Those of which nobody is joined any more. */
  readonly gone: readonly ServerName[];
  /** Those that are not in the room, but must be given this one event. */
  readonly visited: readonly ServerName[];
}

/**
 * Whether an event of this server's making is for any other server: for those in the room, or the one of a user who is not
 * in it yet. To be asked before the event changes the current state: its last word goes to those whom it puts out.
 */
export function isForServers(room: RoomContext, tx: RoomTransaction, event: MatrixEvent): boolean {
  if (!room.config.federation) return false;
  if (tx.servers.isAnyIn()) return true;
  const { type, stateKey } = event;
  return type === "m.room.member" && stateKey !== null && !stateKey.endsWith(`:${room.config.serverName}`);
}

/**
 * Stores what changed memberships mean for the servers of the users.
 *
 * @param at `isSent`: the event that brought the changes is for other servers, and sent by this one.
 */
export function followServers(
  room: RoomContext,
  tx: RoomTransaction,
  { moves, newMembers }: MembershipMoves,
  at: { streamPosition: number; isSent: boolean },
): ServerMoves {
  const remote = moves.filter(({ userId }) => serverNameOf(userId) !== room.config.serverName);
  const changes = new Map<ServerName, number>();
  for (const { server, membership, count } of newMembers) {
    if (membership === "join") changes.set(server, (changes.get(server) ?? 0) + count);
  }
  for (const { userId, before, after } of remote) {
    const change = Number(after === "join") - Number(before === "join");
    const server = serverNameOf(userId);
    if (change !== 0) changes.set(server, (changes.get(server) ?? 0) + change);
  }
  const arrived: ServerName[] = [];
  const gone: ServerName[] = [];
  for (const [server, change] of changes) {
    const stay = tx.servers.findStay(server);
    const joined = (stay?.joinedMembers ?? 0) + change;
    if (stay === null && joined > 0) {
      tx.servers.open(server, at.streamPosition, joined);
      arrived.push(server);
    } else if (stay !== null && joined <= 0) {
      tx.servers.close(stay, at.streamPosition);
      gone.push(server);
    } else if (stay !== null && change !== 0) tx.servers.setJoinedMembers(stay, joined);
  }
  return { arrived, gone, visited: at.isSent ? visits(tx, remote, at.streamPosition) : [] };
}

/** An invitation that is withdrawn, or a knock that is turned down: the user's server cannot learn of it otherwise. */
function visits(tx: RoomTransaction, moves: readonly MemberMove[], streamPosition: number): ServerName[] {
  const visited = new Set<ServerName>();
  for (const { userId, before, after } of moves) {
    const server = serverNameOf(userId);
    const wasExpected = before === "invite" || before === "knock";
    if (!wasExpected || (after !== "leave" && after !== "ban") || tx.servers.isIn(server)) continue;
    tx.servers.insertVisit(server, streamPosition);
    visited.add(server);
  }
  return [...visited];
}
