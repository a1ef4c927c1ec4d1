const HOST_AND_PORT = /^(?:\[[^\]]*\]|[^:@]*)(?::[0-9]*)?$/;

/** A URI without user, password, query and fragment, which may hold secrets: for whatever people read. */
export function withoutSecrets(uri: string): string {
  const { scheme = '', rest = uri } = /^(?<scheme>[^/?#]*:\/\/)(?<rest>.*)$/s.exec(uri)?.groups ?? {};
  const end = mayHoldUser(scheme, rest) ? rest.lastIndexOf('@') : -1;
  // A password may hold a / or a ?, and a path or a query an @: which of them it is cannot be told, and none is shown.
  if (/[/?#]/.test(rest.slice(0, end + 1))) return `${scheme}...`;
  return `${scheme}${rest.slice(end + 1).replace(/[?#].*$/s, '')}`;
}

/** Whether what stands before an @ may be a user and a password, which may hold a / that ought to be encoded. */
function mayHoldUser(scheme: string, rest: string): boolean {
  const [authority = ''] = rest.split(/[/?#]/, 1);
  // A password may begin as a port. Where digests follow an @, as in oci://registry:5000/churn@sha256:..., it is one.
  return !HOST_AND_PORT.test(authority) || (/^https?:/i.test(scheme) && /[^[\]:]:/.test(authority));
}
