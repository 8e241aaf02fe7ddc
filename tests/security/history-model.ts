/**
 * Who may know what of a room, by the words of the specification alone: it shares nothing with the server. What the room
 * holds is told by tokens, each in the content of one event.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */

export type Visibility = "world_readable" | "shared" | "invited" | "joined";
export type Membership = "join" | "invite" | "knock" | "leave" | "ban";

/** One event of the room, in the order in which they were sent. */
export interface Fact {
  /** Stands in the event's content, and nowhere else; null: nothing in it is secret. */
  readonly token: string | null;
  /** For a state event, what it is the state of: one replaces another of the same key. */
  readonly stateKey: string | null;
  /** For an event of the history visibility, what it sets. */
  readonly visibility: Visibility | null;
  /** For a member event, whose it is and what it says. */
  readonly member: { readonly userId: string; readonly membership: Membership } | null;
}

/** What a reader may be given, and what a reader must be given who asks for the history. */
export interface Knowledge {
  /** Tokens of events that the reader may see, or of states that the reader may know. */
  readonly may: ReadonlySet<string>;
  /** Tokens of events that the reader may be given as events. */
  readonly mayAsEvent: ReadonlySet<string>;
  /** Tokens of events that must be in the history. */
  readonly must: ReadonlySet<string>;
  /** Tokens of the state that must be given as the room's state; null: no state is given. */
  readonly state: ReadonlySet<string> | null;
}

/** A fact, and what held before and after it. */
interface Moment {
  readonly fact: Fact;
  readonly visibility: readonly [before: Visibility, after: Visibility];
  readonly membership: readonly [before: Membership, after: Membership];
  readonly state: readonly [before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>];
}

/** @param hasForgotten whether the reader has forgotten the room since leaving it. */
export function knowledgeOf(history: readonly Fact[], reader: string, hasForgotten: boolean): Knowledge {
  const moments = momentsOf(history, reader);
  const now = moments.at(-1);
  if (now === undefined) throw new Error("a room without events");
  const [, visibilityNow] = now.visibility;
  const isJoined = now.membership[1] === "join";
  const lastIn = moments.findLastIndex(({ membership }) => membership[0] === "join" || membership[1] === "join");
  const wasEverIn = lastIn >= 0 && !hasForgotten;
  // "Once they have joined a room, they will gain access to a subset of events in the room." "no events received after
  // they left".
  const isMembersView = (index: number): boolean =>
    wasEverIn && (isJoined || index <= lastIn) && isAllowed(moments, index);
  // "may be shared by any participating homeserver with any authenticated user, regardless of whether they have ever joined
  // the room."
  const isWorlds = (index: number): boolean => isWorldReadable(moments[index]);
  const visible = indexes(moments).filter((index) => isMembersView(index) || isWorlds(index));
  const asEvents = tokensOf(moments, visible);
  // What somebody does to the reader's own membership is told to the reader.
  const own = history.filter(({ member }) => member?.userId === reader).map(({ token }) => token ?? "");
  const ofStates = visible.flatMap((index) => moments[index]?.state.flatMap((state) => [...state.values()]) ?? []);
  const isPeeking = visibilityNow === "world_readable";
  const required = indexes(moments).filter((index) => isMembersView(index) || (isPeeking && isWorlds(index)));
  return {
    may: new Set([...asEvents, ...own, ...ofStates]),
    mayAsEvent: new Set([...asEvents, ...own]),
    must: tokensOf(moments, required),
    state: stateFor(moments, { isJoined: isJoined || isPeeking, lastIn: wasEverIn ? lastIn : -1 }),
  };
}

/** The state now or, for who has left, the state of then. */
function stateFor(
  moments: readonly Moment[],
  { isJoined, lastIn }: { isJoined: boolean; lastIn: number },
): ReadonlySet<string> | null {
  const moment = isJoined ? moments.at(-1) : moments[lastIn];
  return moment === undefined ? null : new Set([...moment.state[1].values()].filter((token) => token !== ""));
}

function indexes(moments: readonly Moment[]): number[] {
  return moments.map((_, index) => index);
}

function tokensOf(moments: readonly Moment[], chosen: readonly number[]): Set<string> {
  const tokens = chosen.map((index) => moments[index]?.fact.token ?? null);
  return new Set(tokens.filter((token) => token !== null));
}

/** "1. If the history_visibility was set to world_readable, allow." */
function isWorldReadable(moment: Moment | undefined): boolean {
  return moment?.visibility.includes("world_readable") ?? false;
}

/** The rules for who is or was a member. "before or after the event": for visibility and for one's own membership. */
function isAllowed(moments: readonly Moment[], index: number): boolean {
  const moment = moments[index];
  if (moment === undefined) return false;
  // "If history_visibility was set to shared, and the user joined the room at any point after the event was sent, allow."
  const joinsLater = moments
    .slice(index)
    .some(({ membership: [before, after] }) => before !== "join" && after === "join");
  return moment.visibility.some((visibility) =>
    moment.membership.some((membership) => {
      if (visibility === "world_readable" || membership === "join") return true;
      if (visibility === "shared") return joinsLater;
      return visibility === "invited" && membership === "invite";
    }),
  );
}

function momentsOf(history: readonly Fact[], reader: string): Moment[] {
  // "By default if no history_visibility is set, … the visibility is assumed to be shared."
  let visibility: Visibility = "shared";
  let membership: Membership = "leave";
  let state: ReadonlyMap<string, string> = new Map();
  return history.map((fact) => {
    const before = { visibility, membership, state };
    visibility = fact.visibility ?? visibility;
    if (fact.member?.userId === reader) membership = fact.member.membership;
    if (fact.stateKey !== null) state = new Map([...state, [fact.stateKey, fact.token ?? ""]]);
    return {
      fact,
      visibility: [before.visibility, visibility],
      membership: [before.membership, membership],
      state: [before.state, state],
    };
  });
}
