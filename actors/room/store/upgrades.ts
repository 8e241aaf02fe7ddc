import type { Sql } from "../../../schema/sql.ts";
import { type RoomId, trusted, type UserId } from "../../../shared/ids.ts";
import { type JsonObject, objectField, parseStored, parseStoredObject, withFields } from "../../../shared/json.ts";

/** What is to be done next: see `upgrade.ts`. */
export type UpgradeStep = "create" | "move" | "levels" | "close" | "done" | "abandon";

/** Who wanted which version. Two upgrades that agree in this are one. */
export interface UpgradeWish {
  readonly requester: UserId;
  readonly newVersion: string;
  readonly additionalCreators: readonly UserId[];
}

/** Power levels of the new room: while it is being made and, where those differ, in the end. */
export interface TransferredLevels {
  readonly atFirst: JsonObject;
  readonly atLast: JsonObject | null;
}

/** The room's newest upgrade. */
export interface Upgrade extends UpgradeWish {
  /** The replacement. */
  readonly roomId: RoomId;
  readonly createEvent: JsonObject;
  /** Null: the old room has no power levels. */
  readonly levels: TransferredLevels | null;
  readonly step: UpgradeStep;
  /** How often it was begun or gone on with. */
  readonly attempts: number;
  /** When the alarm goes on with it, ms since epoch. */
  readonly retryTs: number;
}

type UpgradeRow = {
  requester: UserId;
  new_version: string;
  additional_creators: string;
  replacement_room: RoomId;
  create_event: string;
  power_levels: string | null;
  step: UpgradeStep;
  attempts: number;
  retry_ts: number;
};

/** SQL of the table `upgrade`. Writing methods are for use inside a transaction only. */
export class UpgradeStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Null: the room was never upgraded here, or the attempt was given up. */
  find(): Upgrade | null {
    const row = this.#sql.one<UpgradeRow>(
      `SELECT requester, new_version, additional_creators, replacement_room, create_event, power_levels, step, attempts,
         retry_ts FROM upgrade WHERE id = 1`,
    );
    return row === null ? null : upgradeOf(row);
  }

  /** The one wanted here, where it is the newest. */
  findOf(wish: UpgradeWish): Upgrade | null {
    const query = "SELECT 1 AS one FROM upgrade WHERE requester = ? AND new_version = ? AND additional_creators = ?";
    const creators = creatorsJson(wish.additionalCreators);
    const isKnown = this.#sql.one<{ one: number }>(query, wish.requester, wish.newVersion, creators) !== null;
    return isKnown ? this.find() : null;
  }

  /** Takes the place of an earlier one. */
  insert(upgrade: Omit<Upgrade, "step" | "attempts">): void {
    const { levels } = upgrade;
    this.#sql.run(
      `INSERT OR REPLACE INTO upgrade (id, requester, new_version, additional_creators, replacement_room, create_event,
         power_levels, step, attempts, retry_ts) VALUES (1, ?, ?, ?, ?, ?, ?, 'create', 0, ?)`,
      upgrade.requester,
      upgrade.newVersion,
      creatorsJson(upgrade.additionalCreators),
      upgrade.roomId,
      JSON.stringify(upgrade.createEvent),
      levels === null
        ? null
        : JSON.stringify(withFields({ atFirst: levels.atFirst }, { atLast: levels.atLast ?? undefined })),
      upgrade.retryTs,
    );
  }

  /** To be called before an attempt: one that ends in a crash counts as well. */
  countAttempt(retryTs: number): void {
    this.#sql.run("UPDATE upgrade SET attempts = attempts + 1, retry_ts = ? WHERE id = 1", retryTs);
  }

  setStep(step: UpgradeStep): void {
    this.#sql.run("UPDATE upgrade SET step = ? WHERE id = 1", step);
  }

  delete(): void {
    this.#sql.run("DELETE FROM upgrade");
  }
}

/** Their order and repetition mean nothing. */
function creatorsJson(creators: readonly UserId[]): string {
  return JSON.stringify([...new Set(creators)].sort());
}

function upgradeOf(row: UpgradeRow): Upgrade {
  const creators = parseStored(row.additional_creators);
  const levels = row.power_levels === null ? null : parseStoredObject(row.power_levels);
  return {
    requester: row.requester,
    newVersion: row.new_version,
    additionalCreators: Array.isArray(creators) ? creators.map((creator) => trusted.userId(String(creator))) : [],
    roomId: row.replacement_room,
    createEvent: parseStoredObject(row.create_event),
    levels:
      levels === null ? null : { atFirst: objectField(levels, "atFirst") ?? {}, atLast: objectField(levels, "atLast") },
    step: row.step,
    attempts: row.attempts,
    retryTs: row.retry_ts,
  };
}
