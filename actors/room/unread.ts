/**
 * Unread counts, computed where they are read: from the user's receipts, their push rules and the events since.
 *
 * What was counted is remembered, so that a further event costs one evaluation. The memory may be lost at any time.
 */
import type { UserId } from "../../shared/ids.ts";
import { define, type JsonObject } from "../../shared/json.ts";
import { memberProfile } from "../../shared/matrix/content/member.ts";
import { PowerLevels } from "../../shared/matrix/content/power-levels.ts";
import type { PushContext } from "../../shared/matrix/push/conditions.ts";
import { type CompiledPushRules, compilePushRules, evaluatePushRules } from "../../shared/matrix/push/evaluate.ts";
import type { RoomContext } from "./context.ts";
import { findStateAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import { oldest } from "./state-view.ts";
import { Cache } from "./store/cache.ts";
import type { EventRecord } from "./store/events.ts";
import type { ReceiptRecord } from "./store/receipts.ts";
import { mainThread, threadOf } from "./threads.ts";
import { prunedEvent, type RoomViewer } from "./visibility.ts";

/** Events looked at for one count, at most: the newest. What is unread beyond is not counted. */
const maxCounted = 1_000;
/** Users whose counts are remembered. */
const maxRemembered = 1_000;

/** Counts of one thread. */
interface Count {
  notifications: number;
  highlights: number;
}

/** What was counted for a user, and on what it rests. */
interface Memory {
  /** The inputs besides the events; when they change, everything is counted anew. */
  readonly basis: string;
  readonly rules: CompiledPushRules;
  readonly marks: ReadMarks;
  readonly counts: Map<string, Count>;
  /** Position up to which events are counted. */
  through: number;
  /** Position of the newest event that was counted as unread. */
  newestUnread: number;
}

/** How far a user has read. */
interface ReadMarks {
  readonly unthreaded: number;
  readonly threads: ReadonlyMap<string, number>;
}

const memories = new WeakMap<RoomContext, Cache<UserId, Memory>>();

/** The counts of a room for one user. */
export interface Unread {
  /** Thread → its counts; `main` is the main timeline. Threads without unread events are absent. */
  readonly counts: ReadonlyMap<string, Readonly<Count>>;
  /** Position of the newest thing that changed a count. */
  readonly changedAt: number;
}

/**
 * Counts what is unread, by thread.
 * @see https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
export function countUnread(
  viewer: RoomViewer,
  input: { pushRules: JsonObject; ignoredUsers: ReadonlySet<string> },
): Unread {
  const { room } = viewer;
  const receipts = room.store.receipts.ofUser(viewer.viewer.userId);
  const receiptPosition = Math.max(oldest, ...receipts.map((receipt) => receipt.streamPosition));
  const basis = JSON.stringify([receiptPosition, input.pushRules, [...input.ignoredUsers]]);
  const memory = advance(viewer, basis, input, receipts);
  return { counts: memory.counts, changedAt: Math.max(memory.newestUnread, receiptPosition) };
}

function advance(
  viewer: RoomViewer,
  basis: string,
  input: { pushRules: JsonObject; ignoredUsers: ReadonlySet<string> },
  receipts: readonly ReceiptRecord[],
): Memory {
  const { room } = viewer;
  const { userId } = viewer.viewer;
  const remembered = memories.get(room) ?? new Cache<UserId, Memory>(maxRemembered);
  memories.set(room, remembered);
  const head = room.store.room.get().streamPosition;
  const known = remembered.get(userId);
  const news = known?.basis === basis ? room.store.events.forward(known.through, head, maxCounted) : null;
  // A redaction may take back what was counted.
  const isUsable =
    news !== null && news.length < maxCounted && !news.some((record) => record.type === "m.room.redaction");
  const marks = known !== undefined && isUsable ? known.marks : readMarksOf(receipts);
  const rules = known !== undefined && isUsable ? known.rules : compilePushRules(input.pushRules);
  const counts = new Map(known !== undefined && isUsable ? known.counts : []);
  const newestUnread = known !== undefined && isUsable ? known.newestUnread : oldest;
  const memory: Memory = { basis, rules, marks, counts, through: head, newestUnread };
  const records = isUsable ? news : room.store.events.backward(head, marks.unthreaded, maxCounted).reverse();
  const context = new ContextMaker(viewer);
  for (const record of records) countEvent(viewer, memory, record, { context, ignoredUsers: input.ignoredUsers });
  remembered.set(userId, memory);
  return memory;
}

/** "the receipt which is more recent/ahead must be used to determine where the user has read up to" */
function readMarksOf(receipts: readonly ReceiptRecord[]): ReadMarks {
  let unthreaded = oldest;
  const threads = new Map<string, number>();
  for (const { threadId, eventPosition } of receipts) {
    if (threadId === null) unthreaded = Math.max(unthreaded, eventPosition);
    else threads.set(threadId, Math.max(threads.get(threadId) ?? oldest, eventPosition));
  }
  return { unthreaded, threads };
}

function countEvent(
  viewer: RoomViewer,
  memory: Memory,
  record: EventRecord,
  using: { context: ContextMaker; ignoredUsers: ReadonlySet<string> },
): void {
  const position = record.streamPosition ?? oldest;
  // Notifications are for members: what came before the user joined, this time, counts for nothing.
  if (viewer.membershipAt(record.stateRootBefore) !== "join") {
    memory.counts.clear();
    return;
  }
  if (record.sender === viewer.viewer.userId) {
    // "When the user updates their read receipt (either by using the API or by sending an event), notifications prior to
    // and including that event MUST be marked as read." State events may be the server's doing.
    if (record.stateKey === null) memory.counts.delete(threadOf(viewer.room, record));
    return;
  }
  if (record.redactedBy !== null || using.ignoredUsers.has(record.sender) || !viewer.canSee(record)) return;
  const thread = threadOf(viewer.room, record);
  const { unthreaded, threads } = memory.marks;
  if (position <= Math.max(unthreaded, threads.get(thread) ?? oldest)) return;
  const actions = evaluatePushRules(prunedEvent(viewer.room, record), memory.rules, using.context.at(record));
  if (!actions.notify) return;
  const count = memory.counts.get(thread) ?? { notifications: 0, highlights: 0 };
  memory.counts.set(thread, {
    notifications: count.notifications + 1,
    highlights: count.highlights + (actions.highlight ? 1 : 0),
  });
  memory.newestUnread = Math.max(memory.newestUnread, position);
}

/** What push rules ask about the room, with power levels remembered by state. */
class ContextMaker {
  readonly #viewer: RoomViewer;
  readonly #levels = new Map<StateRoot, PowerLevels>();
  readonly #memberCount: number;
  readonly #displayName: string | null;

  constructor(viewer: RoomViewer) {
    const { store } = viewer.room;
    const facts = store.room.get();
    const member = findStateAt(store, facts.stateRoot, "m.room.member", viewer.viewer.userId);
    this.#viewer = viewer;
    this.#memberCount = facts.joinedMembers;
    this.#displayName = member === null ? null : memberProfile(prunedEvent(viewer.room, member).content).displayname;
  }

  at(record: EventRecord): PushContext {
    return {
      userId: this.#viewer.viewer.userId,
      displayName: this.#displayName,
      memberCount: this.#memberCount,
      levels: this.#levelsAt(record.stateRootBefore),
    };
  }

  #levelsAt(root: StateRoot): PowerLevels {
    const known = this.#levels.get(root);
    if (known !== undefined) return known;
    const { store } = this.#viewer.room;
    const event = findStateAt(store, root, "m.room.power_levels", "")?.event ?? null;
    const create = findStateAt(store, root, "m.room.create", "")?.event ?? null;
    const levels = new PowerLevels(event, create, store.room.rules());
    this.#levels.set(root, levels);
    return levels;
  }
}

/**
 * The counts as `/sync` gives them: all together, or each thread by itself.
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync_response-200_joined-room
 */
export function unreadFields(unread: Unread, byThread: boolean): JsonObject {
  if (!byThread) return { unread_notifications: countFields([...unread.counts.values()]) };
  const main = unread.counts.get(mainThread);
  const fields: JsonObject = { unread_notifications: countFields(main === undefined ? [] : [main]) };
  const threads: JsonObject = {};
  for (const [thread, count] of unread.counts) {
    if (thread !== mainThread) define(threads, thread, countFields([count]));
  }
  if (Object.keys(threads).length > 0) fields.unread_thread_notifications = threads;
  return fields;
}

function countFields(counts: readonly Readonly<Count>[]): JsonObject {
  return {
    notification_count: counts.reduce((sum, count) => sum + count.notifications, 0),
    highlight_count: counts.reduce((sum, count) => sum + count.highlights, 0),
  };
}
