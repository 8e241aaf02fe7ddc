/** A room in which everything that happens is written down, for a reader of each kind. */
import { expect } from "vitest";
import { isObject, type JsonObject } from "../../shared/json.ts";
import type { FederatedReply, FederatedUser, Federation } from "../support/federation.ts";
import { listOf } from "../support/read-history.ts";
import { type Fact, type Knowledge, knowledgeOf, type Membership, type Visibility } from "./history-model.ts";

const encode = encodeURIComponent;

export type Action = "invite" | "join" | "leave" | "kick" | "ban" | "unban" | "knock" | "forget";

/** A history visibility, and another that replaces it at the beginning of a phase. */
export interface Setting {
  readonly first: Visibility;
  readonly second: Visibility;
  readonly changesAt: number;
}

/** Somebody, and what they do or suffer at the beginning of each phase. */
export interface Reader {
  readonly relation: string;
  readonly actions: readonly (readonly Action[])[];
  readonly person: FederatedUser;
  hasForgotten: boolean;
}

const becomes: Readonly<Record<Exclude<Action, "forget">, Membership>> = {
  invite: "invite",
  join: "join",
  knock: "knock",
  ban: "ban",
  leave: "leave",
  kick: "leave",
  unban: "leave",
};

/** The tokens in a text. */
export function tokensIn(text: string): Set<string> {
  return new Set(text.match(/secret-[0-9]+-/g));
}

export class Scene {
  readonly facts: Fact[] = [];
  /** Tokens of `/messages` for the end of each phase, which anybody could be told. */
  readonly positions: string[] = [];
  /** When each phase began. */
  readonly times: number[] = [];
  readonly readers: Reader[] = [];
  readonly roomId: string;
  readonly alice: FederatedUser;
  readonly #walter: FederatedUser;
  readonly #federation: Federation;
  readonly #knowledge = new Map<string, Knowledge>();
  #tokens = 0;

  /**
   * @param alice who has made the room.
   * @param walter somebody else who is in it: whoever invites is shown to the invited.
   */
  constructor(
    federation: Federation,
    roomId: string,
    { alice, walter }: { alice: FederatedUser; walter: FederatedUser },
  ) {
    this.#federation = federation;
    this.roomId = roomId;
    this.alice = alice;
    this.#walter = walter;
  }

  path(rest: string): string {
    return `v3/rooms/${encode(this.roomId)}/${rest}`;
  }

  /** @param each is called at the end of each phase. */
  async play(
    { first, second, changesAt }: Setting,
    phases: number,
    each: (phase: number) => Promise<void>,
  ): Promise<void> {
    for (let phase = 0; phase < phases; phase += 1) {
      await this.#federation.advance(60_000);
      this.times.push(this.#federation.clock.now());
      if (phase === 0) await this.#see(first);
      if (phase === changesAt && second !== first) await this.#see(second);
      for (const reader of this.readers)
        for (const action of reader.actions[phase] ?? []) await this.#act(reader, action);
      await this.#speak();
      const page = await this.alice.get(this.path("messages?dir=b&limit=1"));
      this.positions.push(String(page.body.start));
      await this.#federation.advance(1_000);
      await each(phase);
    }
    await this.#set("m.room.join_rules", { join_rule: "invite" });
  }

  knowledgeOf({ person, hasForgotten }: Reader): Knowledge {
    const key = `${person.userId} ${this.facts.length} ${hasForgotten}`;
    const known = this.#knowledge.get(key) ?? knowledgeOf(this.facts, person.userId, hasForgotten);
    this.#knowledge.set(key, known);
    return known;
  }

  membershipOf({ person }: Reader): Membership {
    return this.facts.findLast(({ member }) => member?.userId === person.userId)?.member?.membership ?? "leave";
  }

  isJoined(reader: Reader): boolean {
    return this.membershipOf(reader) === "join";
  }

  isWorldReadable(): boolean {
    return this.facts.findLast(({ visibility }) => visibility !== null)?.visibility === "world_readable";
  }

  /** Token → the id of the event that holds it. */
  async eventIds(): Promise<Map<string, string>> {
    const page = await this.alice.get(this.path("messages?dir=f&limit=1000"));
    const ids = listOf(page.body.chunk).flatMap((event) =>
      [...tokensIn(JSON.stringify(event.content))].map((token): [string, string] => [token, String(event.event_id)]),
    );
    return new Map(ids);
  }

  #token(): string {
    this.#tokens += 1;
    return `secret-${this.#tokens}-`;
  }

  #note(reply: FederatedReply, fact: Partial<Fact>): void {
    expect(reply.status, reply.text).toBe(200);
    this.facts.push({ token: null, stateKey: null, visibility: null, member: null, ...fact });
  }

  async #set(type: string, content: JsonObject, fact: Partial<Fact> = {}): Promise<void> {
    const reply = await this.alice.put(this.path(`state/${type}`), content);
    this.#note(reply, { stateKey: type, ...fact });
    await this.#federation.advance(1_000);
  }

  async #see(visibility: Visibility): Promise<void> {
    const token = this.#token();
    const content = { history_visibility: visibility, token };
    await this.#set("m.room.history_visibility", content, { visibility, token });
  }

  /** A message, a change of state, and a change of a member. */
  async #speak(): Promise<void> {
    const [said, set, name] = [this.#token(), this.#token(), this.#token()];
    const message = await this.alice.put(this.path(`send/m.room.message/${said}`), { msgtype: "m.text", body: said });
    this.#note(message, { token: said });
    await this.#set("org.example.secret", { token: set }, { token: set });
    const { userId } = this.#walter;
    const path = this.path(`state/m.room.member/${encode(userId)}`);
    const named = await this.#walter.put(path, { membership: "join", displayname: name });
    this.#note(named, { token: name, stateKey: `m.room.member ${userId}`, member: { userId, membership: "join" } });
  }

  async #act(reader: Reader, action: Action): Promise<void> {
    const { person } = reader;
    const { userId } = person;
    if (action === "forget") {
      expect((await person.post(this.path("forget"))).status).toBe(200);
      reader.hasForgotten = true;
      return;
    }
    if (action === "knock") await this.#set("m.room.join_rules", { join_rule: "knock" });
    const token = this.#token();
    const body = { reason: token };
    const via = `?via=${this.alice.server.name}`;
    const isOwn = action === "join" || action === "leave" || action === "knock";
    const path = action === "leave" ? this.path("leave") : `v3/${action}/${encode(this.roomId)}${via}`;
    const reply = isOwn
      ? await person.post(path, body)
      : await this.alice.post(this.path(action), { user_id: userId, ...body });
    const member = { userId, membership: becomes[action] };
    this.#note(reply, { token, stateKey: `m.room.member ${userId}`, member });
    if (action === "join") reader.hasForgotten = false;
    await this.#federation.advance(1_000);
    if (action === "knock") await this.#set("m.room.join_rules", { join_rule: "public" });
  }
}

/** Fails with the names of what was told to whom it must not be. */
export function expectWithin(seen: Iterable<string>, allowed: ReadonlySet<string>, where: string): void {
  expect
    .soft(
      [...seen].filter((token) => !allowed.has(token)),
      where,
    )
    .toEqual([]);
}

/** Makes a public room, in which walter is. */
export async function openRoom(alice: FederatedUser, walter: FederatedUser): Promise<string> {
  const created = await alice.post("v3/createRoom", { preset: "public_chat" });
  expect(created.status, created.text).toBe(200);
  const roomId = String(created.body.room_id);
  const joined = await walter.post(`v3/join/${encode(roomId)}`);
  expect(isObject(joined.body) && joined.status, joined.text).toBe(200);
  return roomId;
}
