import { ApiError } from './api-error.ts';

/** Tries a second time where the credentials are refused: a token may just have been rotated. `forget` has them read anew. */
export async function withFreshCredentials<T>(attempt: () => Promise<T>, forget: () => void): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    forget();
    return await attempt();
  }
}
