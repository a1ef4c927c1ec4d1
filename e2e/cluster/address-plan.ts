/** Which addresses and ports the cluster uses. All are reachable from this machine and its pods only. */

export const NODE_NAME = 'node1';
export const BRIDGE = 'fl0';
/** The bridge's address: the node, the API server as pods see it, DNS and metrics. The kubelet refuses a loopback one. */
export const NODE_IP = '10.244.0.1';
/** Pods of the real node. */
export const POD_SUBNET = '10.244.0.0/24';
export const CLUSTER_CIDR = '10.244.0.0/16';
/** Pods that only seem to run, on kwok's nodes. */
export const KWOK_POD_CIDR = '10.245.0.1/16';
export const KWOK_POD_SUBNET = '10.245.0.0/16';
/** Virtual addresses of Services, which kube-proxy replaces. */
export const SERVICE_CIDR = '10.96.0.0/16';

export const API_SERVER_PORT = 6443;
export const METRICS_SERVER_PORT = 4443;
/** On 127.0.0.1, away from the usual ports of an etcd that this machine may already run. */
export const ETCD_CLIENT_PORT = 23790;
export const ETCD_PEER_PORT = 23800;
