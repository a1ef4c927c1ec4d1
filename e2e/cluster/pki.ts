import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';

const VALID_DAYS = '3650';
const ELLIPTIC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface Identity {
  readonly commonName: string;
  readonly organization?: string;
  /** What the certificate is valid for as a server: `DNS:localhost`, `IP:127.0.0.1`. */
  readonly alternativeNames?: readonly string[];
}

/** Keys and certificates of one cluster, in one directory, all from one authority. What exists is kept. */
export class Pki {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  readonly file = (name: string): string => join(this.#directory, name);

  get authorityFile(): string {
    return this.file('ca.crt');
  }

  async createAuthority(): Promise<void> {
    await this.#once('ca.crt', (certificate) =>
      command('openssl', [
        ...['req', '-x509', ...ELLIPTIC_KEY, '-days', VALID_DAYS, '-subj', '/CN=fairlead-test-cluster'],
        ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', this.file('ca.key'), '-out', certificate],
      ]),
    );
  }

  /** Writes `<name>.crt` and `<name>.key`. */
  async issue(name: string, { commonName, organization, alternativeNames = [] }: Identity): Promise<void> {
    const subject = `${organization === undefined ? '' : `/O=${organization}`}/CN=${commonName}`;
    const names = alternativeNames.length === 0 ? [] : ['-addext', `subjectAltName=${alternativeNames.join(',')}`];
    await this.#once(`${name}.crt`, (certificate) =>
      command('openssl', [
        ...['req', '-x509', ...ELLIPTIC_KEY, '-days', VALID_DAYS, '-subj', subject, ...names],
        ...['-CA', this.authorityFile, '-CAkey', this.file('ca.key'), '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...[
          '-addext',
          'extendedKeyUsage=clientAuth,serverAuth',
          '-keyout',
          this.file(`${name}.key`),
          '-out',
          certificate,
        ],
      ]),
    );
  }

  /** The RSA pair that signs service-account tokens: `service-account.key` and `service-account.pub`. */
  async createServiceAccountKeys(): Promise<void> {
    const key = this.file('service-account.key');
    await this.#once('service-account.pub', async (publicKey) => {
      await command('openssl', ['genrsa', '-out', key, '2048']);
      await command('openssl', ['rsa', '-in', key, '-pubout', '-out', publicKey]);
    });
  }

  /** Writes `<name>.kubeconfig`, self-contained, for the certificate of that name, and returns its path. */
  async writeKubeconfig(name: string, serverUrl: string): Promise<string> {
    const base64 = async (file: string) => (await readFile(this.file(file))).toString('base64');
    const cluster = { server: serverUrl, 'certificate-authority-data': await base64('ca.crt') };
    const user = {
      'client-certificate-data': await base64(`${name}.crt`),
      'client-key-data': await base64(`${name}.key`),
    };
    const path = this.file(`${name}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'fairlead', cluster }],
      users: [{ name, user }],
      contexts: [{ name: 'fairlead', context: { cluster: 'fairlead', user: name } }],
      'current-context': 'fairlead',
    };
    await writeFile(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
    return path;
  }

  /** The certificate is written last, so its presence says that the pair is whole. */
  async #once(name: string, make: (path: string) => Promise<unknown>): Promise<void> {
    const path = this.file(name);
    const exists = await access(path).then(
      () => true,
      () => false,
    );
    if (!exists) await make(path);
  }
}
