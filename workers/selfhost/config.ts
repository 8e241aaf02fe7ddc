/**
 * The variables of `npm start`. What the gateway and the actors also read is parsed by `shared/env.ts`; here is what only
 * a server on one machine has: where it listens, where its data is, its certificates and its bridges.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { type Config, ConfigError, parseConfig, type Variables } from "../../shared/env.ts";
import { parseGatewayConfig } from "../gateway/env.ts";
import { readRegistrations } from "./appservices.ts";

/** The HTTPS listener for other homeservers: the same routes as the plain one, on its own port. */
export interface FederationListener {
  readonly port: number;
  /** PEM, the server's certificate first, then its issuers. */
  readonly certificateChain: string;
  /** PEM. */
  readonly privateKey: string;
}

/** Everything `npm start` was told. */
export interface SelfhostConfig {
  readonly bind: string;
  readonly port: number;
  readonly federation: FederationListener | null;
  /** Absolute. */
  readonly dataDir: string;
  /** PEM certificates that outbound TLS trusts beside the usual authorities. */
  readonly trustedCertificates: readonly string[];
  readonly shared: Config;
  /** The variables for the Worker, by the names that it reads. */
  readonly workerVariables: Readonly<Record<string, string>>;
}

/** What the Worker reads from its environment by the name that the operator used. */
const passedOn = [
  "SERVER_NAME",
  "REGISTRATION",
  "REGISTRATION_SHARED_SECRET",
  "RATE_LIMITS",
  "QUERY_ACCESS_TOKENS",
  "DEFAULT_ROOM_VERSION",
  "FEDERATION",
  "FEDERATION_DOMAIN_ALLOW",
  "FEDERATION_DOMAIN_DENY",
  "FEDERATION_ALLOW_PRIVATE_NETWORK",
  "PARTIAL_STATE_JOINS",
  "TRUSTED_KEY_SERVERS",
  "DNS_OVER_HTTPS",
  "CLIENT_ADDRESS_HEADER",
  "SUPPORT_CONTACT",
  "SUPPORT_PAGE",
  "METER",
] as const;

/**
 * Parses and checks all variables, and reads the files that they name.
 *
 * @param variables as in `process.env`; what is unset or empty takes its default.
 * @param workingDir what relative paths start from.
 * @throws ConfigError naming the first variable that cannot be used.
 */
export function parseSelfhostConfig(variables: Variables, workingDir: string): SelfhostConfig {
  const port = parsePort(variables, "PORT") ?? 8008;
  const bind = parseBind(variables);
  const dataDir = resolve(workingDir, text(variables, "DATA_DIR") ?? "./data");
  const federation = parseFederation(variables, port, workingDir);
  const trustedCertificates = readTrustedCertificates(variables, workingDir);
  const appserviceDir = text(variables, "APPSERVICE_DIR");
  const appservices = appserviceDir === null ? [] : readRegistrations(resolve(workingDir, appserviceDir));
  const workerVariables: Record<string, string> = {
    PUBLIC_BASEURL: text(variables, "PUBLIC_BASEURL") ?? derivedBaseUrl(variables, port),
    APPSERVICES: JSON.stringify(appservices),
  };
  for (const name of passedOn) {
    const value = text(variables, name);
    if (value !== null) workerVariables[name] = value;
  }
  const shared = parseConfig(workerVariables);
  parseGatewayConfig(workerVariables);
  return { bind, port, federation, dataDir, trustedCertificates, shared, workerVariables };
}

function text(variables: Variables, name: string): string | null {
  const value = variables[name];
  return typeof value === "string" && value !== "" ? value : null;
}

/** A server called `localhost` is reached where it listens; any other through the proxy that has its name's certificate. */
function derivedBaseUrl(variables: Variables, port: number): string {
  const serverName = text(variables, "SERVER_NAME") ?? "localhost";
  return serverName === "localhost" || serverName.startsWith("localhost:")
    ? `http://localhost:${port}`
    : `https://${serverName}`;
}

function parsePort(variables: Variables, name: string): number | null {
  const value = text(variables, name);
  if (value === null) return null;
  const port = Number(value);
  if (!/^[0-9]{1,5}$/.test(value) || port < 1 || port > 65_535) {
    throw new ConfigError(name, `must be a port number from 1 to 65535, not ${JSON.stringify(value)}`);
  }
  return port;
}

function parseBind(variables: Variables): string {
  const value = text(variables, "BIND") ?? "127.0.0.1";
  if (value === "localhost") return "127.0.0.1";
  if (isIP(value) === 0) {
    throw new ConfigError(
      "BIND",
      `must be an IP address such as 127.0.0.1, 0.0.0.0 or ::, not ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** All three variables or none: half a listener would be a server that others silently cannot reach. */
function parseFederation(variables: Variables, plainPort: number, workingDir: string): FederationListener | null {
  const names = ["FEDERATION_PORT", "TLS_CERT", "TLS_KEY"] as const;
  const given = names.filter((name) => text(variables, name) !== null);
  if (given.length === 0) return null;
  for (const name of names) {
    if (!given.includes(name)) throw new ConfigError(name, `must be set, because ${given.join(" and ")} is`);
  }
  const port = parsePort(variables, "FEDERATION_PORT");
  if (port === null || port === plainPort) throw new ConfigError("FEDERATION_PORT", "must differ from PORT");
  const certificateChain = readNamedFile(variables, "TLS_CERT", workingDir);
  const privateKey = readNamedFile(variables, "TLS_KEY", workingDir);
  const certificate = attempt("TLS_CERT", "is not a PEM certificate", () => new X509Certificate(certificateChain));
  const key = attempt("TLS_KEY", "is not a PEM private key without a passphrase", () => createPrivateKey(privateKey));
  if (!certificate.checkPrivateKey(key))
    throw new ConfigError("TLS_KEY", "is not the key of the certificate in TLS_CERT");
  return { port, certificateChain, privateKey };
}

function readTrustedCertificates(variables: Variables, workingDir: string): readonly string[] {
  if (text(variables, "TRUSTED_CA") === null) return [];
  const pem = readNamedFile(variables, "TRUSTED_CA", workingDir);
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) throw new ConfigError("TRUSTED_CA", "the file has no PEM certificate");
  for (const certificate of certificates) {
    attempt("TRUSTED_CA", "is not a PEM certificate", () => new X509Certificate(certificate));
  }
  return certificates;
}

function readNamedFile(variables: Variables, name: string, workingDir: string): string {
  const path = resolve(workingDir, text(variables, name) ?? "");
  return attempt(name, `cannot read the file ${path}`, () => {
    if (!statSync(path).isFile()) throw new Error("not a file");
    return readFileSync(path, "utf8");
  });
}

function attempt<Value>(variable: string, complaint: string, read: () => Value): Value {
  try {
    return read();
  } catch {
    throw new ConfigError(variable, complaint);
  }
}
