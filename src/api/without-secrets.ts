/** A URI without user, password, query and fragment, which may hold secrets: for whatever people read. */
export function withoutSecrets(uri: string): string {
  return uri.replace(/[?#].*$/s, '').replace(/^([^/]*:\/\/)[^/]*@/s, '$1');
}
