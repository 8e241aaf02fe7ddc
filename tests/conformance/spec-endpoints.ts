/**
 * The operations of the Matrix specification v1.19, as its OpenAPI data has them: 235. The reference that the endpoint
 * lists are held against.
 *
 * @see https://spec.matrix.org/v1.19/
 */
export type Api = "client" | "federation" | "appservice" | "identity" | "push";

/** What a homeserver has to do with an operation: it answers it, it only calls it on others, or neither. */
export type Role = "serves" | "calls" | "never";

export interface SpecOperation {
  readonly api: Api;
  readonly role: Role;
  readonly method: string;
  readonly path: string;
  readonly operationId: string;
  /** The chapter of the spec. */
  readonly module: string;
}

/** `METHOD path operationId`, by chapter. */
type Chapters = Readonly<Record<string, readonly string[]>>;

const clientServes: Chapters = {
  "Application Services > Client-Server API Extensions": [
    "POST /_matrix/client/v1/appservice/{appserviceId}/ping pingAppservice",
    "PUT /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId} updateAppserviceRoomDirectoryVisibility",
  ],
  "Capabilities negotiation": ["GET /_matrix/client/v3/capabilities getCapabilities"],
  "Client Authentication > Adding Account Administrative Contact Information": [
    "GET /_matrix/client/v3/account/3pid getAccount3PIDs",
    "POST /_matrix/client/v3/account/3pid post3PIDs",
    "POST /_matrix/client/v3/account/3pid/add add3PID",
    "POST /_matrix/client/v3/account/3pid/bind bind3PID",
    "POST /_matrix/client/v3/account/3pid/delete delete3pidFromAccount",
    "POST /_matrix/client/v3/account/3pid/email/requestToken requestTokenTo3PIDEmail",
    "POST /_matrix/client/v3/account/3pid/msisdn/requestToken requestTokenTo3PIDMSISDN",
    "POST /_matrix/client/v3/account/3pid/unbind unbind3pidFromAccount",
  ],
  "Client Authentication > Current account information": ["GET /_matrix/client/v3/account/whoami getTokenOwner"],
  "Client Authentication > Legacy API": [
    "POST /_matrix/client/v1/login/get_token generateLoginToken",
    "GET /_matrix/client/v1/register/m.login.registration_token/validity registrationTokenValidity",
    "POST /_matrix/client/v3/account/deactivate deactivateAccount",
    "POST /_matrix/client/v3/account/password changePassword",
    "POST /_matrix/client/v3/account/password/email/requestToken requestTokenToResetPasswordEmail",
    "POST /_matrix/client/v3/account/password/msisdn/requestToken requestTokenToResetPasswordMSISDN",
    "GET /_matrix/client/v3/login getLoginFlows",
    "POST /_matrix/client/v3/login login",
    "POST /_matrix/client/v3/logout logout",
    "POST /_matrix/client/v3/logout/all logout_all",
    "POST /_matrix/client/v3/refresh refresh",
    "POST /_matrix/client/v3/register register",
    "GET /_matrix/client/v3/register/available checkUsernameAvailability",
    "POST /_matrix/client/v3/register/email/requestToken requestTokenToRegisterEmail",
    "POST /_matrix/client/v3/register/msisdn/requestToken requestTokenToRegisterMSISDN",
  ],
  "Client Authentication > OAuth 2.0 API": ["GET /_matrix/client/v1/auth_metadata getAuthMetadata"],
  "Client Config": [
    "GET /_matrix/client/v3/user/{userId}/account_data/{type} getAccountData",
    "PUT /_matrix/client/v3/user/{userId}/account_data/{type} setAccountData",
    "GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type} getAccountDataPerRoom",
    "PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type} setAccountDataPerRoom",
  ],
  "Content repository": [
    "GET /_matrix/client/v1/media/config getConfigAuthed",
    "GET /_matrix/client/v1/media/download/{serverName}/{mediaId} getContentAuthed",
    "GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName} getContentOverrideNameAuthed",
    "GET /_matrix/client/v1/media/preview_url getUrlPreviewAuthed",
    "GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId} getContentThumbnailAuthed",
    "POST /_matrix/media/v1/create createContent",
    "GET /_matrix/media/v3/config getConfig",
    "GET /_matrix/media/v3/download/{serverName}/{mediaId} getContent",
    "GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName} getContentOverrideName",
    "GET /_matrix/media/v3/preview_url getUrlPreview",
    "GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId} getContentThumbnail",
    "POST /_matrix/media/v3/upload uploadContent",
    "PUT /_matrix/media/v3/upload/{serverName}/{mediaId} uploadContentToMXC",
  ],
  "Device Management": [
    "POST /_matrix/client/v3/delete_devices deleteDevices",
    "GET /_matrix/client/v3/devices getDevices",
    "DELETE /_matrix/client/v3/devices/{deviceId} deleteDevice",
    "GET /_matrix/client/v3/devices/{deviceId} getDevice",
    "PUT /_matrix/client/v3/devices/{deviceId} updateDevice",
  ],
  "End-to-End Encryption": [
    "GET /_matrix/client/v3/keys/changes getKeysChanges",
    "POST /_matrix/client/v3/keys/claim claimKeys",
    "POST /_matrix/client/v3/keys/device_signing/upload uploadCrossSigningKeys",
    "POST /_matrix/client/v3/keys/query queryKeys",
    "POST /_matrix/client/v3/keys/signatures/upload uploadCrossSigningSignatures",
    "POST /_matrix/client/v3/keys/upload uploadKeys",
    "DELETE /_matrix/client/v3/room_keys/keys deleteRoomKeys",
    "GET /_matrix/client/v3/room_keys/keys getRoomKeys",
    "PUT /_matrix/client/v3/room_keys/keys putRoomKeys",
    "DELETE /_matrix/client/v3/room_keys/keys/{roomId} deleteRoomKeysByRoomId",
    "GET /_matrix/client/v3/room_keys/keys/{roomId} getRoomKeysByRoomId",
    "PUT /_matrix/client/v3/room_keys/keys/{roomId} putRoomKeysByRoomId",
    "DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId} deleteRoomKeyBySessionId",
    "GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId} getRoomKeyBySessionId",
    "PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId} putRoomKeyBySessionId",
    "GET /_matrix/client/v3/room_keys/version getRoomKeysVersionCurrent",
    "POST /_matrix/client/v3/room_keys/version postRoomKeysVersion",
    "DELETE /_matrix/client/v3/room_keys/version/{version} deleteRoomKeysVersion",
    "GET /_matrix/client/v3/room_keys/version/{version} getRoomKeysVersion",
    "PUT /_matrix/client/v3/room_keys/version/{version} putRoomKeysVersion",
  ],
  "Event Context": ["GET /_matrix/client/v3/rooms/{roomId}/context/{eventId} getEventContext"],
  "Events > Forming relationships between events": [
    "GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId} getRelatingEvents",
    "GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType} getRelatingEventsWithRelType",
    "GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType} getRelatingEventsWithRelTypeAndEventType",
  ],
  "Events > Getting events for a room": [
    "GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event getEventByTimestamp",
    "GET /_matrix/client/v3/rooms/{roomId}/event/{eventId} getOneRoomEvent",
    "GET /_matrix/client/v3/rooms/{roomId}/initialSync roomInitialSync",
    "GET /_matrix/client/v3/rooms/{roomId}/joined_members getJoinedMembersByRoom",
    "GET /_matrix/client/v3/rooms/{roomId}/members getMembersByRoom",
    "GET /_matrix/client/v3/rooms/{roomId}/messages getRoomEvents",
    "GET /_matrix/client/v3/rooms/{roomId}/state getRoomState",
    "GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey} getRoomStateWithKey",
  ],
  "Events > Redactions": ["PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId} redactEvent"],
  "Events > Sending events to a room": [
    "PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId} sendMessage",
    "PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey} setRoomStateWithKey",
  ],
  "Events > Syncing": [
    "GET /_matrix/client/v3/events getEvents",
    "GET /_matrix/client/v3/events/{eventId} getOneEvent",
    "GET /_matrix/client/v3/initialSync initialSync",
    "GET /_matrix/client/v3/sync sync",
  ],
  "Filtering > API endpoints": [
    "POST /_matrix/client/v3/user/{userId}/filter defineFilter",
    "GET /_matrix/client/v3/user/{userId}/filter/{filterId} getFilter",
  ],
  "Mutual Rooms": ["GET /_matrix/client/v1/mutual_rooms getMutualRooms"],
  OpenID: ["POST /_matrix/client/v3/user/{userId}/openid/request_token requestOpenIdToken"],
  Presence: [
    "GET /_matrix/client/v3/presence/{userId}/status getPresence",
    "PUT /_matrix/client/v3/presence/{userId}/status setPresence",
  ],
  "Push Notifications": [
    "GET /_matrix/client/v3/notifications getNotifications",
    "GET /_matrix/client/v3/pushers getPushers",
    "POST /_matrix/client/v3/pushers/set postPusher",
    "GET /_matrix/client/v3/pushrules/ getPushRules",
    "GET /_matrix/client/v3/pushrules/global/ getPushRulesGlobal",
    "DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId} deletePushRule",
    "GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId} getPushRule",
    "PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId} setPushRule",
    "GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions getPushRuleActions",
    "PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions setPushRuleActions",
    "GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled isPushRuleEnabled",
    "PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled setPushRuleEnabled",
  ],
  "Read and unread markers": ["POST /_matrix/client/v3/rooms/{roomId}/read_markers setReadMarker"],
  Receipts: ["POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId} postReceipt"],
  "Reporting Content": [
    "POST /_matrix/client/v3/rooms/{roomId}/report reportRoom",
    "POST /_matrix/client/v3/rooms/{roomId}/report/{eventId} reportEvent",
    "POST /_matrix/client/v3/users/{userId}/report reportUser",
  ],
  "Room Previews": ["GET /_matrix/client/v3/events peekEvents"],
  "Room Tagging": [
    "GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags getRoomTags",
    "DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag} deleteRoomTag",
    "PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag} setRoomTag",
  ],
  "Room Upgrades": ["POST /_matrix/client/v3/rooms/{roomId}/upgrade upgradeRoom"],
  "Rooms > Creation": ["POST /_matrix/client/v3/createRoom createRoom"],
  "Rooms > Published room directory": [
    "GET /_matrix/client/v3/directory/list/room/{roomId} getRoomVisibilityOnDirectory",
    "PUT /_matrix/client/v3/directory/list/room/{roomId} setRoomVisibilityOnDirectory",
    "GET /_matrix/client/v3/publicRooms getPublicRooms",
    "POST /_matrix/client/v3/publicRooms queryPublicRooms",
  ],
  "Rooms > Room Summaries": ["GET /_matrix/client/v1/room_summary/{roomIdOrAlias} getRoomSummary"],
  "Rooms > Room aliases": [
    "DELETE /_matrix/client/v3/directory/room/{roomAlias} deleteRoomAlias",
    "GET /_matrix/client/v3/directory/room/{roomAlias} getRoomIdByAlias",
    "PUT /_matrix/client/v3/directory/room/{roomAlias} setRoomAlias",
    "GET /_matrix/client/v3/rooms/{roomId}/aliases getLocalAliases",
  ],
  "Rooms > Room membership": [
    "POST /_matrix/client/v3/join/{roomIdOrAlias} joinRoom",
    "GET /_matrix/client/v3/joined_rooms getJoinedRooms",
    "POST /_matrix/client/v3/knock/{roomIdOrAlias} knockRoom",
    "POST /_matrix/client/v3/rooms/{roomId}/ban ban",
    "POST /_matrix/client/v3/rooms/{roomId}/forget forgetRoom",
    "POST /_matrix/client/v3/rooms/{roomId}/invite inviteUser",
    "POST /_matrix/client/v3/rooms/{roomId}/join joinRoomById",
    "POST /_matrix/client/v3/rooms/{roomId}/kick kick",
    "POST /_matrix/client/v3/rooms/{roomId}/leave leaveRoom",
    "POST /_matrix/client/v3/rooms/{roomId}/unban unban",
  ],
  "SSO client login/authentication": [
    "GET /_matrix/client/v3/login/sso/redirect redirectToSSO",
    "GET /_matrix/client/v3/login/sso/redirect/{idpId} redirectToIdP",
  ],
  "Send-to-Device messaging": ["PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId} sendToDevice"],
  "Server Administration": [
    "GET /_matrix/client/v1/admin/lock/{userId} getAdminLockUser",
    "PUT /_matrix/client/v1/admin/lock/{userId} setAdminLockUser",
    "GET /_matrix/client/v1/admin/suspend/{userId} getAdminSuspendUser",
    "PUT /_matrix/client/v1/admin/suspend/{userId} setAdminSuspendUser",
    "GET /_matrix/client/v3/admin/whois/{userId} getWhoIs",
  ],
  "Server Discovery > API Versions": ["GET /_matrix/client/versions getVersions"],
  "Server Discovery > Well-known URIs": [
    "GET /.well-known/matrix/client getWellknown",
    "GET /.well-known/matrix/policy_server getWellknownPolicy",
    "GET /.well-known/matrix/support getWellknownSupport",
  ],
  "Server Side Search": ["POST /_matrix/client/v3/search search"],
  Spaces: ["GET /_matrix/client/v1/rooms/{roomId}/hierarchy getSpaceHierarchy"],
  "Third-party Networks": [
    "GET /_matrix/client/v3/thirdparty/location queryLocationByAlias",
    "GET /_matrix/client/v3/thirdparty/location/{protocol} queryLocationByProtocol",
    "GET /_matrix/client/v3/thirdparty/protocol/{protocol} getProtocolMetadata",
    "GET /_matrix/client/v3/thirdparty/protocols getProtocols",
    "GET /_matrix/client/v3/thirdparty/user queryUserByID",
    "GET /_matrix/client/v3/thirdparty/user/{protocol} queryUserByProtocol",
  ],
  "Third-party invites": ["POST /_matrix/client/v3/rooms/{roomId}/invite inviteBy3PID"],
  Threading: ["GET /_matrix/client/v1/rooms/{roomId}/threads getThreadRoots"],
  "Typing Notifications": ["PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId} setTyping"],
  "User Data > Profiles": [
    "GET /_matrix/client/v3/profile/{userId} getUserProfile",
    "DELETE /_matrix/client/v3/profile/{userId}/{keyName} deleteProfileField",
    "GET /_matrix/client/v3/profile/{userId}/{keyName} getProfileField",
    "PUT /_matrix/client/v3/profile/{userId}/{keyName} setProfileField",
  ],
  "User Data > User Directory": ["POST /_matrix/client/v3/user_directory/search searchUserDirectory"],
  "Voice over IP": ["GET /_matrix/client/v3/voip/turnServer getTurnServer"],
};

const federationServes: Chapters = {
  "Backfilling and retrieving missing events": [
    "GET /_matrix/federation/v1/backfill/{roomId} backfillRoom",
    "POST /_matrix/federation/v1/get_missing_events/{roomId} getMissingPreviousEvents",
  ],
  "Content Repository": [
    "GET /_matrix/federation/v1/media/download/{mediaId} getContent",
    "GET /_matrix/federation/v1/media/thumbnail/{mediaId} getContentThumbnail",
  ],
  "Device Management": ["GET /_matrix/federation/v1/user/devices/{userId} getUserDevices"],
  "End-to-End Encryption": [
    "POST /_matrix/federation/v1/user/keys/claim claimUserEncryptionKeys",
    "POST /_matrix/federation/v1/user/keys/query queryUserEncryptionKeys",
  ],
  "Inviting to a room": [
    "PUT /_matrix/federation/v1/invite/{roomId}/{eventId} sendInviteV1",
    "PUT /_matrix/federation/v2/invite/{roomId}/{eventId} sendInviteV2",
  ],
  "Joining Rooms": [
    "GET /_matrix/federation/v1/make_join/{roomId}/{userId} makeJoin",
    "PUT /_matrix/federation/v2/send_join/{roomId}/{eventId} sendJoinV2",
  ],
  "Knocking upon a room": [
    "GET /_matrix/federation/v1/make_knock/{roomId}/{userId} makeKnock",
    "PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId} sendKnock",
  ],
  "Leaving Rooms (Rejecting Invites)": [
    "GET /_matrix/federation/v1/make_leave/{roomId}/{userId} makeLeave",
    "PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId} sendLeaveV2",
  ],
  OpenID: ["GET /_matrix/federation/v1/openid/userinfo exchangeOpenIdToken"],
  "PDUs > Checks performed on receipt of a PDU": [
    "GET /_matrix/federation/v1/event_auth/{roomId}/{eventId} getEventAuth",
  ],
  "Published Room Directory": [
    "GET /_matrix/federation/v1/publicRooms getPublicRooms",
    "POST /_matrix/federation/v1/publicRooms queryPublicRooms",
  ],
  "Querying for information": [
    "GET /_matrix/federation/v1/query/directory queryRoomDirectory",
    "GET /_matrix/federation/v1/query/profile queryProfile",
    "GET /_matrix/federation/v1/query/{queryType} queryInfo",
  ],
  "Retrieving events": [
    "GET /_matrix/federation/v1/event/{eventId} getEvent",
    "GET /_matrix/federation/v1/state/{roomId} getRoomState",
    "GET /_matrix/federation/v1/state_ids/{roomId} getRoomStateIds",
    "GET /_matrix/federation/v1/timestamp_to_event/{roomId} getEventByTimestamp",
  ],
  "Server discovery > Resolving server names": ["GET /.well-known/matrix/server getWellKnown"],
  "Server discovery > Retrieving server keys": [
    "POST /_matrix/key/v2/query bulkPerspectivesKeyQuery",
    "GET /_matrix/key/v2/query/{serverName} perspectivesKeyQuery",
    "GET /_matrix/key/v2/server getServerKey",
  ],
  "Server discovery > Server implementation": ["GET /_matrix/federation/v1/version getVersion"],
  Spaces: ["GET /_matrix/federation/v1/hierarchy/{roomId} getSpaceHierarchy"],
  "Third-party invites > Cases where an association doesn't exist for a third-party identifier": [
    "PUT /_matrix/federation/v1/3pid/onbind onBindThirdPartyIdentifier",
    "PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId} exchangeThirdPartyInvite",
  ],
  Transactions: ["PUT /_matrix/federation/v1/send/{txnId} sendTransaction"],
};

const federationCalls: Chapters = {
  "Policy Servers > Asking for a Policy Server signature on an event": [
    "POST /_matrix/policy/v1/sign askPolicyServerToSign",
  ],
};

const appserviceCalls: Chapters = {
  "Application Services > Homeserver -> Application Service API": [
    "POST /_matrix/app/v1/ping ping",
    "GET /_matrix/app/v1/rooms/{roomAlias} queryRoomByAlias",
    "GET /_matrix/app/v1/thirdparty/location queryLocationByAlias",
    "GET /_matrix/app/v1/thirdparty/location/{protocol} queryLocationByProtocol",
    "GET /_matrix/app/v1/thirdparty/protocol/{protocol} getProtocolMetadata",
    "GET /_matrix/app/v1/thirdparty/user queryUserByID",
    "GET /_matrix/app/v1/thirdparty/user/{protocol} queryUserByProtocol",
    "PUT /_matrix/app/v1/transactions/{txnId} sendTransaction",
    "GET /_matrix/app/v1/users/{userId} queryUserById",
  ],
};

const identityNever: Chapters = {
  "API Version check": ["GET /_matrix/identity/versions getVersions"],
  Authentication: [
    "GET /_matrix/identity/v2/account getAccount",
    "POST /_matrix/identity/v2/account/logout logout",
    "POST /_matrix/identity/v2/account/register registerAccount",
  ],
  "Ephemeral invitation signing": ["POST /_matrix/identity/v2/sign-ed25519 blindlySignStuffV2"],
  "Establishing associations > Email associations": [
    "POST /_matrix/identity/v2/validate/email/requestToken emailRequestTokenV2",
    "GET /_matrix/identity/v2/validate/email/submitToken emailSubmitTokenGetV2",
    "POST /_matrix/identity/v2/validate/email/submitToken emailSubmitTokenPostV2",
  ],
  "Establishing associations > General": ["GET /_matrix/identity/v2/3pid/getValidated3pid getValidated3pidV2"],
  "Establishing associations > Phone number associations": [
    "POST /_matrix/identity/v2/validate/msisdn/requestToken msisdnRequestTokenV2",
    "GET /_matrix/identity/v2/validate/msisdn/submitToken msisdnSubmitTokenGetV2",
    "POST /_matrix/identity/v2/validate/msisdn/submitToken msisdnSubmitTokenPostV2",
  ],
  "Key management": ["GET /_matrix/identity/v2/pubkey/{keyId} getPubKeyV2"],
  "Status check": ["GET /_matrix/identity/v2 pingV2"],
  "Terms of service": ["GET /_matrix/identity/v2/terms getTerms", "POST /_matrix/identity/v2/terms agreeToTerms"],
};

const identityCalls: Chapters = {
  "Association lookup": [
    "GET /_matrix/identity/v2/hash_details getHashDetails",
    "POST /_matrix/identity/v2/lookup lookupUsersV2",
  ],
  "Establishing associations > General": [
    "POST /_matrix/identity/v2/3pid/bind bindV2",
    "POST /_matrix/identity/v2/3pid/unbind unbindV2",
  ],
  "Invitation storage": ["POST /_matrix/identity/v2/store-invite storeInviteV2"],
  "Key management": [
    "GET /_matrix/identity/v2/pubkey/ephemeral/isvalid isEphemeralPubKeyValidV2",
    "GET /_matrix/identity/v2/pubkey/isvalid isPubKeyValidV2",
  ],
};

const pushCalls: Chapters = {
  "Homeserver behaviour": ["POST /_matrix/push/v1/notify notify"],
};

function operations(api: Api, role: Role, chapters: Chapters): SpecOperation[] {
  return Object.entries(chapters).flatMap(([module, lines]) =>
    lines.map((line) => {
      const [method = "", path = "", operationId = ""] = line.split(" ");
      return { api, role, method, path, operationId, module };
    }),
  );
}

export const specOperations: readonly SpecOperation[] = [
  ...operations("client", "serves", clientServes),
  ...operations("federation", "serves", federationServes),
  ...operations("federation", "calls", federationCalls),
  ...operations("appservice", "calls", appserviceCalls),
  ...operations("identity", "never", identityNever),
  ...operations("identity", "calls", identityCalls),
  ...operations("push", "calls", pushCalls),
];
