/**
 * What differs between room versions, as data: each version names only its difference to the one before.
 * Algorithms ask for a property, never for a version number.
 *
 * @see https://spec.matrix.org/v1.19/rooms/
 */

export type RoomVersion = "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "10" | "11" | "12";

/** The properties of a room version that algorithms depend on. The comment names the version that brought a change. */
export interface RoomVersionRules {
  readonly version: RoomVersion;
  /** v3: the reference hash in base64. v4: in URL-safe base64. Before: chosen by the server. */
  readonly eventIdFormat: "serverChosen" | "base64" | "base64Url";
  /** v3: lists of event ids. Before: lists of `[event id, hashes]`. */
  readonly eventReferences: "idsWithHashes" | "ids";
  /** v2, v12. */
  readonly stateResolution: "v1" | "v2" | "v2.1";
  /** v5: a signing key must have been valid at the event's `origin_server_ts`. */
  readonly enforcesKeyValidity: boolean;
  /** v6: events that are not canonical JSON are refused. */
  readonly isStrictCanonicalJson: boolean;
  /** v11: sizes of ids, type and state key count bytes; before, code points, as servers measured when such rooms were made. */
  readonly limitsCountBytes: boolean;
  /** v3: redactions are no matter of the authorization rules. */
  readonly authorizesRedactions: boolean;
  /** v6: `m.room.aliases` lost its rule and its protection from redaction. */
  readonly hasAliasesRule: boolean;
  /** v6: changes of `notifications` in power levels need the power. */
  readonly limitsNotificationLevels: boolean;
  /** v7 */
  readonly allowsKnocking: boolean;
  /** v8: join rule `restricted`, and `allow` survives redaction. */
  readonly allowsRestrictedJoin: boolean;
  /** v9: `join_authorised_via_users_server` survives redaction. */
  readonly redactionKeepsJoinAuthoriser: boolean;
  /** v10 */
  readonly allowsKnockRestricted: boolean;
  /** v10: only integers. v6: integers or strings. Before: floats as well. */
  readonly powerLevelValues: "integer" | "integerOrString" | "numberOrString";
  /** v11: the creator is the create event's sender; before, `content.creator`. */
  readonly creatorIsSender: boolean;
  /** v11: `redacts` is in the content. */
  readonly redactsInContent: boolean;
  /** v11: the redaction algorithm keeps all of create's content, `invite`, `redacts`, `third_party_invite.signed`. */
  readonly redaction: "v1" | "v11";
  /** v12: the room id is the create event's reference hash, and create events carry none. */
  readonly roomIdIsCreateHash: boolean;
  /** v12: creators stand above every power level, and `additional_creators` are creators. */
  readonly creatorsHaveInfinitePower: boolean;
  /** v12: no longer. */
  readonly createIsAuthEvent: boolean;
}

const v1: RoomVersionRules = {
  version: "1",
  eventIdFormat: "serverChosen",
  eventReferences: "idsWithHashes",
  stateResolution: "v1",
  enforcesKeyValidity: false,
  isStrictCanonicalJson: false,
  limitsCountBytes: false,
  authorizesRedactions: true,
  hasAliasesRule: true,
  limitsNotificationLevels: false,
  allowsKnocking: false,
  allowsRestrictedJoin: false,
  redactionKeepsJoinAuthoriser: false,
  allowsKnockRestricted: false,
  powerLevelValues: "numberOrString",
  creatorIsSender: false,
  redactsInContent: false,
  redaction: "v1",
  roomIdIsCreateHash: false,
  creatorsHaveInfinitePower: false,
  createIsAuthEvent: true,
};
const v2: RoomVersionRules = { ...v1, version: "2", stateResolution: "v2" };
const v3: RoomVersionRules = {
  ...v2,
  version: "3",
  eventIdFormat: "base64",
  eventReferences: "ids",
  authorizesRedactions: false,
};
const v4: RoomVersionRules = { ...v3, version: "4", eventIdFormat: "base64Url" };
const v5: RoomVersionRules = { ...v4, version: "5", enforcesKeyValidity: true };
const v6: RoomVersionRules = {
  ...v5,
  version: "6",
  isStrictCanonicalJson: true,
  hasAliasesRule: false,
  limitsNotificationLevels: true,
  powerLevelValues: "integerOrString",
};
const v7: RoomVersionRules = { ...v6, version: "7", allowsKnocking: true };
const v8: RoomVersionRules = { ...v7, version: "8", allowsRestrictedJoin: true };
const v9: RoomVersionRules = { ...v8, version: "9", redactionKeepsJoinAuthoriser: true };
const v10: RoomVersionRules = { ...v9, version: "10", allowsKnockRestricted: true, powerLevelValues: "integer" };
const v11: RoomVersionRules = {
  ...v10,
  version: "11",
  limitsCountBytes: true,
  creatorIsSender: true,
  redactsInContent: true,
  redaction: "v11",
};
const v12: RoomVersionRules = {
  ...v11,
  version: "12",
  stateResolution: "v2.1",
  roomIdIsCreateHash: true,
  creatorsHaveInfinitePower: true,
  createIsAuthEvent: false,
};

const rulesByVersion: ReadonlyMap<string, RoomVersionRules> = new Map(
  [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12].map((rules) => [rules.version, rules]),
);

/** Every room version whose algorithms are here, oldest first. */
export const knownRoomVersions: readonly RoomVersion[] = [...rulesByVersion.values()].map((rules) => rules.version);

/** The room versions in which this server makes and joins rooms. */
export const supportedRoomVersions: readonly RoomVersion[] = knownRoomVersions;

/** The version of a new room when its creator names none. */
export const defaultRoomVersion: RoomVersion = "12";

/**
 * The rules of a room version; null when it is not known, which callers answer with M_UNSUPPORTED_ROOM_VERSION.
 * @see https://spec.matrix.org/v1.19/rooms/
 */
export function rulesFor(version: string): RoomVersionRules | null {
  return rulesByVersion.get(version) ?? null;
}
