import { parseServerName, type ServerName } from "./ids.ts";
import type { JsonObject } from "./json.ts";
import { defaultRoomVersion, type RoomVersion, supportedRoomVersions } from "./matrix/room-version.ts";

/** Who may make an account. */
export type RegistrationMode = "open" | "token" | "closed";

/** The server's configuration, parsed once from the variables of the environment (see the README's table). */
export interface Config {
  readonly serverName: ServerName;
  /** Where clients reach this server, without a trailing slash. */
  readonly publicBaseUrl: string;
  readonly registration: RegistrationMode;
  readonly registrationSharedSecret: string | null;
  readonly rateLimits: boolean;
  /** Whether `?access_token=` is accepted beside the header. */
  readonly queryAccessTokens: boolean;
  /** Of a new room whose creator names none. */
  readonly defaultRoomVersion: RoomVersion;
  /** Whether other servers are talked to at all. */
  readonly federation: boolean;
  readonly federationDomainAllow: readonly ServerName[] | null;
  readonly federationDomainDeny: readonly ServerName[];
  readonly federationAllowPrivateNetwork: boolean;
  /** Whether rooms are joined before all of their members are known, where the other server offers it. */
  readonly partialStateJoins: boolean;
  /** Servers that are believed about other servers' keys, where those do not answer. */
  readonly trustedKeyServers: readonly ServerName[];
  /** URL of the DNS-over-HTTPS service for SRV records (RFC 8484); null: they are not looked up. */
  readonly dnsOverHttps: string | null;
  /** Application service registrations as given. */
  readonly appservices: readonly JsonObject[];
  /** Whether `/_tessera/meter` answers (benchmarks only). */
  readonly meter: boolean;
  /** Argon2id cost of a password hash. */
  readonly passwordHashing: { readonly memoryKib: number; readonly passes: number };
}

/** OWASP's second Argon2id profile: 19 MiB, two passes, one lane. */
export const defaultPasswordHashing = { memoryKib: 19_456, passes: 2 } as const;

/** A variable has a value that cannot be used. The message is one line and names the variable. */
export class ConfigError extends Error {
  readonly variable: string;
  constructor(variable: string, message: string) {
    super(`${variable}: ${message}`);
    this.name = "ConfigError";
    this.variable = variable;
  }
}

/** Variables by name; what is unset or empty takes its default. */
export type Variables = Readonly<Record<string, unknown>>;

/** Parses the variables that gateway and actors use. @throws ConfigError naming the first wrong one. */
export function parseConfig(variables: Variables): Config {
  const serverName = parseServerName(text(variables, "SERVER_NAME") ?? "localhost");
  if (serverName === null) throw new ConfigError("SERVER_NAME", "not a valid Matrix server name");
  return {
    serverName,
    publicBaseUrl: parseBaseUrl(variables, serverName),
    registration: oneOf(variables, "REGISTRATION", ["open", "token", "closed"], "token"),
    registrationSharedSecret: text(variables, "REGISTRATION_SHARED_SECRET"),
    rateLimits: oneOf(variables, "RATE_LIMITS", ["on", "off"], "on") === "on",
    queryAccessTokens: oneOf(variables, "QUERY_ACCESS_TOKENS", ["on", "off"], "on") === "on",
    defaultRoomVersion: oneOf(variables, "DEFAULT_ROOM_VERSION", supportedRoomVersions, defaultRoomVersion),
    federation: oneOf(variables, "FEDERATION", ["on", "off"], "on") === "on",
    federationDomainAllow: parseDomains(variables, "FEDERATION_DOMAIN_ALLOW"),
    federationDomainDeny: parseDomains(variables, "FEDERATION_DOMAIN_DENY") ?? [],
    federationAllowPrivateNetwork:
      oneOf(variables, "FEDERATION_ALLOW_PRIVATE_NETWORK", ["true", "false"], "false") === "true",
    partialStateJoins: oneOf(variables, "PARTIAL_STATE_JOINS", ["on", "off"], "on") === "on",
    trustedKeyServers: parseDomains(variables, "TRUSTED_KEY_SERVERS") ?? [],
    dnsOverHttps: parseResolver(variables),
    appservices: parseAppservices(variables),
    meter: oneOf(variables, "METER", ["on", "off"], "off") === "on",
    passwordHashing: defaultPasswordHashing,
  };
}

function text(variables: Variables, name: string): string | null {
  const value = variables[name];
  if (value === undefined || value === "") return null;
  if (typeof value !== "string") throw new ConfigError(name, "must be text");
  return value;
}

function oneOf<Choice extends string>(
  variables: Variables,
  name: string,
  choices: readonly Choice[],
  fallback: Choice,
): Choice {
  const value = text(variables, name);
  if (value === null) return fallback;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new ConfigError(name, `must be one of ${choices.join(", ")}`);
  return found;
}

function parseBaseUrl(variables: Variables, serverName: ServerName): string {
  const value = text(variables, "PUBLIC_BASEURL");
  if (value === null) return serverName === "localhost" ? "http://localhost:8008" : `https://${serverName}`;
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new ConfigError("PUBLIC_BASEURL", "must be an http or https URL without query or fragment");
  }
  return value.replace(/\/+$/, "");
}

function parseDomains(variables: Variables, variable: string): readonly ServerName[] | null {
  const value = text(variables, variable);
  if (value === null) return null;
  return value.split(",").map((entry) => {
    const name = parseServerName(entry.trim());
    if (name === null) throw new ConfigError(variable, "must be server names separated by commas");
    return name;
  });
}

function parseResolver(variables: Variables): string | null {
  const value = text(variables, "DNS_OVER_HTTPS") ?? "https://cloudflare-dns.com/dns-query";
  if (value === "off") return null;
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new ConfigError("DNS_OVER_HTTPS", "must be an https URL, or off");
  }
  return value;
}

function parseAppservices(variables: Variables): readonly JsonObject[] {
  const value = text(variables, "APPSERVICES");
  if (value === null) return [];
  try {
    const parsed: unknown = JSON.parse(value);
    if (Array.isArray(parsed)) return parsed;
  } catch {
    throw new ConfigError("APPSERVICES", "must be a JSON list of registrations");
  }
  throw new ConfigError("APPSERVICES", "must be a JSON list of registrations");
}
