import { parseRoomId, parseServerName, type RoomId, type ServerName } from "../../ids.ts";
import { field, type JsonObject, stringField } from "../../json.ts";

/** A room that a space lists. @see https://spec.matrix.org/v1.19/client-server-api/#mspacechild */
export interface ListedChild {
  readonly roomId: RoomId;
  /** Servers that may know the room. */
  readonly via: readonly ServerName[];
  readonly isSuggested: boolean;
  /** Null: none, or one that is not valid. */
  readonly order: string | null;
}

/** Servers of one child that are looked at. */
const maxVia = 20;
/** "ASCII characters within the range \x20 (space) and \x7E (~), inclusive. Must not exceed 50 characters." */
const validOrder = /^[\x20-\x7E]{1,50}$/;

/**
 * The child that a state event of type `m.space.child` lists; null when it lists none: without a valid `via`, "the child
 * room is not considered to be part of the space".
 */
export function listedChild(stateKey: string | null, content: JsonObject): ListedChild | null {
  const roomId = parseRoomId(stateKey ?? "");
  const via = field(content, "via");
  if (roomId === null || !Array.isArray(via)) return null;
  const servers = via
    .slice(0, maxVia)
    .flatMap((text) => (typeof text === "string" ? (parseServerName(text) ?? []) : []));
  if (servers.length === 0) return null;
  const order = stringField(content, "order");
  return {
    roomId,
    via: servers,
    isSuggested: field(content, "suggested") === true,
    order: order !== null && validOrder.test(order) ? order : null,
  };
}

/** What the order of a space's children is decided by. */
export interface OrderedChild {
  readonly roomId: RoomId;
  readonly order: string | null;
  readonly originServerTs: number;
}

/**
 * Compares children: by `order` where they have one, which comes first; then by when they were added; then by room id.
 * @see https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space
 */
export function compareChildren(left: OrderedChild, right: OrderedChild): number {
  if (left.order !== right.order) {
    if (left.order === null) return 1;
    if (right.order === null) return -1;
    return left.order < right.order ? -1 : 1;
  }
  if (left.originServerTs !== right.originServerTs) return left.originServerTs - right.originServerTs;
  return left.roomId < right.roomId ? -1 : left.roomId > right.roomId ? 1 : 0;
}
