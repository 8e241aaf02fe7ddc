/** Settles what the user owes to others: see `obligations.ts`. */
import { MatrixError } from "../../shared/errors.ts";
import { trusted } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import type { UserContext } from "./context.ts";
import { removeOrphanedAlias } from "./create-room.ts";
import { writeDirectoryRow } from "./directory.ts";
import { settleAgainAfterMs } from "./obligations.ts";
import { getMemberProfile } from "./profile.ts";
import { copySettingsOfReplacedRoom } from "./room-upgrades.ts";
import type { Obligation } from "./store/obligations.ts";

/** Obligations that are settled at the same time, at most. */
const maxParallel = 16;

/** Settles what is owed as far as it can be; the rest is left to the alarm. */
export async function settleObligations(user: UserContext): Promise<void> {
  const failed = new Set<string>();
  const isOpen = (obligation: Obligation): boolean =>
    !failed.has(keyOf(obligation)) && !user.memory.settling.has(keyOf(obligation));
  for (;;) {
    const skipped = failed.size + user.memory.settling.size;
    const due = user.store.obligations
      .all(maxParallel + skipped)
      .filter(isOpen)
      .slice(0, maxParallel);
    if (due.length === 0) break;
    await Promise.all(
      due.map(async (obligation) => {
        if (!(await settleOne(user, obligation))) failed.add(keyOf(obligation));
      }),
    );
  }
  if (user.store.obligations.isAny()) user.alarm.ensure(user.clock.now() + settleAgainAfterMs);
}

const keyOf = (obligation: Obligation): string => `${obligation.kind} ${obligation.subject}`;

/** @returns false when it must be tried again later. */
async function settleOne(user: UserContext, obligation: Obligation): Promise<boolean> {
  const key = keyOf(obligation);
  user.memory.settling.add(key);
  try {
    await perform(user, obligation);
  } catch (thrown) {
    // What the other side refuses it will refuse again: the room is left already, or was never made.
    const isFinal = thrown instanceof MatrixError && thrown.status < 500 && thrown.status !== 429;
    const fields = { user_id: user.userId, kind: obligation.kind, error: describeError(thrown) };
    user.log.warn(isFinal ? "obligation refused" : "obligation not settled", fields);
    if (!isFinal) return false;
  } finally {
    user.memory.settling.delete(key);
  }
  user.store.transaction((tx) => tx.obligations.settle(obligation));
  return true;
}

async function perform(user: UserContext, obligation: Obligation): Promise<void> {
  const { kind, subject } = obligation;
  const { userId } = user;
  switch (kind) {
    case "directory":
      return await writeDirectoryRow(user);
    case "profile": {
      const version = user.store.accounts.profileVersion();
      await user.actors.room(trusted.roomId(subject)).updateMemberProfile(userId, getMemberProfile(user), version);
      return;
    }
    case "leave": {
      const leave = {
        action: "leave",
        requester: userId,
        target: userId,
        reason: null,
        content: {},
      } as const;
      const roomId = trusted.roomId(subject);
      const left = await user.actors.room(roomId).changeMembership(leave);
      // This server is not in the room: whoever is, is told as far as they can be.
      if (left.eventId === null) {
        await user.egress.startLeave({
          roomId,
          userId,
          reason: null,
          content: {},
          servers: [...left.servers, ...left.formerServers],
        });
      }
      return;
    }
    case "alias":
      return await removeOrphanedAlias(user, subject);
    case "upgrade":
      return await copySettingsOfReplacedRoom(user, trusted.roomId(subject));
  }
}
