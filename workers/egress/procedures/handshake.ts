/** What joining, leaving and knocking by way of another server have in common. */
import { makeMemberRequest, parseTemplate, sendMemberRequest } from "../../../shared/federation-api/handshakes.ts";
import type { RoomId, ServerName, UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { PreparedMember } from "../../../shared/rpc/room-joining.ts";
import type { HandshakeMembership } from "../../../shared/rpc/room-resident.ts";
import type { EgressContext } from "../context.ts";
import { requestPeer } from "../request.ts";
import { answerText, isUnknownEndpoint, NextServer } from "./candidates.ts";

/** Whose membership is to become what. */
export interface Wish {
  readonly membership: HandshakeMembership;
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly reason: string | null;
  /** Further content of the member event. */
  readonly content: JsonObject;
}

/** A member event that is ready to be sent. */
export type ReadyMember = Extract<PreparedMember, { kind: "prepared" }> & { readonly roomVersion: string };

/**
 * Has a server offer a template, and the room make an event of it.
 * @throws NextServer, MatrixError for a refusal of the server's, M_UNSUPPORTED_ROOM_VERSION
 */
export async function prepareBy(
  egress: EgressContext,
  wish: Wish,
  by: {
    readonly server: ServerName;
    readonly join: { joinId: string; servers: ServerName[] } | null;
    readonly failover: ReadonlySet<string>;
  },
): Promise<ReadyMember> {
  const { membership, roomId, userId, reason, content } = wish;
  const answer = await requestPeer(egress, makeMemberRequest(by.server, { membership, roomId, userId }));
  const template = parseTemplate(by.server, answerText(answer, by.failover));
  if (template === null) throw new NextServer("it offered no template");
  const { join } = by;
  const wanted = { join, membership, userId, reason, content, template };
  const prepared = await egress.actors.room(roomId).prepareMember(wanted);
  if (prepared.kind === "unusable") throw new NextServer(prepared.reason);
  return { ...prepared, roomVersion: template.roomVersion };
}

/**
 * Sends a leave or a knock. @returns the answer's body
 * @throws NextServer, MatrixError for a refusal
 */
export async function sendBy(
  egress: EgressContext,
  { membership, roomId }: Wish,
  { server, member }: { server: ServerName; member: ReadyMember },
): Promise<string> {
  const { eventId, pdu } = member;
  const sent = { membership, roomId, eventId, pdu };
  if (membership === "knock")
    return answerText(await requestPeer(egress, sendMemberRequest(server, { ...sent, version: "v1" })));
  const answer = await requestPeer(egress, sendMemberRequest(server, { ...sent, version: "v2" }));
  const isOld = answer.kind === "answered" && isUnknownEndpoint(answer.status, answer.text);
  if (!isOld) return answerText(answer);
  return answerText(await requestPeer(egress, sendMemberRequest(server, { ...sent, version: "v1" })));
}
