import { Command } from 'commander';
import { Cluster } from './cluster.ts';
import { ensureFairleadImage, imageSizes } from './image.ts';
import { reportToTerminal } from './progress.ts';

const program = new Command('cluster').description(
  'A real Kubernetes on this machine, for development, tests and the demo',
);
const cluster = new Cluster();

program
  .command('up')
  .description('start it, or what of it does not run; as root with a node that really runs pods')
  .action(() => cluster.up(reportToTerminal));

program
  .command('down')
  .description('end it and leave nothing behind')
  .action(() => cluster.down(reportToTerminal));

program
  .command('status')
  .description('what runs; exit code 1 when it is not up')
  .action(async () => {
    for (const [name, pid] of await cluster.running()) console.log(`${name} runs as process ${pid}`);
    const up = await cluster.isUp();
    console.log(up ? `up: ${cluster.kubeconfigPath}` : 'not up');
    process.exitCode = up ? 0 : 1;
  });

program
  .command('kubeconfig')
  .description('print where the kubeconfig is: export KUBECONFIG=$(npm run -s cluster -- kubeconfig)')
  .action(() => console.log(cluster.kubeconfigPath));

program
  .command('image')
  .description('build the image by the Dockerfile, give it to the cluster when that is up, and print its sizes')
  .action(async () => {
    const { image, archive } = await ensureFairleadImage(reportToTerminal);
    if (await cluster.isUp()) await cluster.loadImage(image, archive);
    const { unpackedBytes, compressedBytes } = await imageSizes(archive);
    console.log(
      `${image}: ${Math.round(unpackedBytes / 1e6)} MB unpacked, ${Math.round(compressedBytes / 1e6)} MB compressed`,
    );
  });

await program.parseAsync().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
