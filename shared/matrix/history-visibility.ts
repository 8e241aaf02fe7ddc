import type { HistoryVisibility } from "./content/history-visibility.ts";
import type { Membership } from "./content/member.ts";

/** What decides whether a user may see an event. */
export interface VisibilityFacts {
  /** The room's history visibility in the state before the event. */
  readonly visibility: HistoryVisibility;
  /** For an `m.room.history_visibility` event, what it sets; null for any other. */
  readonly visibilityAfter: HistoryVisibility | null;
  /** The user's membership in the state before the event; `leave` where there is none. */
  readonly membership: Membership;
  /** For the user's own `m.room.member` event, what it sets; null for any other. */
  readonly membershipAfter: Membership | null;
  /** Whether the user joined at any point after the event was sent: true for a member of now who was none then. */
  readonly hasJoinedSince: boolean;
}

/**
 * Whether a user may see an event, by the state of the room at that event. Whether they may ask at all (a member, or
 * somebody who left and asks for what came before) is for the caller to decide.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-10
 */
export function visibleToUser(facts: VisibilityFacts): boolean {
  // "the user should be allowed to see the event if the history_visibility before or after the event would allow them to
  // see it" and, for their own member event, "if their membership before or after the event would".
  const visibilities = [facts.visibility, facts.visibilityAfter ?? facts.visibility];
  const memberships = [facts.membership, facts.membershipAfter ?? facts.membership];
  return visibilities.some((visibility) =>
    memberships.some((membership) => isVisible(visibility, membership, facts.hasJoinedSince)),
  );
}

function isVisible(visibility: HistoryVisibility, membership: Membership, hasJoinedSince: boolean): boolean {
  // 1. "If the history_visibility was set to world_readable, allow."
  if (visibility === "world_readable") return true;
  // 2. "If the user's membership was join, allow."
  if (membership === "join") return true;
  // 3. "If history_visibility was set to shared, and the user joined the room at any point after the event was sent, allow."
  if (visibility === "shared" && hasJoinedSince) return true;
  // 4. "If the user's membership was invite, and the history_visibility was set to invited, allow." 5. "Otherwise, deny."
  return membership === "invite" && visibility === "invited";
}
