import { LoadFailure } from './failure.ts';
import { bodyBytes, type HttpOptions, httpGet, statusFailure } from './http-client.ts';
import type { ModelCredentials } from './source.ts';

/** A registry's demand in `WWW-Authenticate`: how it wants to know who asks. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Reads a `WWW-Authenticate` header of one challenge: `Bearer realm="https://...",service="..."`. */
export function parseChallenge(header: string): Challenge | undefined {
  const [, scheme, rest = ''] = /^\s*([a-z]+)(?:\s+(.*))?$/is.exec(header) ?? [];
  if (scheme === undefined) return undefined;
  const parameters = new Map<string, string>();
  for (const [, name, quoted, plain] of rest.matchAll(/([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi)) {
    if (name !== undefined) parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  return { scheme: scheme.toLowerCase(), parameters };
}

const MAX_TOKEN_BYTES = 1 << 20;

/**
 * Answers a registry's challenge with an `Authorization` header, fetching a token where one is wanted.
 * @param scope what to ask for where the challenge does not say, such as `repository:models/churn:pull`.
 * @param isSecure whether the registry is spoken to by https; then its token server must be, too.
 * @throws LoadFailure `AccessDenied`; `TransientError` when the token's server may heal.
 */
export async function answerChallenge(
  challenge: Challenge | undefined,
  what: string,
  scope: string,
  { credentials, ...options }: HttpOptions & { readonly credentials: ModelCredentials },
  isSecure: boolean,
): Promise<string> {
  const basic = basicAuthorization(credentials);
  if (challenge?.scheme === 'basic') {
    if (basic !== undefined) return basic;
    throw new LoadFailure(
      'AccessDenied',
      `${what} asks for a user and a password; name their Secret in credentialsRef`,
    );
  }
  const realm = challenge?.parameters.get('realm');
  if (challenge?.scheme !== 'bearer' || realm === undefined || !URL.canParse(realm)) {
    throw new LoadFailure('AccessDenied', `${what} refuses access and offers no way to sign in that is known here`);
  }
  const url = new URL(realm);
  if (isSecure && url.protocol !== 'https:') {
    throw new LoadFailure(
      'AccessDenied',
      `${what} wants its password sent unencrypted to ${url.host}, which is not done`,
    );
  }
  const service = challenge.parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', challenge.parameters.get('scope') ?? scope);
  const answer = await httpGet(url, { authorization: basic }, options);
  if (answer.status !== 200) {
    answer.discard();
    throw statusFailure(answer.status, `the token server of ${what}`);
  }
  const token = tokenOf((await bodyBytes(answer, MAX_TOKEN_BYTES, 'the token')).toString());
  if (token === undefined) throw new LoadFailure('AccessDenied', `The token server of ${what} gave no token`);
  return `Bearer ${token}`;
}

function basicAuthorization({ registryUsername, registryPassword }: ModelCredentials): string | undefined {
  if (registryUsername === undefined || registryPassword === undefined) return undefined;
  return `Basic ${Buffer.from(`${registryUsername}:${registryPassword}`).toString('base64')}`;
}

function tokenOf(json: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(json) as { token?: unknown; access_token?: unknown };
    return [token, accessToken].find((value) => typeof value === 'string');
  } catch {
    return undefined;
  }
}
