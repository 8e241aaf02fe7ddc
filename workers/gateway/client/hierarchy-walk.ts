/** Walking through a space and the rooms that it lists, which this server or others know. */
import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { fetchHierarchy, type RemoteSummary } from "../../../shared/federation-api/space-hierarchy.ts";
import { parseRoomId, type RoomId, type ServerName, type UserId } from "../../../shared/ids.ts";
import { field, type JsonObject, objectField, stringField, withFields } from "../../../shared/json.ts";
import { compareChildren, listedChild } from "../../../shared/matrix/content/space-child.ts";
import type { Membership } from "../../../shared/rpc/room.ts";
import type { RoomDescription, SpaceChild } from "../../../shared/rpc/room-spaces.ts";

/** Rooms that one walk looks at, at most, and requests to other servers that it makes. */
const maxVisited = 500;
const maxRequests = 30;
/** Servers that are asked for one room, at most. */
const maxServers = 3;

/** How a walk is bounded by the client. */
export interface HierarchyOptions {
  readonly suggestedOnly: boolean;
  readonly maxDepth: number;
}

/** A room as the user may see it; membership null: they have none. */
export interface DescribedRoom extends RoomDescription {
  readonly membership: Membership | null;
}

/** A room that is still to be looked at. */
interface Pending {
  readonly roomId: RoomId;
  readonly depth: number;
  readonly via: readonly ServerName[];
}

/** "Paginates over the space tree in a depth-first manner to locate child rooms of a given space." */
export class HierarchyWalk {
  readonly #services: Services;
  readonly #userId: UserId;
  readonly #options: HierarchyOptions;
  /** What other servers have said of rooms that they were not asked for. */
  readonly #told = new Map<RoomId, RemoteSummary>();
  readonly #inaccessible = new Set<string>();
  #requestsLeft = maxRequests;

  constructor(services: Services, userId: UserId, options: HierarchyOptions) {
    this.#services = services;
    this.#userId = userId;
    this.#options = options;
  }

  /**
   * The first rooms of the tree, each once, in the wire's form.
   * @throws MatrixError M_FORBIDDEN for a root that the user can neither join nor read
   */
  async from(root: RoomId, count: number): Promise<{ rooms: JsonObject[]; isComplete: boolean }> {
    const rooms: JsonObject[] = [];
    const seen = new Set<RoomId>([root]);
    const pending: Pending[] = [{ roomId: root, depth: 0, via: [] }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (rooms.length >= count) return { rooms, isComplete: false };
      const { depth } = next;
      const described = await this.describe(next);
      if (described === null) {
        if (depth === 0) throw errors.forbidden("You are not allowed to view this room");
        continue;
      }
      const children = described.children.filter((child) => !this.#options.suggestedOnly || child.isSuggested);
      rooms.push(withFields(described.summary, { children_state: children.map((child) => child.event) }));
      if (depth >= this.#options.maxDepth) continue;
      // The last that is put there is taken first.
      for (const { roomId, via } of children.toReversed()) {
        if (seen.has(roomId) || seen.size >= maxVisited) continue;
        seen.add(roomId);
        pending.push({ roomId, depth: depth + 1, via });
      }
    }
    return { rooms, isComplete: true };
  }

  /**
   * One room, and what the user is in it.
   * @returns null: the user can neither join nor read the room, or nobody knows it.
   */
  async describe({ roomId, via }: Pick<Pending, "roomId" | "via">): Promise<DescribedRoom | null> {
    const { actors } = this.#services;
    const shown = await actors.room(roomId).describeRoom({ kind: "user", userId: this.#userId });
    if (shown.kind === "open") return { ...shown.description, membership: shown.membership };
    if (shown.kind === "closed" || this.#inaccessible.has(roomId)) return null;
    const found = await this.#ask(roomId, via);
    if (found === null) return null;
    const { description, summary } = found;
    const { membership } = shown;
    return membership === "invite" || (await this.#isOpen(summary)) ? { ...description, membership } : null;
  }

  /** What others know of a room that this server is not in. */
  async #ask(roomId: RoomId, via: readonly ServerName[]): Promise<RemoteRoom | null> {
    const told = this.#told.get(roomId);
    // Of what is no space, there is nothing more to be known.
    if (told !== undefined && told.room_type !== "m.space") return remoteRoom(told, []);
    const { config, egress } = this.#services;
    for (const server of via.filter((name) => mayTalkTo(config, name)).slice(0, maxServers)) {
      this.#requestsLeft -= 1;
      if (this.#requestsLeft < 0) break;
      const { suggestedOnly } = this.#options;
      const asked = await fetchHierarchy(egress, server, { roomId, suggestedOnly });
      if (!asked.ok) continue;
      const { room, childrenState, children, inaccessible } = asked.value;
      for (const child of children) this.#told.set(child.room_id, child);
      for (const child of inaccessible) this.#inaccessible.add(child);
      return remoteRoom(room, childrenOf(childrenState));
    }
    return told === undefined ? null : remoteRoom(told, []);
  }

  /** The server that told us of the room knows who of us may join it only as far as it is told. */
  async #isOpen({ join_rule: joinRule, world_readable: isReadable, ...room }: RemoteSummary): Promise<boolean> {
    if (isReadable) return true;
    switch (joinRule ?? "public") {
      case "public":
      case "knock":
      case "knock_restricted":
        return true;
      case "restricted":
        return await this.#isInAny(room.allowed_room_ids ?? []);
      default:
        return false;
    }
  }

  async #isInAny(roomIds: readonly string[]): Promise<boolean> {
    const rooms = new Set(await this.#services.actors.user(this.#userId).getJoinedRooms());
    return roomIds.some((text) => {
      const roomId = parseRoomId(text);
      return roomId !== null && rooms.has(roomId);
    });
  }
}

/** A room as another server has described it. */
interface RemoteRoom {
  readonly summary: RemoteSummary;
  readonly description: RoomDescription;
}

function remoteRoom(summary: RemoteSummary, children: SpaceChild[]): RemoteRoom {
  return { summary, description: { summary: summaryOf(summary), children } };
}

function summaryOf(room: RemoteSummary): JsonObject {
  const { allowed_room_ids: allowed, ...rest } = room;
  const summary: JsonObject = {};
  for (const [key, value] of Object.entries(rest)) if (value !== undefined && value !== null) summary[key] = value;
  return allowed === undefined || allowed === null ? summary : { ...summary, allowed_room_ids: allowed };
}

/** The rooms that a space of another server lists, of events whatever their shape. */
function childrenOf(events: readonly JsonObject[]): SpaceChild[] {
  const children = events.flatMap((event) => {
    const [content, sender] = [objectField(event, "content"), stringField(event, "sender")];
    const [stateKey, ts] = [stringField(event, "state_key"), field(event, "origin_server_ts")];
    const child = content === null ? null : listedChild(stateKey, content);
    if (child === null || content === null || sender === null || typeof ts !== "number") return [];
    if (stringField(event, "type") !== "m.space.child") return [];
    const stripped = { type: "m.space.child", state_key: child.roomId, content, sender, origin_server_ts: ts };
    return [{ ...child, originServerTs: ts, event: stripped }];
  });
  return children.sort(compareChildren);
}
