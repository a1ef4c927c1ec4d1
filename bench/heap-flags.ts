/**
 * The heap that Node gives itself in a container with a memory limit of 256 or 512 MiB, as the chart sets them for routers
 * and the operator; this machine has more. (Read from `v8.getHeapStatistics()` in a cgroup with that limit.)
 */
export const HEAP_FLAGS: readonly string[] = ['--max-old-space-size=256', '--max-semi-space-size=1'];
