/** A room of servers that a test plays, to be joined, left, knocked on and invited into by ours. */
import type { UserId } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import { countersignEvent } from "../../shared/matrix/signing.ts";
import type { Federation } from "./federation.ts";
import { HonestAnswers } from "./honest-answers.ts";
import { type RoomBuilder, user } from "./room-builder.ts";
import { TestPeer } from "./test-peer.ts";

/** What the resident does otherwise than an honest server would. */
export interface Misbehaviour {
  /** Changes the template of `make_*`. */
  template?: (template: JsonObject) => JsonValue;
  /** Changes the room version that it claims; undefined: claims none. */
  roomVersion?: () => string | undefined;
  /** Leaves members out of the answer to `send_join` where that is asked for, as an honest server may. */
  omitsMembers?: boolean;
  /** Changes the answer to `send_join`. */
  answer?: (answer: JsonObject) => JsonValue | Response;
}

/** A server in the room, that lets in whom the room lets in. */
export class Resident {
  readonly peer: TestPeer;
  readonly built: RoomBuilder;
  /** Member events that it was sent. */
  readonly taken: MatrixEvent[] = [];
  readonly misbehaviour: Misbehaviour;
  /** Null: it says to be alone. */
  serversInRoom: string[] | null = null;
  /** The member who authorizes restricted joins. */
  authoriser: UserId | null = null;

  constructor(federation: Federation, name: string, built: RoomBuilder, misbehaviour: Misbehaviour = {}) {
    this.peer = new TestPeer(federation, name);
    this.built = built;
    this.misbehaviour = misbehaviour;
    this.peer.on(/\/make_(join|leave|knock)\//, (request) => this.#offer(new URL(request.url)));
    this.peer.on(/\/v2\/send_join\//, async (request) =>
      this.#join(await request.json(), request.url.endsWith("?omit_members=true")),
    );
    this.peer.on(/\/v2\/send_leave\//, async (request) => {
      this.#take(await request.json());
      return {};
    });
    this.peer.on(/\/send_knock\//, async (request) => {
      this.#take(await request.json());
      return { knock_room_state: [this.built.create.pdu] };
    });
  }

  get roomId(): string {
    return this.built.roomId;
  }

  /** Bodies that came to `send_*`. */
  sent(): JsonObject[] {
    return this.peer.received
      .filter(({ path }) => path.includes("/send_"))
      .map(({ body }) => (isObject(body) ? body : {}));
  }

  #offer(url: URL): JsonValue {
    const [, kind = "", , userId = ""] =
      /make_(\w+)\/([^/]+)\/([^/]+)/.exec(url.pathname)?.map(decodeURIComponent) ?? [];
    const sender = user(userId);
    const authoriser = kind === "join" && this.authoriser !== null ? this.authoriser : undefined;
    const content = withFields({ membership: kind }, { join_authorised_via_users_server: authoriser });
    // Made on a branch of its own: a template is no event of the room.
    const event = this.built.fork().make({ sender, type: "m.room.member", stateKey: sender, content });
    const template = withFields(event.pdu, { signatures: undefined, hashes: undefined, event_id: undefined });
    const { template: change, roomVersion } = this.misbehaviour;
    const offered = change === undefined ? template : change(template);
    const version = roomVersion === undefined ? this.built.rules.version : roomVersion();
    return withFields({ event: offered }, { room_version: version });
  }

  #take(pdu: JsonObject): MatrixEvent {
    const event = eventFromPdu(pdu, this.built.rules);
    this.taken.push(event);
    return event;
  }

  #join(pdu: JsonObject, mayOmit: boolean): JsonValue | Response {
    this.#take(pdu);
    const omits = mayOmit && this.misbehaviour.omitsMembers === true;
    const state = [...this.built.state.values()].filter((event) => !omits || event.type !== "m.room.member");
    const chain = new HonestAnswers(this.built).authChain(state);
    const { rules } = this.built;
    const answer = {
      origin: this.peer.name,
      state: state.map((event) => event.pdu),
      auth_chain: chain.map((event) => event.pdu),
      event: this.authoriser === null ? pdu : countersignEvent(pdu, rules, this.peer.name, this.peer.key),
      members_omitted: omits,
      servers_in_room: this.serversInRoom ?? [this.peer.name],
    };
    return this.misbehaviour.answer?.(answer) ?? answer;
  }
}
